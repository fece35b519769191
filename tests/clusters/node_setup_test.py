# SPDX-License-Identifier: Apache-2.0
"""What an administrator may put on a node beside the programs: a profile for AppArmor and a module file."""
import pytest

from beds import condor
from beds.node import Node, write
from beds.snippets import snippet

pytest_plugins = ("beds.cluster",)


@pytest.fixture(scope="module")
def node(scratch, share, home):
    folder = scratch / "node"
    folder.mkdir()
    with Node(condor.tree(), folder, [share], home) as running:
        yield running


def compiled(node, profile):
    node.write("/etc/apparmor.d/sifrun", profile)
    return node.run(["apparmor_parser", "--skip-kernel-load", "--skip-read-cache", "--names", "/etc/apparmor.d/sifrun"], user="root")


def test_the_profile_is_one(node):
    """AppArmor's own compiler takes it; this kernel cannot load it."""
    profile = snippet("clusters.md", "sifrun.apparmor")
    done = compiled(node, profile)
    assert (done.returncode, done.stdout) == (0, "sifrun\n"), done.stderr
    assert compiled(node, profile.replace("userns", "user namespaces")).returncode != 0


def test_the_module_gives_programs_and_folders(node, home, small_sif, work):
    for folder in ("/scratch", "/project"):
        node.folder_for(folder)
        node.write(f"{folder}/set", f"of {folder}\n")
    write(work, "own", "own\n")
    modules = work / "modulefiles"
    modules.mkdir()
    write(modules, "sifrun", snippet("clusters.md", "sifrun.module", **{"/opt/sifrun/bin": home / "bin"}))
    said = node.succeed(["bash", "-ec", ". /usr/share/modules/init/bash; module use $1; module load sifrun; command -v apptainer; "
                         "sifrun exec --bind $2/own:/mnt/own $3 cat /scratch/set /project/set /mnt/own; module unload sifrun; "
                         "! command -v sifrun; echo ${APPTAINER_BIND-gone}", "bash", modules, work, small_sif])
    assert said == f"{home}/bin/apptainer\nof /scratch\nof /project\nown\ngone\n"
