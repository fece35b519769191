# SPDX-License-Identifier: Apache-2.0
"""`overlay create`: what it says, which space it takes, and that whatever happens leaves all or nothing."""
import hashlib
import os
import shutil
import signal as signals
import subprocess

import pytest

from beds import kernel
from conftest import absent

MEBIBYTE = 1 << 20
CREATE = ["overlay", "create"]


@pytest.fixture
def create(user, sifrun, tmp_path):
    def run(*arguments, under=()):
        return user.run([*under, sifrun, *CREATE, *arguments], cwd=tmp_path)

    return run


def test_file_size_limit(create, tmp_path):
    done = create("x.img", under=["sh", "-c", 'ulimit -f 10; exec "$@"', "sh"])
    assert done.returncode == 255 and "File too large" in done.stderr, done
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def container(busybox_sif, tmp_path, user):
    copy = tmp_path / "x.sif"
    shutil.copy(busybox_sif, copy)
    if os.geteuid() == 0:
        os.chown(copy, user.uid, user.gid)
    return copy


@pytest.fixture
def injected(sifrun):
    """The options of strace by which system calls of the program go wrong."""
    if not shutil.which("strace"):
        absent("strace is not installed")
    return lambda *rules: ["strace", "-f", "-qq", "-o", "/dev/null", *(word for rule in rules for word in ("-e", f"inject={rule}"))]


def checked(image):
    """e2fsck's status of an image."""
    done = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, env={"PATH": "/usr/sbin:/sbin"})
    assert done.returncode == 0, done.stdout


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def added(sifrun, user, container):
    """The overlay in it; None if it has but what it had."""
    listing = user.run([sifrun, "sif", "list", container]).stdout
    assert "Squashfs/*System" in listing
    if "Ext3/Overlay" not in listing:
        return None
    part = container.with_suffix(".part")
    with open(part, "wb") as out:
        subprocess.run([sifrun, "sif", "dump", "5", container], stdout=out, check=True)
    return part


@pytest.mark.parametrize("arguments, said", [
    (["--size", "10", "x"], "--size 10: at least 64 (MiB) is needed"), (["--size", "16777216", "x"], "--size 16777216: at most 16777215 (MiB) is possible"),
    (["file"], "cannot make the overlay file: it exists already and is no SIF"), (["dangling"], "cannot make the overlay dangling: it exists already and is no SIF"),
    (["."], "cannot make the overlay .: it exists already and is no SIF"), (["x/"], "cannot write x/: it is a folder, a file name is needed"),
    (["no/x"], "cannot open no: No such file or directory"), (["--create-dir", "../x", "x"], "--create-dir ../x: it would be outside of the overlay"),
    (["--create-dir", "y" * 256, "x"], f"cannot make the folder upper/{'y' * 256}: File name too long"), ([""], "the overlay's name is empty"),
])
def test_refusals(arguments, said, create, tmp_path):
    """One line that says why; and nothing is left, hidden files included."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "dangling").symlink_to("nowhere")
    done = create(*arguments)
    assert (done.returncode, done.stderr) == (255, f"FATAL:   {said}\n")
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file"]


def test_refusals_of_a_container(create, container, sifrun, user, tmp_path):
    """With what to do instead; it is not changed."""
    (tmp_path / "signature").write_text("none")
    steps = [([], "INFO:    Added an overlay of 64 MiB to x.sif\n"),
             ([], "FATAL:   cannot add an overlay to x.sif: it has one already, object 5\nhint:    `sif del 5 x.sif` removes that\n"),
             (["del", "5", container], "INFO:    Added an overlay of 64 MiB to x.sif\n"),
             (["del", "5", container], None),
             (["add", "--datatype", "5", "--signhash", "1", "--signentity", "11" * 20, "--link", "4", container, tmp_path / "signature"],
              "FATAL:   cannot add an overlay to x.sif: it is signed\nhint:    make an overlay in a file of its own\n"),
             (["del", "5", container], None), (["del", "4", container], "FATAL:   cannot add an overlay to x.sif: it has no partition to run from\n")]
    for change, said in steps:
        if change:
            assert user.run([sifrun, "sif", *change]).returncode == 0
        if said:
            before = digest(container)
            assert create("x.sif").stderr == said
            assert (digest(container) == before) == said.startswith("FATAL")
    container.chmod(0o444)
    assert create("x.sif").stderr == "FATAL:   cannot open x.sif: Permission denied\n"


def test_mode(create, tmp_path):
    """The owner's alone, whatever the umask."""
    for mask in (0, 0o777):
        done = create("x", under=["sh", "-c", f"umask {mask:o}; exec \"$@\"", "sh"])
        assert done.stderr == "INFO:    Made the overlay image x of 64 MiB\n"
        assert (tmp_path / "x").stat().st_mode == 0o100600
        (tmp_path / "x").unlink()


