# SPDX-License-Identifier: Apache-2.0
"""`overlay create` side by side: Apptainer fills an ext3 image from a folder with mkfs.ext3, of which ours is what --overlay takes.

In Apptainer's place of mkfs.ext3 stands a script that writes down what is in that folder; ours is looked at where it is. So both are compared
without e2fsprogs, and without room for images.
"""
import pytest

from differences import OVERLAYS as DIFFERENT

MKFS = """#!/bin/sh
[ "$1" = --help ] && { echo "Usage: mke2fs [-d root-directory|tarball]" >&2; exit 1; }
while [ $# -gt 1 ]; do [ "$1" = -d ] && cd "$2" && find . ! -path . -printf '%m %y %p\\n' | sort > "$HOME/layout"; shift; done
"""
PREPARE = """chmod -R u+rwX "$HOME/wo" 2>/dev/null; rm -rf "$HOME/wo" "$HOME/layout"; mkdir "$HOME/wo"; cd "$HOME/wo"; echo text > file; mkdir folder; ln -s nowhere dangling
create() { $P --silent overlay create "$@"; status=$?; echo $status; [ $status != 0 ] || { for made in "$@"; do :; done; layout "$made"; }; }
layout() { [ -d "$1" ] && (cd "$1" && find . ! -path . -printf '%m %y %p\\n' | sort) || cat "$HOME/layout"; }
umask 027
"""
LINES = ["create x.img", "create --size 64 x.img", "create -s 512 -S x.img", "create --sparse --size=0x80 x.img", "create --size 63 x.img", "create --size 0 x.img",
         "create -s -5 x.img", "create --size x x.img", "create --size 1e3 x.img", "create --size 99999999999999999999 x.img", "create --size '' x.img",
         "create -f x.img", "create --create-dir /x x.img", "create --create-dir a/b,/c --create-dir d x.img", "create --create-dir '' x.img",
         "create --create-dir / --create-dir . x.img", "create --create-dir a//./b/ x.img", "create --create-dir .. x.img", "create --create-dir /../x x.img",
         "create --create-dir a/../b x.img", "create --create-dir 'sp ace' x.img", "create file", "create folder", "create ''", "create no/such/x.img",
         "create", "create a b", "create --bogus x.img", "create x.img; create x.img", "create 'sp ace'", "create x.img/", "create --help",
         "create $PWD/x.img", "create dangling", "cp IMAGE x.sif; create x.sif"]


@pytest.fixture(scope="module")
def tools(scratch):
    folder = scratch / "fake-mkfs"
    folder.mkdir()
    (folder / "mkfs.ext3").write_text(MKFS)
    (folder / "mkfs.ext3").chmod(0o755)
    return folder


@pytest.fixture
def both(apptainer, sifrun, tools):
    """Runs a script under each program."""

    def run(script):
        path = f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin"
        return [apptainer.command(["sh", "-c", PREPARE + script], env={"P": program, "PATH": path}, cwd="/home/user") for program in ("apptainer", sifrun)]

    return run


def of_no_help(text):
    """Without the pages that Apptainer prints for mistakes and both for --help."""
    return [line for line in text.splitlines() if line.isdigit() or line[:4] in ("700 ", "755 ")]


@pytest.mark.parametrize("line", LINES)
def test_create(line, both, busybox_sif):
    """The same status and the same folders with the same modes, whatever the umask."""
    reference, done = both(line.replace("IMAGE", str(busybox_sif)))
    same = of_no_help(done.stdout) == of_no_help(reference.stdout)
    assert same == (line not in DIFFERENT), (done.stdout, done.stderr, reference.stdout, reference.stderr)


def test_a_script_for_apptainer(both, busybox_sif, fuse_device):
    """What it wrote is there the next time, also when looked at only. The kernel leaves a folder in it that not even its owner may enter."""
    _, done = both(f"""$P overlay create --size 512 --create-dir /data overlay.img
$P exec --overlay overlay.img {busybox_sif} sh -c 'echo kept > /data/file; rm /srv/replaced'
$P exec --overlay overlay.img:ro {busybox_sif} sh -c 'cat /data/file; ls /srv/replaced'; ls -A; stat -c %a overlay.img
chmod -R u+rwX overlay.img; rm -rf overlay.img; ls -A""")
    assert done.stdout.split() == ["kept", "dangling", "file", "folder", "overlay.img", "700", "dangling", "file", "folder"], (done.stdout, done.stderr)
    assert "INFO:    Made the folder overlay.img for --overlay; its size is not limited\n" in done.stderr


@pytest.mark.parametrize("line, said", [
    ("--size 10 x", "--size 10: at least 64 (MiB) is needed"), ("file", "cannot make the overlay file: it exists already"),
    ("x.sif", "cannot add an overlay to x.sif: an ext3 partition cannot be mounted; name a new folder and run with --overlay FOLDER"),
    ("--create-dir ../x x", "--create-dir ../x: it would be outside of the overlay"), ("''", "the overlay's name is empty"),
])
def test_refusals(line, said, both, busybox_sif):
    """One line that says why; and nothing is left, hidden folders included."""
    _, done = both(f"cp {busybox_sif} x.sif; $P overlay create {line}; echo $?; ls -A")
    assert done.stderr == f"FATAL:   {said}\n"
    assert done.stdout.split() == ["255", "dangling", "file", "folder", "x.sif"]


def test_umask_that_forbids_everything(both):
    _, done = both("umask 0777; $P -s overlay create --create-dir a/b x; stat -c '%a %n' x x/upper/a/b x/work")
    assert done.stdout == "700 x\n755 x/upper/a/b\n755 x/work\n", done.stderr


def test_two_at_once(both):
    """One makes it, the other one fails, and what was made is whole."""
    _, done = both("for n in 1 2 3 4 5 6 7 8; do $P -s overlay create x 2>/dev/null && echo made & done; wait; find . -mindepth 1 ! -name file ! -name folder ! -name dangling | sort")
    assert done.stdout.split() == ["made", "./x", "./x/upper", "./x/work"]
