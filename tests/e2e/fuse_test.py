# SPDX-License-Identifier: Apache-2.0
"""Images through the FUSE server alone (tests/probes/mount_probe): the same tree as the kernel's own driver shows, under load,
for every codec; the server's life; damaged images. All of it by both of the kernel's transports."""
import errno
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from beds.servers import open_files, wait_until
from conftest import absent

CODECS = ["gzip", "zstd", "lz4", "xz", "lzo", "lzma"]
ENABLE_URING = pathlib.Path("/sys/module/fuse/parameters/enable_uring")
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent

# Prints a checksum of everything that lstat, listxattr, readlink and read tell about a tree; each worker walks in another order.
SCAN = r"""
import errno, hashlib, json, os, random, stat, sys
root, workers, exact = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "exact"
os.chdir(root)

def record(path):
    status = os.lstat(path)
    fields = [status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), status.st_rdev]
    if not stat.S_ISDIR(status.st_mode):
        fields += [status.st_nlink, status.st_size]
    if exact:
        fields += [status.st_ino, status.st_nlink, status.st_size]
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            fields.append(hashlib.md5(file.read()).hexdigest())
    if stat.S_ISLNK(status.st_mode):
        fields.append(os.readlink(path))
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        names = []
    fields += [(name, os.getxattr(path, name, follow_symlinks=False).hex()) for name in sorted(names)]
    return repr(fields)

def scan(seed):
    shuffle, records, stack = random.Random(seed), {}, ["."]
    while stack:
        path = stack.pop(shuffle.randrange(len(stack)))
        records[path] = record(path)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            stack += [path + "/" + name for name in os.listdir(path)]
    return hashlib.sha256(repr(sorted(records.items())).encode(errors="surrogateescape")).hexdigest() + f" {len(records)}"

pipes = []
for seed in range(workers):
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.write(writable, scan(seed).encode())
        os._exit(0)
    os.close(writable)
    pipes.append(readable)
print(json.dumps(sorted({os.read(pipe, 4096).decode() for pipe in pipes})))
"""


def scan(path, workers=1, exact=True, prefix=()):
    done = subprocess.run([*map(str, prefix), sys.executable, "-c", SCAN, str(path), str(workers), "exact" if exact else "content"],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def built_probe(scratch, name):
    source = pathlib.Path(os.environ.get("SIFCONV_BUILD") or REPOSITORY / "build/release") / "bin" / name
    if not source.exists():
        pytest.fail(f"{source} is not built", pytrace=False)
    (scratch / "bin").mkdir(exist_ok=True)
    return shutil.copy(source, scratch / "bin" / name)


@pytest.fixture(scope="module")
def probe(scratch):
    return built_probe(scratch, "mount_probe")


@pytest.fixture(scope="module", params=["device", "io_uring"], autouse=True)
def transport(request):
    """io_uring is off until an administrator allows it, which root's tests do."""
    if request.param == "io_uring":
        request.getfixturevalue("root")
        ENABLE_URING.exists() or absent("this kernel's FUSE knows no io_uring (Linux 6.14)")
    before = ENABLE_URING.read_text() if os.geteuid() == 0 and ENABLE_URING.exists() else None
    if before is not None:
        ENABLE_URING.write_text("Y" if request.param == "io_uring" else "N")
    yield request.param
    if before is not None:
        ENABLE_URING.write_text(before)


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def tree(scratch):
    """One of everything, and enough Python modules that blocks, fragments and directories of all sizes occur."""
    root = scratch / "fuse-tree"
    modules = pathlib.Path(os.__file__).parent
    shutil.copytree(modules, root / "python", ignore=shutil.ignore_patterns("test", "config-*", "dist-packages", "site-packages"), symlinks=True)
    (root / "big").write_bytes(b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(40000)))
    (root / "hard").hardlink_to(root / "big")
    (root / "sparse").touch()
    os.truncate(root / "sparse", 3_000_000)
    (root / "odd \n\udcff").write_text("odd")
    (root / "many").mkdir()
    for number in range(1500):
        (root / "many" / f"entry-{number:05}").touch()
    os.mkfifo(root / "fifo")
    if os.geteuid() == 0:
        os.mknod(root / "device", 0o020640, os.makedev(10, 300))
        os.chown(root / "sparse", 12345, 4_000_000)
    try:
        os.setxattr(root / "big", "user.test", b"value" * 60)
    except OSError as error:  # a file system without extended attributes
        if error.errno != errno.EOPNOTSUPP:
            raise
    return root