@pytest.mark.parametrize("name", ["x", "x.sif"])
@pytest.mark.parametrize("options, size, least, most", [(["--sparse", "-s", "50000"], 50000, 0, 16), (["-s", "80"], 80, 80, 84), ([], 64, 64, 68)])
def test_space(name, options, size, least, most, create, container, tmp_path):
    """It is taken at once, or with --sparse when it is written to."""
    before = container.stat()
    assert create(*options, name).returncode == 0
    after = (tmp_path / name).stat()
    bytes_before, blocks_before = (before.st_size, before.st_blocks) if name == "x.sif" else (0, 0)
    assert size * MEBIBYTE <= after.st_size - bytes_before < size * MEBIBYTE + 4096
    assert least * MEBIBYTE <= (after.st_blocks - blocks_before) * 512 <= most * MEBIBYTE
    if name == "x":
        checked(tmp_path / name)


@pytest.mark.parametrize("options", [["--sparse"], []])
def test_in_place_of_removed_objects(options, create, container, sifrun, user, tmp_path):
    """Their bytes, which stay in the file, are no part of the overlay."""
    (tmp_path / "noise").write_bytes(os.urandom(MEBIBYTE) * 100)
    for line in (["add", "--datatype", "7", container, tmp_path / "noise"], ["del", "5", container]):
        assert user.run([sifrun, "sif", *line]).returncode == 0
    assert create(*options, "x.sif").returncode == 0
    image = added(sifrun, user, container)
    checked(image)
    assert image.read_bytes().count(0) > image.stat().st_size - MEBIBYTE
    assert container.stat().st_size < 66 * MEBIBYTE


def test_no_space_to_reserve(create, container, injected, tmp_path):
    """File systems without fallocate(2) are written to."""
    done = create("x", under=injected("fallocate:error=EOPNOTSUPP"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x").stat().st_blocks * 512 >= 64 * MEBIBYTE
    checked(tmp_path / "x")


def test_full_disk(root, sifrun, scratch, busybox_sif):
    """It is told at once; nothing is left and the container is as it was. With --sparse there is room enough."""
    place = scratch / "small"
    place.mkdir(exist_ok=True)
    kernel.mount("tmpfs", place, "tmpfs", data="size=20m")
    try:
        container = shutil.copy(busybox_sif, place / "x.sif")
        before = digest(container)
        for name in ("x.img", "x.sif"):
            done = root.run([sifrun, *CREATE, name], cwd=place)
            assert done.returncode == 255
            assert done.stderr == f"FATAL:   cannot reserve 64.0 MiB for {name}: No space left on device\nhint:    --sparse takes space when it is written to\n"
        assert os.listdir(place) == ["x.sif"] and digest(container) == before
        for name in ("x.img", "x.sif"):
            assert root.run([sifrun, *CREATE, "--sparse", name], cwd=place).returncode == 0
    finally:
        kernel.unmount(place)


@pytest.mark.parametrize("signal", ["INT", "TERM", "HUP"])
def test_interrupted(signal, create, container, injected, tmp_path):
    """It ends by that signal, and nothing has changed."""
    before = digest(container)
    for rules in (["fallocate:error=EOPNOTSUPP", f"pwrite64:signal=SIG{signal}:when=5"], [f"fallocate:signal=SIG{signal}"]):
        for name in ("x", "x.sif"):
            done = create(name, under=injected(*rules))
            assert done.returncode == -getattr(signals, f"SIG{signal}"), done
            assert os.listdir(tmp_path) == ["x.sif"] and digest(container) == before


def test_killed(create, container, injected, sifrun, user, tmp_path):
    """At any write: a file is there whole or not at all, and so is the container's new object."""
    original, found = container.read_bytes(), set()
    for number in range(1, 200):
        done = create("--sparse", "x", under=injected(f"pwrite64:signal=SIGKILL:when={number}"))
        assert os.listdir(tmp_path) == ["x.sif"] or done.returncode == 0
        if done.returncode == 0:
            break
    for number in range(1, 200):
        done = create("--sparse", "x.sif", under=injected(f"pwrite64:signal=SIGKILL:when={number}"))
        part = added(sifrun, user, container)
        found.add(part is not None)
        if part:
            checked(part)
            part.unlink()
        if done.returncode == 0:
            break
        container.write_bytes(original)
    assert number < 199 and found == {True, False}


@pytest.mark.parametrize("name", ["x", "x.sif"])
def test_several_at_once(name, create, container, sifrun, user, tmp_path):
    """One makes it, the others fail, and what was made is whole."""
    started = [user.popen([sifrun, *CREATE, name], cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(8)]
    said = "".join(each.communicate()[1] for each in started)
    assert sorted(each.returncode for each in started) == [0] + [255] * 7
    assert "--force" not in said  # there is no such option
    checked(tmp_path / "x" if name == "x" else added(sifrun, user, container))
