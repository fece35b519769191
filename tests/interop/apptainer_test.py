# SPDX-License-Identifier: Apache-2.0
"""Images and outputs are exchangeable with Apptainer's: each program's image runs with the other and says the same."""
import json
import re
import subprocess

import pytest

from beds import images
from conftest import convert


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Both mount images through it."""


@pytest.fixture(scope="module")
def ours(busybox_sif):
    return busybox_sif


@pytest.fixture(scope="module")
def theirs(apptainer, busybox_tar, sif_folder):
    """What `apptainer build` makes of the same archive, as root so that owners are kept."""
    target = sif_folder / "theirs.sif"
    done = apptainer.run("build", target, f"docker-archive:{busybox_tar}", user=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(params=["ours", "theirs"])
def image(request):
    return request.getfixturevalue(request.param)


SAME_OUTPUT = {
    "file": ["exec", "IMAGE", "cat", "/srv/replaced"],
    "link": ["exec", "IMAGE", "cat", "/srv/link"],
    "listing": ["exec", "IMAGE", "sh", "-c", "ls -ln /srv | grep ^[-l]"],  # of folders, squashfuse counts links and blocks its own way
    "account": ["exec", "IMAGE", "id", "-u"],
    "account name": ["exec", "IMAGE", "id", "-un"],
    "environment": ["exec", "IMAGE", "sh", "-c", "echo $GREETING; echo $PATH"],
    "clean environment": ["exec", "--cleanenv", "IMAGE", "sh", "-c", "echo $GREETING $LANG"],
    "set environment": ["exec", "--env", "GREETING=hi,OTHER=2", "IMAGE", "sh", "-c", "echo $GREETING $OTHER"],
    "working folder": ["exec", "--pwd", "/srv", "IMAGE", "pwd"],
    "exit status": ["exec", "IMAGE", "sh", "-c", "exit 37"],
    "arguments": ["exec", "IMAGE", "echo", "a  b", "$HOME", "'", '"', "\\", ""],
    "missing program": ["exec", "IMAGE", "no-such-program"],
    "run": ["run", "IMAGE"],
    "run with arguments": ["run", "IMAGE", "echo", "a  b"],
    "contained": ["exec", "--containall", "IMAGE", "sh", "-c", "ls -A /tmp | wc -l; [ $$ -lt 100 ] && echo few processes"],
    "privileges": ["exec", "IMAGE", "sh", "-c", "grep -E '^(NoNewPrivs|CapEff|CapPrm|CapBnd)' /proc/self/status || cat /proc/self/status"],
}


@pytest.mark.parametrize("name", SAME_OUTPUT)
def test_same_output(name, image, apptainer, user, sifrun, tmp_path):
    line = [str(image) if word == "IMAGE" else word for word in SAME_OUTPUT[name]]
    reference = apptainer.run(*line, cwd=tmp_path)
    done = user.run([sifrun, "--silent", *line], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout), (done.stderr, reference.stderr)


def test_image_is_a_program(apptainer, ours):
    """The first line of the file names the interpreter that Apptainer installs."""
    done = apptainer.command([ours, "echo", "from the image"])
    assert (done.returncode, done.stdout) == (0, "from the image\n"), done.stderr


@pytest.fixture(scope="module")
def without_shell(sifconv, user, sif_folder, scratch):
    archive = scratch / "no-shell.tar"
    images.write_docker20(archive, [images.Layer().folder("bin").file("bin/busybox", images.busybox_program(), mode=0o755).bytes()],
                          Entrypoint=["/bin/busybox", "echo", "said"], Cmd=["by it"])
    return convert(sifconv, user, archive, sif_folder / "no-shell.sif")


@pytest.mark.parametrize("arguments", [[], ["a  b"]])
def test_run_without_a_shell_in_the_image(without_shell, arguments, apptainer, user, sifrun, tmp_path):
    reference = apptainer.run("run", without_shell, *arguments, cwd=tmp_path)
    done = user.run([sifrun, "--silent", "run", without_shell, *arguments], cwd=tmp_path)
    said = "said " + (arguments or ["by it"])[0] + "\n"
    assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout) == (0, said), (done.stderr, reference.stderr)


def inspect(apptainer, image, *options):
    done = apptainer.run("inspect", "--json", *options, image)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]["attributes"]


def test_inspect_labels(apptainer, ours, theirs):
    labels, reference = inspect(apptainer, ours)["labels"], inspect(apptainer, theirs)["labels"]
    assert labels["maintainer"] == reference["maintainer"] == "a researcher"
    assert labels["org.label-schema.build-arch"] == reference["org.label-schema.build-arch"]
    assert labels["org.label-schema.schema-version"] == "1.0"
    # No clock and no path of the converting machine: the same image gives the same bytes everywhere.
    assert "/" not in labels.get("org.label-schema.usage.singularity.deffile.from", "bed/busybox:1.0").replace("bed/busybox", "")


def test_inspect_parts(apptainer, ours, theirs):
    mine, reference = inspect(apptainer, ours, "--all"), inspect(apptainer, theirs, "--all")
    assert set(mine) >= set(reference)
    assert "runscript" in mine and "deffile" in mine
    for option in ("--runscript", "--deffile", "--environment", "--labels"):
        done = apptainer.run("inspect", option, ours)
        assert done.returncode == 0 and done.stdout.strip(), (option, done.stderr)


def test_siftool_header(apptainer, ours):
    done = apptainer.siftool("header", ours)
    assert done.returncode == 0, done.stderr
    fields = dict(re.split(r":\s+", line, maxsplit=1) for line in done.stdout.splitlines() if ": " in line)
    assert fields["Launch Script"] == "#!/usr/bin/env run-singularity"
    assert fields["Version"] == "01"
    assert fields["Descriptors Total"] == "48"
    assert (fields["Descriptors Offset"], fields["Data Offset"]) == ("4096", "32176")


def test_siftool_list_has_the_same_objects(apptainer, ours, theirs):
    def kinds(image):
        done = apptainer.siftool("list", image)
        assert done.returncode == 0, done.stderr
        return [row.rpartition("|")[2].strip() for row in done.stdout.splitlines() if re.match(r"\d+ ", row)]

    assert kinds(ours) == kinds(theirs)
    assert any("Squashfs/*System" in kind for kind in kinds(ours))


def test_siftool_info_of_each_object(apptainer, ours):
    for number in "1234":
        done = apptainer.siftool("info", number, ours)
        assert done.returncode == 0, done.stderr
    assert "Partition Type:   *System" in done.stdout


def partition_offset(apptainer, image):
    rows = apptainer.siftool("list", image).stdout.splitlines()
    row = next(r for r in rows if "Squashfs/*System" in r)
    return int(re.search(r"(\d+)-\d+", row)[1])


def listing(apptainer, image):
    """Path -> (mode and type, owner, size of a file, date of what the image itself brings, link target)."""
    offset = partition_offset(apptainer, image)
    text = subprocess.run(["unsquashfs", "-lln", "-offset", str(offset), image], capture_output=True, text=True, check=True).stdout
    entries = {}
    for line in text.splitlines():
        match = re.match(r"(\S{10}) (\S+) +(\d+) (\S+ \S+) squashfs-root/?(.*?)(?: -> (.*))?$", line)
        if match:
            mode, owner, size, date, path, target = match.groups()
            entries[path] = (mode, owner, size if mode[0] == "-" else "", date if date.startswith("2023") else "now", target)
    assert entries, text
    return entries


# Apptainer's build machine puts these into an image; a runtime of its age binds over them or makes them itself.
ONLY_SOMETIMES = {"dev", "proc", "sys", "home", "root", "tmp", "var", "var/tmp", "etc", "etc/hosts", "etc/resolv.conf", "singularity",
                  "environment", ""}


EMPTY_SCRIPT = {".singularity.d/env/94-appsbase.sh"}  # Apptainer leaves an empty file there; we leave none


def test_same_tree(apptainer, ours, theirs):
    mine, reference = listing(apptainer, ours), listing(apptainer, theirs)

    def of_the_image(entries):
        return {path: entry for path, entry in entries.items() if path not in ONLY_SOMETIMES and not path.startswith(".")}

    assert of_the_image(mine) == of_the_image(reference) != {}


def test_same_singularity_folder(apptainer, ours, theirs):
    mine, reference = listing(apptainer, ours), listing(apptainer, theirs)
    missing = {path for path in reference if path.startswith(".") or path in ONLY_SOMETIMES} - set(mine)
    assert not missing - EMPTY_SCRIPT
    for path in set(reference) - EMPTY_SCRIPT:
        if path.startswith("."):
            assert mine[path][0] == reference[path][0] and mine[path][4] == reference[path][4], path


def test_apptainer_reads_every_byte_alike(apptainer, ours, theirs):
    """Contents as Apptainer's own squashfuse gives them, of all files that come from the image."""
    files = ["/bin/busybox", "/srv/replaced", "/srv/hard", "/srv/link", "/etc/passwd"]
    mine, reference = (apptainer.run("exec", "--no-home", "--no-mount", "bind-paths", image, "/bin/busybox", "sha256sum", *files) for image in (ours, theirs))
    assert (mine.returncode, reference.returncode) == (0, 0), (mine.stderr, reference.stderr)
    assert mine.stdout == reference.stdout and len(mine.stdout.splitlines()) == len(files)
