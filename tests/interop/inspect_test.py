# SPDX-License-Identifier: Apache-2.0
"""inspect and run-help print what Apptainer's print, of every form of an image."""
import subprocess

import pytest

OPTIONS = [
    "", "-l", "-d", "-r", "-s", "-t", "-e", "-H", "--list-apps", "-r -d -l", "-r -s -t -e -H", "--list-apps -l", "-r --list-apps", "-rl",
    "--json", "-j -r", "--json -r -l -t -H -s -d -e", "--all", "--all --json", "--all --app foo", "--all -r", "--labels=false",
    "--app foo", "--app foo -r", "--app=foo -l", "--app foo -H -t -e", "--app foo -s", "--app nope", "--app nope --json",
    "--json --app foo", "--json --app foo -r -H -t -e -l -s", "--app bar -e", "--app bar -j -e -l",
]


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Apptainer mounts images through it to look into them."""


@pytest.fixture(scope="module")
def images(apptainer, scripted_sif, busybox_sif, sif_folder):
    """The same image as a SIF, a folder and a bare squashfs; one of ours; and one without any script."""
    made = {"sif": scripted_sif, "folder": sif_folder / "inspect", "squashfs": sif_folder / "inspect.sqfs", "ours": busybox_sif,
            "empty": sif_folder / "nothing"}
    done = apptainer.run("build", "--sandbox", made["folder"], scripted_sif.with_suffix(".def"), timeout=600)
    assert done.returncode == 0, done.stderr
    subprocess.run(["mksquashfs", made["folder"], made["squashfs"], "-noappend", "-quiet", "-no-progress"], check=True, stdout=subprocess.DEVNULL)
    made["empty"].mkdir()
    return made


@pytest.fixture
def both(apptainer, sifrun):
    def run(*line):
        return [apptainer.command([program, "--silent", *line]) for program in ("apptainer", sifrun)]

    return run


@pytest.mark.parametrize("form", ["sif", "folder", "squashfs", "ours", "empty"])
def test_inspect(form, both, images):
    for options in OPTIONS:
        reference, done = both("inspect", *options.split(), images[form])
        assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout), (options, done.stderr, reference.stderr)


def test_apps_listed_as_json(both, images):
    """Of a SIF all that is stored of the apps; of a file system only their names."""
    reference, done = both("inspect", "--json", "--list-apps", images["sif"])
    assert (done.returncode, done.stdout) == (0, reference.stdout)


@pytest.mark.parametrize("form", ["sif", "folder", "squashfs", "ours"])
@pytest.mark.parametrize("options", [[], ["--app", "foo"], ["--app", "bar"], ["--app", "nope"]])
def test_run_help(form, options, both, images):
    reference, done = both("run-help", *options, images[form])
    assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout), (done.stderr, reference.stderr)


@pytest.mark.parametrize("line", [["inspect"], ["inspect", "one", "two"], ["inspect", "/no/such"], ["inspect", "/etc/passwd"], ["run-help"],
                                  ["run-help", "/no/such"]])
def test_refusals(line, both):
    reference, done = both(*line)
    assert done.returncode == reference.returncode != 0, (done.stderr, reference.stderr)
    assert done.stderr.startswith("FATAL"), done.stderr