@pytest.fixture(scope="session")
def make_image(tree, scratch):
    """Gives a test its own copy of an image of the tree."""
    folder = scratch / "fuse-images"
    folder.mkdir()

    def make(image, *options):
        made = folder / "".join(options)
        if not made.exists():
            done = subprocess.run(["mksquashfs", tree, made, "-noappend", "-no-progress", *options], capture_output=True, text=True)
            said = done.stdout + done.stderr
            if "is not supported" in said:
                pytest.skip(f"mksquashfs {options}: {said}")
            assert done.returncode == 0, said
        return shutil.copyfile(made, image)

    return make


@pytest.fixture(scope="session")
def tree_scanned(tree):
    return scan(tree, exact=False)


def servers(image):
    """Process ids of the servers that were started for this image."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text().strip() == "sifrun-fuse" and str(image) in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except (OSError, ValueError):
            pass
    return found


@pytest.mark.parametrize("transport, codec", [("device", codec) for codec in CODECS] + [("io_uring", codec) for codec in ("gzip", "zstd")],
                         indirect=["transport"], scope="module")
def test_sixteen_readers_see_what_the_kernel_sees(root, probe, tree_scanned, make_image, target, tmp_path, codec):
    image = make_image(tmp_path / "image", "-comp", codec)
    shown = scan(target, 16, prefix=[probe, image, target])
    assert len(shown) == 1
    assert scan(target, 1, exact=False, prefix=[probe, image, target]) == tree_scanned
    if codec == "lzma":  # no kernel mounts these; what they were made of was compared
        return
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    if subprocess.run(["mount", "-o", "ro,loop", image, kernel], capture_output=True).returncode != 0:
        pytest.skip(f"this kernel mounts no {codec} squashfs; the tree itself was compared")
    try:
        assert scan(kernel) == shown
    finally:
        subprocess.run(["umount", kernel], check=True)


def test_user_reads_everything_and_owns_it(user, fuse_device, probe, tree, make_image, target, tmp_path):
    image = make_image(tmp_path / "image", "-comp", "zstd")
    done = user.run([probe, "--owner", image, target, "sh", "-c",
                     f"cksum < {target}/big; stat -c '%u %g' {target}/sparse; ls {target}/many | wc -l; touch {target}/new"])
    expected = user.run(["sh", "-c", f"cksum < {tree}/big"])
    assert done.stdout.splitlines() == [expected.stdout.strip(), f"{user.uid} {user.gid}", "1500"]
    assert "Read-only file system" in done.stderr


SUMS = "cd {} && find . -type f -print0 | sort -z | xargs -0 -n 16 -P 4 sha256sum | sort"


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_files_in_order_come_unasked(user, fuse_device, probe, tree, make_image, target, tmp_path, scratch, codec):
    image = make_image(tmp_path / "image", "-comp", codec, "-all-root")
    everything = user.run([probe, image, target, "sh", "-c", SUMS.format(target)])
    assert everything.stdout == user.run(["sh", "-c", SUMS.format(tree)]).stdout
    pages = built_probe(scratch, "resident_pages")  # tells only a file's owner

    def next_ones_pages(order):
        script = f"""cd {target}/python/encodings; ls -l >/dev/null
          ls *.py | head -40 | {order} | xargs -n 1 cat >/dev/null; {pages} $(ls *.py | sed -n 41p)"""
        return int(user.run([probe, "--owner", image, target, "sh", "-c", script]).stdout)
    assert next_ones_pages("sort") > 0
    assert next_ones_pages("sort -r") == 0


def test_server_ends_with_the_last_user_of_the_mount(user, fuse_device, probe, make_image, target, tmp_path):
    image = make_image(tmp_path / "image", "-comp", "lz4")
    # A child outlives the program that was started, and still reads.
    payload = user.popen([probe, image, target, "sh", "-c", f"sleep 100 & echo $!; exec sleep 1000"], stdout=subprocess.PIPE)
    background = int(payload.stdout.readline())
    wait_until(lambda: len(servers(image)) == 1)
    payload.kill()
    payload.wait()
    time.sleep(0.3)
    assert len(servers(image)) == 1
    os.kill(background, signal.SIGKILL) if os.geteuid() == 0 else user.run(["kill", "-9", background])
    wait_until(lambda: not servers(image))
    assert str(target) not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_server_holds_nothing_and_survives_the_jobs_signals(root, probe, tree, make_image, target, tmp_path):
    image = make_image(tmp_path / "image", "-comp", "gzip")
    keep = os.open(tree, os.O_RDONLY)
    payload = subprocess.Popen([probe, image, target, "sh", "-c", f"read go; cksum < {target}/big"], pass_fds=[keep], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: len(servers(image)) == 1)
    server, = servers(image)
    # The process to end after, and the mount itself until then: nothing of the host.
    wait_until(lambda: open_files(server) == {"/dev/null", "/dev/fuse", str(image), "anon_inode:[pidfd]", str(target)})
    status = pathlib.Path(f"/proc/{server}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status
    assert os.getpgid(server) != os.getpgid(payload.pid) and os.getsid(server) != os.getsid(payload.pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(server, number)
    output, errors = payload.communicate("go\n", timeout=30)
    assert payload.returncode == 0, errors
    assert output.split()[1] == str((tree / "big").stat().st_size)
    os.close(keep)
    wait_until(lambda: not servers(image))


@pytest.mark.parametrize("victim", ["program", "server"])
def test_transport_is_used_and_survives_a_kill_under_load(root, probe, make_image, target, tmp_path, transport, victim):
    image = make_image(tmp_path / "image", "-comp", "zstd")
    # Direct reads are asked of the server every time; what the kernel has in its cache would be read for ever.
    load = f"""find {target} -type f | xargs cat | wc -c >&2; echo ready; read go
      while dd if={target}/big of=/dev/null bs=64k iflag=direct && find {target}/python -type f | xargs cat >/dev/null; do :; done"""
    payload = subprocess.Popen([probe, image, target, "sh", "-c", load], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    assert payload.stdout.readline() == "ready\n"
    server, = servers(image)
    assert ("anon_inode:[io_uring]" in open_files(server)) == (transport == "io_uring")
    payload.stdin.write("go\n")
    payload.stdin.flush()
    if victim == "server":
        os.kill(server, signal.SIGKILL)
    else:
        os.killpg(payload.pid, signal.SIGKILL)
    payload.wait(timeout=30)  # not one of its reads waits for ever
    wait_until(lambda: not servers(image))


def test_launcher_leaves_no_zombie_and_dies_with_its_server(user, fuse_device, probe, make_image, tmp_path):
    image = make_image(tmp_path / "image", "-comp", "gzip")
    done = user.run([probe, image, tmp_path / "absent", "true"])
    assert done.returncode == 255 and "cannot mount the image at" in done.stderr
    wait_until(lambda: not servers(image))


def test_damage_is_an_input_output_error_and_not_an_absent_file(user, fuse_device, probe, tree, make_image, target, tmp_path):
    image = make_image(tmp_path / "image", "-comp", "zstd", "-no-fragments")
    with open(image, "r+b") as file:
        file.seek((tree / "big").stat().st_size + 200_000)  # behind the incompressible file, whose damage nobody could notice
        file.write(b"\xa5" * 200_000)
    with open(tmp_path / "log", "w+") as log:
        done = user.run([probe, image, target, "sh", "-c", f"ls {target} | wc -l; find {target} -type f -exec cat {{}} + > /dev/null"],
                        capture_output=False, stdout=subprocess.PIPE, stderr=log)
        log.seek(0)
        messages = log.read()
    assert done.stdout.strip() != "0"
    assert "Input/output error" in messages and "No such file" not in messages
    assert "WARNING:" in messages and "corrupt" in messages


def test_damaged_tables_are_the_launchers_error(user, fuse_device, probe, make_image, target, tmp_path):
    image = make_image(tmp_path / "image", "-comp", "zstd")
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    done = user.run([probe, image, target, "true"])
    assert done.returncode == 255 and "is truncated" in done.stderr
    image.write_bytes(whole[:64] + b"\xff" * 32 + whole[96:])
    done = user.run([probe, image, target, "true"])
    assert done.returncode == 255 and "corrupt squashfs" in done.stderr
