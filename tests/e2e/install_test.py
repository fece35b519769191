# SPDX-License-Identifier: Apache-2.0
"""`cmake --install`: programs under all their names, with manual pages and completions that know what the programs know."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(sifrun, tmp_path_factory):
    """The prefix, of programs that are built already."""
    build, place = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("place")
    output("cmake", "-G", "Ninja", "-S", ROOT, "-B", build, "-DSIFCONV_TESTS=OFF", "-DSIFCONV_ALIASES=ON")
    (build / "bin").rmdir()
    (build / "bin").symlink_to(sifrun.parent)
    output("cmake", "--install", build, "--prefix", "/opt/sifconv", env=os.environ | {"DESTDIR": str(place)})
    return place / "opt/sifconv"


def test_programs(installed):
    assert sorted(path.name for path in (installed / "bin").iterdir()) == ["apptainer", "sifconv", "sifrun", "singularity"]
    assert output(installed / "bin/sifconv", "--version").startswith("sifconv version ")
    assert output(installed / "bin/singularity", "--version").startswith("apptainer version ")  # which engines look for
    assert (installed / "share/doc/sifconv/LICENSE").exists()


def words_of(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def test_manual_pages(installed):
    def page(name):
        done = subprocess.run(["man", "--warnings", "-l", installed / f"share/man/man1/{name}.1"], capture_output=True, text=True, env=os.environ | {"MANWIDTH": "1000", "LC_ALL": "C"})
        assert (done.returncode, done.stderr) == (0, ""), name
        return done.stdout

    assert words_of(output(installed / "bin/sifconv", "--help")) <= words_of(page("sifconv"))
    for text in ("SIFRUN_SHARE", "EXIT STATUS", "sifrun - run programs"):
        assert text in page("sifrun")
    verbs = [path.stem.removeprefix("sifrun-") for path in (installed / "share/man/man1").glob("sifrun-*")]
    assert {"exec", "run-help", "instance", "completion"} <= set(verbs)
    for verb in verbs:
        text = page(f"sifrun-{verb}")
        assert f"sifrun-{verb} - " in text and words_of(output(installed / "bin/sifrun", verb, "--help")) <= words_of(text)


@pytest.mark.parametrize("name", ["sifrun", "singularity", "apptainer"])
def test_completions(installed, name):
    share = installed / "share"
    assert f"complete -o default -F _{name} {name}\n" in (share / f"bash-completion/completions/{name}").read_text()
    assert (share / f"zsh/site-functions/_{name}").read_text().startswith(f"#compdef {name}\n")
    assert f"complete -c {name} " in (share / f"fish/vendor_completions.d/{name}.fish").read_text()


def test_without_help2man(sifrun, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "dirname", "realpath", "mktemp", "rm", "mkdir", "ln"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run([ROOT / "scripts/write-manuals", sifrun.parent, tmp_path / "share", "sifrun"], env={"PATH": str(tools)}, capture_output=True, text=True)
    assert done.returncode == 0 and "help2man" in done.stderr
    assert (tmp_path / "share/bash-completion/completions/sifrun").exists()
