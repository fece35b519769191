# SPDX-License-Identifier: Apache-2.0
"""The two programs are all there is to install: copied alone into another system they convert and run."""
import pytest

from beds import debian_tree


@pytest.fixture(scope="module", params=["busybox", "bullseye", "sid"])
def tree(request, scratch):
    if request.param == "busybox":
        return debian_tree.busybox(scratch)
    return request.getfixturevalue("debian")(request.param)


@pytest.fixture
def work(tmp_path, programs, busybox_tar):
    """What is visible in the tree: a folder of the user, the programs, one archive."""
    return dict(cwd=tmp_path, binds=[tmp_path, programs["sifrun"].parent, busybox_tar])


def test_convert_and_run(tree, work, programs, busybox_tar, fuse_device):
    done = tree.run([programs["sifconv"], "--quiet", busybox_tar, "image.sif"], **work)
    assert (done.returncode, done.stderr) == (0, "")
    done = tree.run([programs["sifrun"], "exec", "image.sif", "cat", "/srv/link"], **work)
    assert (done.returncode, done.stdout, done.stderr) == (0, "new\n", "")


def test_account_from_the_trees_passwd(tree, work, programs, busybox_tar, fuse_device):
    tree.run([programs["sifconv"], "--quiet", busybox_tar, "image.sif"], check=True, **work)
    done = tree.run([programs["sifrun"], "exec", "image.sif", "sh", "-c", "id -un; echo $HOME; echo here > ~/note"], **work)
    assert (done.stdout, done.stderr) == ("user\n/home/user\n", "")
    assert (tree.root / "home/user/note").read_text() == "here\n"


def test_help_and_version(tree, work, programs):
    for program in programs.values():
        for option in ("--help", "--version"):
            done = tree.run([program, option], **work)
            assert (done.returncode, done.stderr) == (0, "")
            assert program.name in done.stdout
