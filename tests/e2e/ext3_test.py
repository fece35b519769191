# SPDX-License-Identifier: Apache-2.0
"""ext3 images that are written to without the kernel's driver: what programs see, what is kept, and that the image is sound whenever it is looked at.

e2fsck is the judge after every run, and what the kernel's own driver shows of the same image is the same.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from beds import kernel
from beds.servers import open_files, wait_until

MEBIBYTE = 1 << 20
TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
PYTHON = "/usr/bin/python3"  # the host's, in containers too: HOST_USR
HOST_USR = ["--bind", "/usr:/usr:ro"]

# A JSON object path -> [mode, owner, group, links, size, blocks, content or target, time of change, xattrs], of the names argv[2:] in argv[1].
SCAN = r"""
import errno, hashlib, json, os, stat, sys
def contents(path):
    total = hashlib.md5()
    with open(path, "rb") as file:
        total.update(file.read(20 << 20))
        file.seek(max(file.tell(), os.stat(path).st_size - (2 << 20)))  # what is larger is mostly a hole
        total.update(file.read())
    return total.hexdigest()
def record(path):
    status = os.lstat(path)
    fields = [oct(status.st_mode), status.st_uid, status.st_gid]
    if stat.S_ISDIR(status.st_mode):
        fields += [None] * 4
    else:
        text = os.readlink(path) if stat.S_ISLNK(status.st_mode) else contents(path) if stat.S_ISREG(status.st_mode) and status.st_mode & 0o400 else str(status.st_rdev)
        fields += [status.st_nlink, status.st_size, status.st_blocks, text]
    try: names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP: raise  # a squashfs without any
        names = []
    names = [name for name in names if name.startswith("user.")]
    return fields + [status.st_mtime_ns, {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}]
found = {}
def walk(path):
    found[path] = record(path)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for name in os.listdir(path): walk(path + "/" + name)
os.chdir(sys.argv[1])
for top in sys.argv[2:]: walk(top)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def lower_tree(scratch):
    """The image's root: busybox, what the host's programs need, and something to change."""
    tree = scratch / "ext3-tree"
    for folder in ("bin", "etc", "tmp", "proc", "sys", "dev", "var/tmp", "root", "home", "usr"):
        (tree / folder).mkdir(parents=True)
    for name in ("lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for applet in "sh cat ls mkdir rm mv cp touch sleep echo true test sync df dd kill chmod stat readlink wc".split():
        (tree / "bin" / applet).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    low = tree / "low"
    for folder in ("gone/deep", "again/deep", "moved/deep", "kept/deep", "half"):
        (low / folder).mkdir(parents=True)
        for number in range(3):
            (low / folder / f"file{number}").write_text(f"{folder} {number}\n" * 100)
    (low / "link").symlink_to("kept/deep")
    for name in "abcf":
        (tree / "random" / name / "c").mkdir(parents=True)
        for inner in ("a", "c/b", "c/f"):
            (tree / "random" / name / inner).write_text(f"{name} {inner}\n" * 300)
    (low / "mapped").write_bytes(bytes(range(256)) * 64)
    for number in range(4):
        (low / f"plain{number}").write_text(f"plain {number}\n")
    return tree


@pytest.fixture(scope="module")
def image(lower_tree, scratch, fuse_device):
    path = scratch / "ext3.squashfs"
    subprocess.run(["mksquashfs", lower_tree, path, "-noappend", "-quiet", "-no-progress", "-all-root"], check=True, stdout=subprocess.DEVNULL)
    path.chmod(0o644)
    return path


class Image:
    """An ext file system in a file, and who looks at it."""

    def __init__(self, path):
        self.path = path

    def check(self):
        """Sound as it is, with nothing left to be done."""
        done = subprocess.run(["e2fsck", "-fn", self.path], capture_output=True, text=True, env=TOOLS)
        assert done.returncode == 0, done.stdout + done.stderr
        features = subprocess.run(["dumpe2fs", "-h", self.path], capture_output=True, text=True, env=TOOLS).stdout
        assert "needs_recovery" not in features and "Filesystem state:         clean\n" in features, features

    def check_after_replay(self):
        """Sound once the journal was replayed and what was open is freed, as a mount would do; in a copy."""
        copy = Image(self.path.with_name(self.path.name + ".copy"))
        subprocess.run(["cp", "--sparse=always", self.path, copy.path], check=True)
        try:
            done = subprocess.run(["e2fsck", "-p", copy.path], capture_output=True, text=True, env=TOOLS)
            assert done.returncode in (0, 1), done.stdout + done.stderr
            copy.check()
        finally:
            copy.path.unlink()

    def debugfs(self, request):
        return subprocess.run(["debugfs", "-R", request, self.path], capture_output=True, text=True, env=TOOLS).stdout

    @contextlib.contextmanager
    def mounted(self, *options):
        """By the kernel, which only root may ask for."""
        with loop_mounted(self.path, *options) as place:
            yield place

    def kernel_scan(self, lower, *tops):
        """What the kernel's driver and its overlay show below folders of the image."""
        place = self.path.with_name(self.path.name + ".overlay")
        place.mkdir(exist_ok=True)
        with self.mounted("ro") as upper, loop_mounted(lower, "ro", at=self.path.with_name("lower.mnt")) as below:
            kernel.mount("overlay", place, "overlay", data=f"lowerdir={upper}/upper:{below},userxattr")
            try:
                found = scan_of(subprocess.run([PYTHON, "-c", SCAN, place, *tops], capture_output=True, text=True))
                for fields in found.values():
                    fields[-1].pop("user.fuseoverlayfs.opaque", None)  # the mark's name for another program, which the kernel shows
                return found
            finally:
                kernel.unmount(place)


@contextlib.contextmanager
def loop_mounted(path, *options, at=None):
    place = at or path.with_name(path.name + ".mnt")
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", ",".join(["loop", *options]), path, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def scan_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def make(tmp_path, identity):
    """make("x.ext3", size=32): an image of some MiB, owned by whom the test runs as."""

    def run(name="x.ext3", size=32, kind="ext3", *options):
        path = tmp_path / name
        path.touch()
        os.truncate(path, size * MEBIBYTE)
        subprocess.run([f"mkfs.{kind}", "-q", "-F", *options, path], check=True, env=TOOLS, stdout=subprocess.DEVNULL)
        if os.geteuid() == 0:
            os.chown(path, identity.uid, identity.gid)
        return Image(path)

    return run


@pytest.fixture
def command(sifrun, image):
    """A command line that runs a shell script, or a list, in the image, contained: root's scripts remove things."""

    def line(script, *options, root=None):
        words = script if isinstance(script, list) else ["/bin/sh", "-c", script]
        return [sifrun, "exec", "--contain", *options, root or image, *words]

    return line


@pytest.fixture
def run(identity, command, tmp_path):
    def runs(script, *options, status=0, root=None, **more):
        more.setdefault("cwd", tmp_path)
        more.setdefault("timeout", 60)
        done = identity.run(command(script, *options, root=root), **more)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    return runs


@pytest.fixture
def python(run):
    """Runs a Python program by the host's interpreter."""

    def runs(program, *options, arguments=(), **more):
        return run([PYTHON, "-c", program, *arguments], *HOST_USR, *options, **more)

    return runs


def server_of(image):
    """The process id of the file server that has this image open, if any."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text() == "sifrun-ext\n" and str(image.path) in open_files(entry.name):
                return int(entry.name)
        except OSError:
            continue
    return None


# What programs can do, and what is kept

CHANGES = r"""
import ctypes, errno, fcntl, mmap, os, shutil, stat, subprocess
os.umask(0)
os.mkdir("/w")
def write(path, data, mode=0o644):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(descriptor, data)
    os.close(descriptor)
def read(path):
    with open(path, "rb") as file: return file.read()

for mode in (0o600, 0o644, 0o755, 0o400, 0o777):
    write("/w/mode-%o" % mode, b"x" * mode, mode)
write("/w/setuid", b"")
os.chmod("/w/setuid", 0o4755)
for mode in (0o700, 0o1777, 0o2775):
    os.mkdir("/w/folder-%o" % mode)
    os.chmod("/w/folder-%o" % mode, mode)
os.mkdir("/w/folder-2775/child", 0o755)
write("/w/folder-2775/file", b"")
assert stat.S_IMODE(os.stat("/w/folder-2775/child").st_mode) == 0o2755
write("/w/closed", b"secret")
os.chmod("/w/closed", 0)

os.symlink("a short target", "/w/short")
os.symlink("y" * 700, "/w/long")
write("/w/name" + "n" * 251, b"long name")
write("/w/\udcff \n", b"odd name")
os.mkfifo("/w/fifo", 0o640)
write("/w/hard", b"one")
os.link("/w/hard", "/w/hard2")
write("/w/hard2", b"two")
assert read("/w/hard") == b"two" and os.stat("/w/hard").st_nlink == 2

write("/w/xattrs", b"")
os.setxattr("/w/xattrs", "user.one", b"1")
os.setxattr("/w/xattrs", "user.two", b"2" * 500)
os.setxattr("/w/xattrs", "user.three", b"")
os.setxattr("/w/xattrs", "user.one", b"11")
os.setxattr("/w/xattrs", "user.four", b"4")
os.removexattr("/w/xattrs", "user.four")
assert sorted(os.listxattr("/w/xattrs")) == ["user.one", "user.three", "user.two"]
try: os.setxattr("/w/xattrs", "user.one", b"", os.XATTR_CREATE); assert False
except OSError as error: assert error.errno == errno.EEXIST
try: os.getxattr("/w/xattrs", "user.four"); assert False
except OSError as error: assert error.errno == errno.ENODATA
os.setxattr("/w/folder-700", "user.f", b"folder")

with open("/w/sparse", "wb") as file:
    file.write(b"start")
    file.seek(3 << 30)
    file.write(b"end")
    file.truncate((3 << 30) + 1_000_000)
assert os.stat("/w/sparse").st_blocks < 200
with open("/w/cut", "wb") as file:
    file.write(os.urandom(500_000))
os.truncate("/w/cut", 12_345)
os.truncate("/w/cut", 300_000)
assert read("/w/cut")[12_345:] == bytes(300_000 - 12_345)

with open("/w/mapped", "w+b") as file:
    file.truncate(50_000)
    memory = mmap.mmap(file.fileno(), 50_000)
    memory[10_000:10_004] = b"mmap"
    memory[49_990:] = b"0123456789"
    memory.flush()
    assert os.pread(file.fileno(), 4, 10_000) == b"mmap"
    memory[20_000:20_004] = b"late"
    memory.close()
with open("/low/mapped", "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
    assert memory[:4] == b"\0\1\2\3"
    memory[1000:1005] = b"upper"
    memory.close()

# Of the image's own
os.rename("/low/plain0", "/w/from-low")
write("/w/new", b"new over low")
os.rename("/w/new", "/low/plain1")
os.remove("/low/plain2")
with open("/low/plain3", "ab") as file: file.write(b"appended")
os.chmod("/low/kept/deep/file0", 0o600)
os.link("/low/kept/deep/file1", "/w/link-of-low")
shutil.rmtree("/low/gone")
shutil.rmtree("/low/again")
os.makedirs("/low/again/deep")
assert os.listdir("/low/again") == ["deep"] and os.listdir("/low/again/deep") == []
write("/low/again/deep/new", b"again")
try: os.rename("/low/moved", "/w/moved"); assert False
except OSError as error: assert error.errno == errno.EXDEV
shutil.move("/low/moved", "/w/moved")
os.remove("/low/half/file1")
write("/low/half/extra", b"extra")
write("/low/link/by-link", b"through a symlink")
os.makedirs("/w/a/b/c")
os.rename("/w/a/b", "/w/b")
os.rename("/w/b", "/w/a/renamed")
for number in range(2):  # a folder in place of an empty one
    os.mkdir("/w/place%d" % number)
write("/w/place0/x", b"")
os.rename("/w/place0", "/w/place1")

unnamed = os.open("/w", os.O_TMPFILE | os.O_RDWR, 0o640)
os.write(unnamed, b"no name yet")
os.link("/proc/self/fd/%d" % unnamed, "/w/named", src_dir_fd=os.open("/", os.O_RDONLY), follow_symlinks=True)
os.close(unnamed)
os.close(os.open("/w", os.O_TMPFILE | os.O_RDWR, 0o640))
with open("/w/unlinked", "w+b") as file:
    file.write(b"z" * 100_000)
    os.remove("/w/unlinked")
    file.seek(99_999)
    assert file.read() == b"z" and os.fstat(file.fileno()).st_nlink == 0
    file.write(b"more" * 1000)
    file.flush()
    os.fsync(file.fileno())

libc = ctypes.CDLL(None, use_errno=True)
def renameat2(one, other, flags):
    if libc.renameat2(-100, one.encode(), -100, other.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
write("/w/left", b"was left")
os.mkdir("/w/right")
write("/w/right/in", b"was right")
renameat2("/w/left", "/w/right", 2)
assert read("/w/right") == b"was left" and read("/w/left/in") == b"was right"
try: renameat2("/w/left", "/w/right", 1); assert False
except OSError as error: assert error.errno == errno.EEXIST

with open("/w/lock", "w") as one, open("/w/lock", "w") as other:
    fcntl.flock(one, fcntl.LOCK_EX)
    try: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB); assert False
    except BlockingIOError: pass
    fcntl.lockf(one, fcntl.LOCK_EX, 10, 0)
    if os.fork() == 0:
        try: fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5); os._exit(1)
        except OSError: os._exit(0)
    assert os.wait()[1] == 0

space = os.statvfs("/w")
assert space.f_blocks * space.f_frsize > 20 << 20 and 0 < space.f_bavail <= space.f_bfree < space.f_blocks and 0 < space.f_ffree < space.f_files
with open("/w/big", "wb") as file: file.write(bytes(range(256)) * 4 * 4096)
os.sync()
assert space.f_bfree * space.f_frsize - os.statvfs("/w").f_bfree * space.f_frsize >= 4 << 20
descriptor = os.open("/w", os.O_RDONLY)
os.fsync(descriptor)

shutil.copy("/bin/busybox", "/w/busybox")
assert subprocess.run(["/w/busybox", "echo", "runs"], capture_output=True).stdout == b"runs\n"
write("/w/script", b"#!/w/busybox sh\necho script runs\n", 0o755)
assert subprocess.run(["/w/script"], capture_output=True).stdout == b"script runs\n"
try: open("/w/busybox", "r+b").close()
except OSError as error: assert error.errno == errno.ETXTBSY

for second, name in ((1234567890_123456789, "old"), (-1_000_000_001, "before 1970"), (4_200_000_000_000000001, "after 2038"), (1_500_000_000_999999999, "mode-644")):
    write("/w/" + name, b"time")
    os.utime("/w/" + name, ns=(second - 1, second))
    status = os.stat("/w/" + name)
    assert (status.st_atime_ns, status.st_mtime_ns) == (second - 1, second), (name, status)
os.utime("/w/short", ns=(1, 2), follow_symlinks=False)
os.utime("/w/folder-700", ns=(5_000_000_003, 5_000_000_004))
"""


def owned_by(found, identity):
    """An ordinary user's container shows files of the image as its user's, who has one id to show them with."""
    return {path: [fields[0], *(identity.uid if each == 0 else each for each in fields[1:3]), *fields[3:]] for path, fields in found.items()}


def test_changes_are_kept(identity, python, make, image):
    """The same at once, the next time, read-only, and to the kernel."""
    overlay = make(size=40)
    option = ["--overlay", overlay.path]
    python(CHANGES, *option)
    overlay.check()
    found = scan_of(python(SCAN, *option, arguments=["/", "low", "w"]))
    overlay.check()
    again = scan_of(python(SCAN, "--overlay", f"{overlay.path}:ro", arguments=["/", "low", "w"]))
    assert found == again
    assert len(found) > 60 and found["w/hard"][6] == found["w/hard2"][6]
    if os.geteuid() == 0:
        assert owned_by(found, identity) == owned_by(overlay.kernel_scan(image, "low", "w"), identity)


def test_hard_links_outlive_their_first_name(run, make):
    """However that has gone: programs make files by link(2) and unlink(2) of a temporary name."""
    overlay = make()
    option = ["--overlay", overlay.path]
    run("mkdir /w; cd /w; for n in 1 2 3; do echo $n > a$n; ln a$n b$n; ln a$n c$n; done; busybox ln -s t s; echo x > x", *option)
    overlay.check()
    done = run("""cd /w; cat a1 b1; rm a1; cat b1 c1; echo more >> b1; cat c1
      cat b2 a2; mv x b2; cat a2 b2 c2; cat a3 b3; mv a3 d3; rm b3; cat c3 d3; rm d3; cat c3
      echo new > new; sync; ln new other; cat new; rm new; cat other; stat -c %h other c1""", *option)
    assert done.stdout.split() == "1 1 1 1 1 more 2 2 2 x 2 3 3 3 3 3 new new 1 2".split(), done.stderr
    overlay.check()


@pytest.fixture
def busy_node():
    """Programs and file servers wait for their turn."""
    spinning = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4 * os.cpu_count())]
    yield
    for each in spinning:
        each.kill()
        each.wait()


@pytest.mark.parametrize("node", ["idle", "busy"])
def test_hard_links_one_after_another(node, request, python, make):
    """What the kernel asks, and in which order it tells what it forgets, changes with what it has asked before."""
    if node == "busy":
        request.getfixturevalue("busy_node")
    program = """
import os
for number in range(150):
    os.makedirs("/w/%d" % number); os.chdir("/w/%d" % number)
    with open("a", "w") as file: file.write("old %d" % number)
    os.link("a", "b"); os.stat("b"); os.unlink("a")
    with open("a", "w") as file: file.write("new %d" % number)
    assert open("b").read() == "old %d" % number and open("a").read() == "new %d" % number
print("done")
"""
    overlay = make()
    assert python(program, "--overlay", overlay.path).stdout == "done\n"
    overlay.check()


def test_a_killed_server_leaves_nothing_that_cannot_be_killed(identity, command, make):
    """Not even while the kernel has it wait for a directory that is held by who waits for it."""
    program = """
import os, itertools
os.makedirs("/w"); os.chdir("/w"); print("ready", flush=True)
for number in itertools.count():
    with open("a", "w") as file: file.write("old")
    os.link("a", "b%d" % number); os.unlink("a")
"""
    overlay = make()
    for delay in range(8):
        process = identity.popen(command([PYTHON, "-c", program.replace("/w", f"/w{delay}")], *HOST_USR, "--overlay", overlay.path),
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3 + delay / 1000)
        os.kill(server_of(overlay), signal.SIGKILL)
        process.wait(20)
        overlay.check_after_replay()


def test_a_killed_probe_costs_neither_names_nor_time(identity, command, make):
    program = """
import os, sys
os.makedirs("/w"); os.chdir("/w")
def change(number):
    with open("a", "w") as file: file.write("old")
    os.link("a", "b%d" % number); os.unlink("a")
    with open("a", "w") as file: file.write("new")
    assert open("b%d" % number).read() == "old" and open("a").read() == "new"
change(0); print("ready", flush=True); sys.stdin.readline()
change(1); print("done", flush=True); sys.stdin.readline()
"""
    overlay = make()
    process = identity.popen(command([PYTHON, "-c", program], *HOST_USR, "--overlay", overlay.path), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    server = server_of(overlay)
    children = pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().split()
    probe, = [int(each) for each in children if pathlib.Path(f"/proc/{each}/comm").read_text() == "sifrun-probe\n"]
    os.kill(probe, signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f"/proc/{probe}").exists())
    busy = [int(word) for word in pathlib.Path(f"/proc/{server}/stat").read_text().split()[13:15]]
    time.sleep(1)
    assert sum(int(word) for word in pathlib.Path(f"/proc/{server}/stat").read_text().split()[13:15]) - sum(busy) < os.sysconf("SC_CLK_TCK") / 4
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    assert "sifrun-probe\n" in [pathlib.Path(f"/proc/{each}/comm").read_text() for each in pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().split()]
    process.communicate("\n", timeout=30)
    overlay.check()


def test_a_real_tree(python, run, make):
    """Copied in by tar, compared by checksums, deleted again; the space is there again."""
    overlay = make(size=128)
    option = ["--overlay", overlay.path]
    source = pathlib.Path(os.__file__).resolve().parent
    sums = f"find {source.name} -type f ! -path '*/dist-packages/*' ! -name '*.pyc' -print0 | sort -z | xargs -0 md5sum | md5sum"
    copy = f"mkdir /w; cd {source.parent}; tar cf - --exclude=*.pyc --exclude=dist-packages {source.name} | tar xf - -C /w"
    run(["/usr/bin/bash", "-c", copy], *HOST_USR, *option)
    overlay.check()
    expected = subprocess.run(["sh", "-c", sums], cwd=source.parent, capture_output=True, text=True, check=True).stdout
    assert run(["/usr/bin/bash", "-c", f"cd /w; {sums}"], *HOST_USR, *option).stdout == expected
    if os.geteuid() == 0:
        with overlay.mounted("ro") as place:
            assert subprocess.run(["sh", "-c", sums], cwd=place / "upper/w", capture_output=True, text=True).stdout == expected
    free = "import os; print(os.statvfs('/').f_bfree)"
    before = int(python(free, *option).stdout)
    run("rm -rf /w", *option)
    overlay.check()
    assert int(python(free, *option).stdout) > before + 10_000


def test_large_folders_read_while_they_are_emptied(python, run, make):
    """Names of all lengths, so that entries of a folder lie as they come."""
    overlay = make(size=40)
    option = ["--overlay", overlay.path]
    python("""
import os, random
chosen = random.Random(1)
os.mkdir("/w"); os.chdir("/w")
for folder in ("one", "two"):
    os.mkdir(folder)
    for number in range(3000):
        name = folder + "/%d-" % number + "x" * chosen.randrange(100)
        os.symlink("t", name) if number % 3 == 0 else os.mkdir(name) if number % 50 == 0 else open(name, "w").close()
assert len(os.listdir("one")) == 3000
""", *option)
    overlay.check()
    python("""
import os
seen = 0
for entry in os.scandir("/w/one"):
    os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.remove(entry.path)
    seen += 1
assert seen == 3000 and os.listdir("/w/one") == []
os.rmdir("/w/one")
for number, entry in enumerate(os.scandir("/w/two")):  # and of those that come meanwhile
    if number % 2: os.rename(entry.path, "/w/two/renamed-%d" % number)
assert len(os.listdir("/w/two")) == 3000
""", *option)
    overlay.check()
    run("rm -rf /w", *option)
    overlay.check()


# Seeded operations on folders below argv[1], with what happened. Folders of the image cannot be renamed (EXDEV), they are copied as mv(1) does; argv[3]
# names those of another run.
RANDOM = r"""
import ctypes, errno, hashlib, json, mmap, os, random, shutil, stat, sys
top, seed, exdev = sys.argv[1], int(sys.argv[2]), set(json.loads(sys.argv[3]))
os.chdir(top)
os.umask(0o022)
chosen = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
names = ["a", "b", "c", "dd" * 20, "e" * 100, "f"]
held = []
moved = []
def path():
    return "/".join(chosen.choice(names) for _ in range(chosen.choice((1, 1, 2, 2, 3))))
def data():
    return chosen.randbytes(chosen.choice((0, 1, 100, 1024, 5000, 40_000, 150_000)))
def rename_by(flags, one, other):
    if libc.renameat2(-100, one.encode(), -100, other.encode(), flags) != 0: raise OSError(ctypes.get_errno(), "renameat2")
def cross(number, action, one, other):
    if number not in exdev:
        try: return action()
        except OSError as error:
            if error.errno != errno.EXDEV: raise
    moved.append(number)
    if os.path.lexists(other): return "exists"
    shutil.copytree(one, other, symlinks=True)
    shutil.rmtree(one)
    return "copied"
def write(number):
    p, d, at = path(), data(), chosen.choice((0, 0, 1000, 100_000))
    with open(os.open(p, os.O_RDWR | os.O_CREAT, 0o640), "r+b") as file: file.seek(at); file.write(d)
def replace(number):
    p, d = path(), data()
    with open(p, "wb") as file: file.write(d)
def append(number):
    p, d = path(), data()
    with open(p, "ab") as file: file.write(d)
def truncate(number):
    p, size = path(), chosen.choice((0, 10, 3000, 100_000, 1 << 22))
    os.truncate(p, size)
def remove(number): os.remove(path())
def mkdir(number): os.mkdir(path(), chosen.choice((0o755, 0o700)))
def rmdir(number): os.rmdir(path())
def rmtree(number):
    p = path()
    if chosen.random() < .3: shutil.rmtree(p)
def rename(number):
    one, other = path(), path()
    return cross(number, lambda: os.rename(one, other), one, other)
def rename_strictly(number):
    one, other = path(), path()
    return cross(number, lambda: rename_by(1, one, other), one, other)
def exchange(number):
    one, other = path(), path()
    if number in exdev: moved.append(number); return
    try: rename_by(2, one, other)
    except OSError as error:
        if error.errno != errno.EXDEV: raise
        moved.append(number)
def link(number): os.link(path(), path(), follow_symlinks=False)
def symlink(number): os.symlink(chosen.choice(("a", "../b", "z" * 200)), path())
def chmod(number): os.chmod(path(), chosen.choice((0o700, 0o755, 0o777, 0o2755)), follow_symlinks=True)
def set_xattr(number): os.setxattr(path(), "user." + chosen.choice("xyz"), chosen.randbytes(chosen.randrange(60)), follow_symlinks=False)
def remove_xattr(number): os.removexattr(path(), "user." + chosen.choice("xyz"), follow_symlinks=False)
def utime(number): os.utime(path(), ns=(chosen.randrange(1 << 60), chosen.randrange(1 << 60)), follow_symlinks=False)
def read(number):
    with open(path(), "rb") as file: return hashlib.md5(file.read()).hexdigest()
def listing(number): return sorted(os.listdir(path()))
def status(number):
    s = os.lstat(path())
    return [s.st_mode] + ([] if stat.S_ISDIR(s.st_mode) else [s.st_size, s.st_nlink])
def mapped(number):
    p, d = path(), data()
    with open(p, "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as memory:
            at = chosen.randrange(len(memory))
            memory[at:at + len(d)] = d[:len(memory) - at]
def hold(number):
    p = path()
    if len(held) < 8: held.append(os.open(p, os.O_RDWR))
def use(number):
    if held:
        descriptor, d = chosen.choice(held), data()
        os.pwrite(descriptor, d, chosen.choice((0, 500, 70_000)))
        return [hashlib.md5(os.pread(descriptor, 1 << 20, 0)).hexdigest(), os.fstat(descriptor).st_nlink, os.fstat(descriptor).st_size]
def let_go(number):
    if held: os.close(held.pop(chosen.randrange(len(held))))
def unnamed(number):
    d, p = data(), path()
    descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    try: os.write(descriptor, d); os.link("/proc/self/fd/%d" % descriptor, p, src_dir_fd=descriptor, follow_symlinks=True)
    finally: os.close(descriptor)
def sync(number):
    descriptor = os.open(path(), os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
operations = [write, write, write, replace, append, truncate, remove, remove, mkdir, mkdir, mkdir, rmdir, rmtree, rename, rename, rename, rename_strictly, exchange,
              link, link, symlink,  chmod, set_xattr, set_xattr, remove_xattr, utime, read, read, listing, status, mapped, hold, use, use, let_go, unnamed, sync]
log = []
for number in range(int(sys.argv[4])):
    operation = chosen.choice(operations)
    state = chosen.getrandbits(64)
    chosen.seed(state)
    try: result = operation(number)
    except (OSError, shutil.Error, ValueError) as error:
        result = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        if result == "ENOTSUP": result = "ENODATA"  # a squashfs without any attribute
    chosen.seed(state + 1)
    log.append([number, operation.__name__, result])
print(json.dumps({"log": log, "moved": moved}))
"""


@pytest.mark.parametrize("kind, options", [("ext3", ()), ("ext4", ("-b", "4096")), ("ext2", ("-I", "128"))])
def test_random_operations(kind, options, identity, python, make, lower_tree, tmp_path):
    """The same happens as on an ordinary file system, run after run, and the same is there at the end."""
    overlay = make("x", 48, kind, *options)
    option = ["--overlay", overlay.path]
    reference = tmp_path / "top/reference"  # links lead to files of the folder above, which is writable as the container's root is
    assert identity.run(["mkdir", reference.parent]).returncode == 0
    assert identity.run(["cp", "-r", "--no-preserve=ownership", lower_tree / "random", reference]).returncode == 0
    for seed in range(3):
        done = json.loads(python(RANDOM, *option, arguments=["/random", str(seed), "[]", "700"]).stdout)
        overlay.check()
        powerless = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []  # root, too, as in a container
        expected = json.loads(identity.run([*powerless, PYTHON, "-c", RANDOM, reference, seed, json.dumps(done["moved"]), 700]).stdout)
        # What the kernel asks cannot always be told from what else it asks (runtime/removed_names.h): then a name that exists is refused in other words.
        for own, right in zip(done["log"], expected["log"]):
            if own[2] == "ESTALE" and right[2] == "EEXIST":
                own[2] = right[2]
        assert done["log"] == expected["log"]
        found = scan_of(python(SCAN, "--overlay", f"{overlay.path}:ro", arguments=["/random", "."]))
        shown = scan_of(identity.run([PYTHON, "-c", SCAN, reference, "."]))
        for fields in (*found.values(), *shown.values()):
            fields[5] = fields[7] = None  # blocks and times
        found["."] = shown["."] = None
        assert found == shown


# However it ends

LOAD = """
import os, random, sys
chosen = random.Random(int(sys.argv[1]))
os.makedirs("/w", exist_ok=True)
os.chdir("/w")
print("ready", flush=True)
number = 0
while True:
    name = "file%d" % chosen.randrange(40)
    if chosen.random() < .2:
        try: os.remove(name)
        except FileNotFoundError: pass
    elif chosen.random() < .2:
        os.makedirs("d%d/e%d" % (chosen.randrange(5), chosen.randrange(5)), exist_ok=True)
    elif chosen.random() < .1:
        open("%d" % number, "w").write(str(number))
        descriptor = os.open("%d" % number, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        folder = os.open(".", os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        print("kept", number, flush=True)
        number += 1
    else:
        with open("part", "wb") as file: file.write(chosen.randbytes(chosen.randrange(100_000)))
        os.rename("part", name)
"""


def stat_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(stat_of(entry.name)[1]) == pid:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def kept(output):
    return [line.split()[1] for line in output.splitlines() if line.startswith("kept ")]


@pytest.mark.parametrize("victim", ["server", "payload", "stand-in", "all"])
def test_killed_at_work(victim, identity, command, python, make, tmp_path):
    """What was synchronized is there, the image is sound, and can be used on; twice over."""
    overlay = make(size=24)
    for turn in range(2):
        process = identity.popen(command([PYTHON, "-c", LOAD, str(turn)], *HOST_USR, "--overlay", overlay.path), cwd=tmp_path,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        server, (payload,) = server_of(overlay), [pid for pid in children(process.pid)]
        time.sleep(.2 + .2 * turn)
        chosen = {"server": [server], "payload": [payload], "stand-in": [process.pid], "all": [server, payload, process.pid]}[victim]
        for pid in chosen:
            os.kill(pid, signal.SIGKILL) if os.geteuid() == 0 else identity.run(["kill", "-9", pid])
        output, errors = process.communicate(timeout=30)
        assert process.returncode == {"server": 1}.get(victim, -signal.SIGKILL), errors
        wait_until(lambda: server_of(overlay) is None, 20)
        if victim in ("payload", "stand-in"):  # the server has ended in its own time
            overlay.check()
        else:
            overlay.check_after_replay()
        names = kept(output)
        assert names
        done = python("import os, sys\nfor name in sys.argv[1:]: assert open('/w/' + name).read() == name, name", "--overlay", f"{overlay.path}:ro", arguments=names)
        done = python("import os, shutil\nshutil.rmtree('/w')", "--overlay", overlay.path)
        overlay.check()


@pytest.mark.parametrize("kind, options", [("ext3", ()), ("ext4", ("-O", "^metadata_csum"))])
def test_any_moment(kind, options, identity, command, python, make, tmp_path):
    """What the file has at any moment is sound after a replay, by e2fsck and by us."""
    overlay = make("x", 24, kind, *options)
    copy = Image(tmp_path / "moment")
    process = identity.popen(command([PYTHON, "-c", LOAD, "7"], *HOST_USR, "--overlay", overlay.path), cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    server = server_of(overlay)
    try:
        for turn in range(9):
            time.sleep(.02 + .01 * turn)
            os.kill(server, signal.SIGSTOP) if os.geteuid() == 0 else identity.run(["kill", "-STOP", server])
            wait_until(lambda: stat_of(server)[0] == "T")
            subprocess.run(["cp", "--sparse=always", overlay.path, copy.path], check=True)
            os.kill(server, signal.SIGCONT) if os.geteuid() == 0 else identity.run(["kill", "-CONT", server])
            if os.geteuid() == 0:
                os.chown(copy.path, identity.uid, identity.gid)
            copy.check_after_replay()
            if turn % 4 == 0:
                shown = scan_of(python(SCAN, "--overlay", f"{copy.path}:ro", arguments=["/", "w"]))
                assert shown == scan_of(python(SCAN, "--overlay", copy.path, arguments=["/", "w"]))
                copy.check()
    finally:
        process.kill()
        process.communicate()
    wait_until(lambda: server_of(overlay) is None, 20)
    overlay.check()


OPTIONS = [[], ["--pid"], ["--containall"], ["--fakeroot"], ["--pid", "--no-init"]]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_exit_status(options, identity, run, command, make, tmp_path):
    """As without an overlay, and the image is done with when sifrun is."""
    overlay = make(size=8)
    option = ["--overlay", overlay.path, *options]
    for status in (0, 1, 37, 255):
        run(f"echo x > /status{status}; exit {status}", *option, status=status)
        overlay.check()
    run(["/no/such"], *option, status=255)
    overlay.check()
    if "--no-init" not in options:  # PID 1 cannot kill itself
        for number in (signal.SIGKILL, signal.SIGABRT, signal.SIGTERM):
            run(f"echo x > /killed{int(number)}; kill -{int(number)} $$", *option, status=-number)
            overlay.check()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        process = identity.popen(command(f"trap 'echo got > /got{int(number)}; exit 9' {int(number)}; echo ready; while :; do sleep 0.02; done", *option), cwd=tmp_path,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        process.send_signal(number)
        assert process.wait(20) == 9
        overlay.check()
        if "--no-init" in options:
            continue
        process = identity.popen(command("echo ready; exec sleep 60", *option), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(.05)
        process.send_signal(number)
        assert process.wait(20) == -number
        overlay.check()
    names = run("ls /", *option).stdout.split()
    assert len([name for name in names if name.startswith(("status", "killed", "got"))]) == (8 if "--no-init" in options else 11), names


def test_a_process_that_is_left(run, python, make):
    """sifrun ends with its program; what is left goes on writing, and the image is done with after that."""
    overlay = make(size=8)
    begun = time.monotonic()
    done = python("""
import os, time
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    time.sleep(2)
    open("/late", "w").write("late")
    os._exit(0)
open("/early", "w").write("early")
""", "--overlay", overlay.path)
    assert time.monotonic() - begun < 1.9
    assert server_of(overlay)
    assert run("cat /early /late", "--overlay", f"{overlay.path}").stdout == "earlylate"  # waits for it
    overlay.check()


def test_full_image(python, run, make):
    """The program is told, the image stays sound, and there is room again after a removal."""
    overlay = make(size=8)
    option = ["--overlay", overlay.path]
    python("""
import errno, os
os.makedirs("/w/folders")
os.chdir("/w")
def full(action):
    try: action()
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return
    assert False, "there was room"
def fill():
    with open("big", "wb", buffering=0) as file:
        for _ in range(20): file.write(b"x" * (1 << 20))
        os.fsync(file.fileno())
full(fill)
def folders():
    for number in range(5000): os.mkdir("folders/d%d" % number)
full(folders)
def links():
    for number in range(5000): os.symlink("x" * 900, "folders/l%d" % number)
full(links)
os.remove("big")
with open("after", "wb") as file: file.write(b"y" * 1_000_000)
""", *option)
    overlay.check()
    assert run("busybox wc -c < /w/after; rm -rf /w/folders; ls /w", *option).stdout.split() == ["1000000", "after"]
    overlay.check()
    python("""
import errno, os
os.mkdir("/w/many")
try:
    for number in range(100_000): open("/w/many/%d" % number, "w").close()
    assert False
except OSError as error: assert error.errno == errno.ENOSPC, error
""", *option)  # no inode is left
    overlay.check()


def test_full_image_is_told_at_once(run, make):
    """By write(2), as by a disk: programs look at that, and few at close(2)."""
    overlay = make(size=8)
    done = run("for n in 1 2 3 4 5 6; do cat /bin/busybox > /copy$n || echo full; done; echo text > /text || echo full", "--overlay", overlay.path)
    assert "full" in done.stdout.split() and "No space left on device" in done.stderr
    overlay.check()


@pytest.mark.parametrize("how", ["-S", ""], ids=["soft", "hard"])
def test_limit_of_file_sizes(how, identity, sifrun, image, make, tmp_path):
    """It is the program's, not its file system's; one that no image can be written within is told before anything is changed."""
    overlay = make(size=64)
    script = "dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null; echo $?; dd if=/dev/zero of=/more bs=1M count=4 2>/dev/null; echo $?; sync; cat /big /more | busybox wc -c"
    done = identity.run(["/bin/bash", "-c", f"ulimit {how} -f 5120; exec {sifrun} exec --overlay {overlay.path} {image} /bin/sh -c '{script}'"], cwd=tmp_path)
    if how == "-S":
        assert (done.returncode, done.stdout.split()) == (0, ["0", "0", "8388608"]), done.stderr
        overlay.check()
        done = identity.run(["/bin/bash", "-c", f"ulimit -S -f 1000; exec {sifrun} exec --overlay {overlay.path} {image} dd if=/dev/zero of=/limited bs=1M count=4"], cwd=tmp_path)
        assert done.returncode == -signal.SIGXFSZ, done.stderr
    elif done.returncode != 255:
        assert done.stdout.split() == ["0", "0", "8388608"], done.stderr
    overlay.check()


# Who may use it

def test_one_writer_or_many_readers(identity, run, command, make, tmp_path):
    overlay, other = make("x"), make("y")
    started = []
    def start(*options):
        process = identity.popen(command("echo ready; read end", *options), cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process
    reader, second = [start("--overlay", f"{overlay.path}:ro") for _ in range(2)]
    writer = start("--overlay", other.path)
    for process in started:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    refused = {start("--overlay", overlay.path): "uses it", start("--overlay", other.path): "uses it", start("--overlay", f"{other.path}:ro"): "writes to it",
               start("--bind", f"{other.path}:/data:image-src=/"): "uses it"}
    for process, word in refused.items():
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 255 and output == ""
        assert f"another process {word}" in errors and errors.startswith("FATAL:   cannot use ") and "hint:" in errors, errors
    late = start("--overlay", other.path)  # comes while the first one is about to end
    time.sleep(.5)
    for process in (reader, second, writer):
        process.communicate("end\n", timeout=20)
        assert process.returncode == 0
    assert late.stdout.readline() == "ready\n"
    late.communicate("end\n", timeout=20)
    for image in (overlay, other):
        image.check()


def test_file_that_may_not_be_written_to(user, sifrun, image, make, run, identity, tmp_path):
    overlay = make()
    run("echo kept > /kept", "--overlay", overlay.path)
    overlay.path.chmod(0o444)
    os.chown(overlay.path, 0, 0) if os.geteuid() == 0 else None
    before = hashlib.md5(overlay.path.read_bytes()).hexdigest()
    done = user.run([sifrun, "exec", "--overlay", overlay.path, image, "sh", "-c", "cat /kept; touch /new"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "kept\n")
    assert done.stderr.startswith(f"WARNING: overlay {overlay.path} cannot be written to, using it read-only\n") and "Read-only file system" in done.stderr
    assert hashlib.md5(overlay.path.read_bytes()).hexdigest() == before


def test_readers_change_nothing(run, make):
    overlay = make()
    run("echo kept > /kept", "--overlay", overlay.path)
    before, times = hashlib.md5(overlay.path.read_bytes()).hexdigest(), overlay.path.stat()
    done = run("cat /kept; touch /new; rm /kept; chmod 0 /kept; touch /low/link; ls /", "--overlay", f"{overlay.path}:ro")
    assert "new" not in done.stdout.split() and "kept" in done.stdout and done.stderr.count("Read-only file system") == 4
    assert (hashlib.md5(overlay.path.read_bytes()).hexdigest(), overlay.path.stat().st_mtime_ns) == (before, times.st_mtime_ns)


# What else an image can be

@pytest.mark.parametrize("kind, options", [("ext2", ()), ("ext3", ("-b", "4096")), ("ext3", ("-I", "128")), ("ext4", ()), ("ext4", ("-O", "64bit,metadata_csum,metadata_csum_seed")),
                                           ("ext4", ("-O", "^has_journal"))], ids=str)
def test_kinds(kind, options, run, make):
    overlay = make("x", 32, kind, *options)
    option = ["--overlay", overlay.path]
    run("mkdir -p /w/many; cp -r /bin /low /w; cd /w/many; for n in $(busybox seq 600); do : > some-long-name-of-a-file-$n; done; rm *5; rm -r /low/half; mkdir /low/half", *option)
    overlay.check()
    script = "ls /w/many | busybox wc -l; busybox cmp /bin/busybox /w/bin/busybox; cat /w/low/kept/deep/file1 | busybox wc -c; ls /low/half"
    for how in ("", ":ro"):
        assert run(script, "--overlay", f"{overlay.path}{how}").stdout.split() == ["540", "1200"]
    run("rm -r /w", *option)
    overlay.check()


@pytest.mark.parametrize("feature", ["inline_data", "encrypt", "casefold", "quota", "bigalloc"])
def test_kinds_that_cannot_be_written_to(feature, run, make):
    """With a reason, and unharmed."""
    overlay = make("x", 32, "ext4", "-O", feature)
    done = run("true", "--overlay", overlay.path, status=255)
    assert feature in done.stderr and done.stderr.startswith("FATAL:   ") and "hint:" in done.stderr
    overlay.check()


def test_overlay_create(identity, sifrun, run, tmp_path):
    """The images that sifrun makes itself, folders included."""
    for options, inside in (([], []), (["--sparse", "--size", "300"], []), (["--fakeroot"], ["--fakeroot"])):
        path = tmp_path / "made"
        assert identity.run([sifrun, "overlay", "create", *options, "--create-dir", "/data/deep", path]).returncode == 0
        Image(path).check()
        run("echo x > /data/deep/x; cat /data/deep/x", "--overlay", path, *inside)
        Image(path).check()
        assert run("ls /data/deep", "--overlay", f"{path}:ro", *inside).stdout == "x\n"
        path.unlink()


@pytest.fixture
def container(identity, sifrun, image, tmp_path):
    """A SIF with an ext3 overlay partition."""
    path, part = tmp_path / "x.sif", tmp_path / "part"
    assert identity.run([sifrun, "sif", "new", path]).returncode == 0
    architecture = {"x86_64": "2", "aarch64": "4"}[os.uname().machine]
    os.truncate(os.open(part, os.O_CREAT | os.O_WRONLY, 0o644), 16 * MEBIBYTE)
    subprocess.run(["mkfs.ext3", "-q", "-F", part], check=True, env=TOOLS)
    for file_system, kind, source in (("1", "2", image), ("2", "4", part)):
        done = identity.run([sifrun, "sif", "add", "--datatype", "4", "--partfs", file_system, "--parttype", kind, "--partarch", architecture, "--groupid", "1", path, source])
        assert done.returncode == 0, done.stderr
    part.unlink()
    return path


def own_overlay(sifrun, container):
    part = container.with_suffix(".part")
    with open(part, "wb") as out:
        subprocess.run([sifrun, "sif", "dump", "2", container], stdout=out, check=True)
    return Image(part)


def test_overlay_within_a_container(container, run, identity, command, sifrun, make, tmp_path):
    """Read-only but with --writable, even a new one; what comes by --overlay lies above."""
    before = hashlib.md5(container.read_bytes()).hexdigest()
    assert "Read-only" in run("cat /low/plain0; touch /new", root=container, status=1).stderr
    assert hashlib.md5(container.read_bytes()).hexdigest() == before
    run("echo own > /own; echo own > /low/plain0; rm -r /low/half", "--writable", root=container)
    own_overlay(sifrun, container).check()
    assert run("cat /own /low/plain0; ls /low", root=container).stdout.split() == "own own again gone kept link mapped moved plain0 plain1 plain2 plain3".split()
    overlay = make()
    run("echo above > /low/plain0; echo above > /above; mkdir /low/half", "--overlay", overlay.path, root=container)
    overlay.check()
    own_overlay(sifrun, container).check()
    assert run("cat /own /low/plain0 /above; ls /low/half", "--overlay", f"{overlay.path}:ro", root=container).stdout.split() == ["own", "above", "above"]
    assert run("cat /low/plain0", root=container).stdout == "own\n"
    assert run("echo tmp > /own; cat /own", "--writable-tmpfs", root=container).stdout == "tmp\n"
    readers = [identity.popen(command("cat /own; read end", root=container), cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for process in readers:
        assert process.stdout.readline() == "own\n", process.stderr.read()
    for process in readers:
        process.communicate("end\n", timeout=20)
    container.chmod(0o444)
    if identity.uid != 0:
        done = run("cat /own; touch /x", "--writable", root=container, status=255)
        assert str(container) in done.stderr and done.stderr.startswith("FATAL:")


def test_writable_needs_something_to_write_to(run, image):
    done = run("true", "--writable", status=255)
    assert done.stderr.startswith(f"FATAL:   cannot write to {image}: a squashfs is read-only\nhint:    ")


def test_several_overlays(run, make, tmp_path):
    """The last is on top; one alone takes changes; folders, squashfs and ext3 mix."""
    one, two, three = make("1"), make("2"), make("3")
    run("echo 1 > /low/plain0; echo 1 > /one; rm /low/plain1; rm -r /low/half; mkdir /low/half; echo 1 > /low/half/1", "--overlay", one.path)
    run("echo 2 > /low/plain0; echo 2 > /two; echo 2 > /low/plain1; mkdir -p /low/half", "--overlay", two.path)
    options = ["--overlay", f"{one.path}:ro", "--overlay", two.path]
    shown = run("cat /low/plain0 /low/plain1 /one /two; ls /low/half; rm /one; echo 3 > /three; rm -r /low/half", *options).stdout.split()
    assert shown == ["2", "2", "1", "2", "1"]
    for image in (one, two):
        image.check()
    assert run("cat /one; ls /low/half", "--overlay", f"{one.path}:ro").stdout.split() == ["1", "1"]
    done = run("cat /one; ls /low/half; cat /three", *options[:2], "--overlay", f"{two.path}:ro")
    assert done.stdout == "3\n" and done.stderr.count("No such file") == 2
    done = run("true", "--overlay", one.path, "--overlay", two.path, status=255)
    assert "there is another one to take changes already" in done.stderr and "hint:    add :ro" in done.stderr
    done = run("true", "--writable-tmpfs", "--overlay", one.path, status=255)
    assert "there is --writable-tmpfs to take changes already" in done.stderr
    assert run("echo 4 > /low/plain0; rm /one; ls / | busybox grep one; cat /low/plain0", "--writable-tmpfs", "--overlay", f"{one.path}:ro").stdout == "4\n"
    (tmp_path / "folder/upper").mkdir(parents=True)
    (tmp_path / "folder/upper/from-folder").write_text("folder\n")
    for path in (tmp_path / "folder", tmp_path / "folder/upper"):
        path.chmod(0o777)
    assert run("cat /from-folder /one; echo x > /three; cat /three", "--overlay", f"{tmp_path}/folder:ro", "--overlay", f"{one.path}:ro", "--overlay", three.path).stdout == "folder\n1\nx\n"
    for image in (one, two, three):
        image.check()


def test_binds_from_images(run, make, tmp_path):
    """Without the overlay's folders; one server for all of one image."""
    data = make("data")
    bind = f"{data.path}:/data:image-src=/"
    run("mkdir -p /data/a/b; echo deep > /data/a/b/c; ln -s a/b /data/link; echo top > /data/top", "--bind", bind)
    data.check()
    assert run("ls /data", "--bind", f"{bind},ro").stdout.split() == ["a", "link", "lost+found", "top"]
    assert "Read-only" in run("touch /data/new", "--bind", f"{bind},ro", status=1).stderr
    both = run("cat /x/c /y/top; touch /x/c && echo new > /y/new", "--bind", f"{data.path}:/x:image-src=/link,ro", "--bind", f"{data.path}:/y:image-src=/", status=1)
    assert both.stdout == "deep\ntop\n" and "Read-only" in both.stderr
    assert run("cat /m/c", "--mount", f"type=bind,src={data.path},dst=/m,image-src=/a/b").stdout == "deep\n"
    done = run("true", "--bind", f"{data.path}:/x:image-src=/no", status=255)
    assert "/no does not exist in the image" in done.stderr
    data.check()
    overlay = make("overlay")
    run("cp /data/a/b/c /copied; echo back > /data/back", "--bind", bind, "--overlay", overlay.path)
    data.check()
    overlay.check()
    assert run("cat /copied /data/back", "--bind", f"{bind},ro", "--overlay", f"{overlay.path}:ro").stdout == "deep\nback\n"
    # One image as an overlay and as a bind
    done = run("cat /copied /o/upper/copied", "--overlay", f"{overlay.path}:ro", "--bind", f"{overlay.path}:/o:image-src=/,ro")
    assert done.stdout == "deep\n" * 2


def test_partitions_of_one_file(run, make, identity, sifrun, busybox_sif, tmp_path):
    """A SIF's overlay and its data partition: each takes what is for it."""
    data = make("data")
    run("echo data > /data/name", "--bind", f"{data.path}:/data:image-src=/")
    container = tmp_path / "container.sif"
    shutil.copy(busybox_sif, container)
    if os.geteuid() == 0:
        os.chown(container, identity.uid, identity.gid)
    for words in (["overlay", "create", "--size", "64", container],
                  ["sif", "add", "--datatype", "4", "--parttype", "3", "--partfs", "2", "--partarch", "2", container, data.path]):
        done = identity.run([sifrun, *words], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    bind = f"{container}:/mnt:image-src=/"
    assert run("cat /mnt/name; touch /srv/changed", "--overlay", container, "--bind", f"{bind},ro", root=busybox_sif).stdout == "data\n"
    run("echo more > /mnt/more", "--overlay", container, "--bind", bind, root=busybox_sif)
    shown = run("ls /mnt; ls /srv/changed", "--overlay", f"{container}:ro", "--bind", f"{bind},ro", root=busybox_sif).stdout.split()
    assert shown == ["lost+found", "more", "name", "/srv/changed"]
    assert "File name too long" in run(["ls", f"/mnt/{'x' * 256}"], "--bind", f"{bind},ro", status=1, root=busybox_sif).stderr


def test_as_the_root(run, make, lower_tree, identity):
    """Images of old were ext3 files."""
    root = make("root", 32, "ext3", "-d", lower_tree)
    before = hashlib.md5(root.path.read_bytes()).hexdigest()
    assert run("cat /low/plain0", root=root.path).stdout == "plain 0\n"
    assert "Read-only" in run("touch /new", root=root.path, status=1).stderr
    assert run("touch /new; ls /new", "--writable-tmpfs", root=root.path).stdout == "/new\n"
    assert hashlib.md5(root.path.read_bytes()).hexdigest() == before
    if identity.uid != 0:
        return  # the files are of whom the tests run as
    run("echo new > /new; rm /low/plain0; exit 7", "--writable", root=root.path, status=7)
    root.check()
    assert run("cat /new; ls /low/plain0; true", root=root.path).stdout == "new\n"
    overlay = make("overlay")
    run("echo over > /low/plain1", "--overlay", overlay.path, root=root.path)
    assert run("cat /low/plain1", "--overlay", f"{overlay.path}:ro", root=root.path).stdout == "over\n"
    for image in (root, overlay):
        image.check()


def test_paths_within_an_image_stay_there(run, make, tmp_path, identity):
    """Folders of an overlay are no links; a bind's links end within the image."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("secret")
    content = tmp_path / "content"
    content.mkdir()
    (content / "upper").symlink_to(tmp_path / "secret")
    (content / "link").symlink_to(tmp_path / "secret")
    (content / "up").symlink_to("../../../../../../../../../../" + str(tmp_path / "secret"))
    overlay = make("x", 16, "ext3", "-d", content)
    done = run("cat /file", "--overlay", overlay.path, status=255)
    assert done.stderr.startswith("FATAL:"), done.stderr
    done = run("cat /file", "--overlay", f"{overlay.path}:ro", status=1)
    assert "can't open '/file'" in done.stderr
    for name in ("link", "up"):
        done = run("ls /data", "--bind", f"{overlay.path}:/data:image-src=/{name},ro", status=255)
        assert "does not exist in the image" in done.stderr
    overlay.check()


def test_instance(identity, sifrun, image, make, tmp_path):
    """All its commands share the overlay, which is done with when it has been stopped."""
    overlay = make()
    environment = {"APPTAINER_CONFIGDIR": str(tmp_path / "config")}
    def call(*words, status=0):
        done = identity.run([sifrun, *words], env=environment, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done.stdout
    call("instance", "start", "--contain", "--overlay", overlay.path, image, "one")
    try:
        call("exec", "--cwd", "/", "instance://one", "sh", "-c", "echo first > /first; dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null")
        assert call("exec", "--cwd", "/", "instance://one", "sh", "-c", "mkdir -p /a/b/c /d/e/f; echo second > /second; cat /first") == "first\n"
    finally:
        call("instance", "stop", "one")
    overlay.check()
    assert identity.run([sifrun, "exec", "--overlay", f"{overlay.path}:ro", image, "cat", "/first", "/second"], cwd=tmp_path).stdout == "first\nsecond\n"


# Marks of deletion

def test_marks_stay_where_they_are(run, make, lower_tree):
    """A folder that was made again hides what the image has; what it is copied to does not."""
    overlay = make()
    option = [*HOST_USR, "--overlay", overlay.path]
    run("rm -r /low/again; mkdir /low/again; echo a > /low/again/a; /usr/bin/cp -a /low/again/. /low/half; /usr/bin/getfattr -d -m - /low/again /low/half", *option)
    done = run("ls /low/again /low/half; /usr/bin/getfattr -d -m - /low/again /low/half", *option)
    assert done.stdout.split() == ["/low/again:", "a", "/low/half:", "a", "file0", "file1", "file2"]
    run("rm -r /low/half /low/gone; mkdir /low/half; echo h > /low/half/h; rm -r /low/half; mkdir /low/gone; rm /low/plain0; mkdir /low/plain0; rmdir /low/plain0; echo 0 > /low/plain0", *option)
    assert run("ls /low /low/gone; cat /low/plain0", *option).stdout.split() == "/low: again gone kept link mapped moved plain0 plain1 plain2 plain3 random /low/gone: 0".replace(" random", "").split()
    overlay.check()


def test_marks_of_fuse_overlayfs(run, make, tmp_path):
    """As an ordinary user it deletes by files with names of their own, of which nothing is shown; they go as what they hide comes again."""
    upper = tmp_path / "content/upper"
    (upper / "low/half").mkdir(parents=True)
    (upper / "low/again").mkdir()
    (upper / "low/kept").mkdir()
    for name in ("low/.wh.plain0", "low/.wh.gone", "low/half/.wh.file1", "low/again/.wh..wh..opq", "low/again/.wh..opq", "low/kept/.wh.deep"):
        (upper / name).touch(0o700)
    (upper / "low/again/new").write_text("new\n")
    (tmp_path / "content/work").mkdir()
    overlay = make("x", 16, "ext3", "-d", tmp_path / "content")
    show = "ls -A /low /low/half /low/again /low/kept"
    expected = "/low: again half kept link mapped moved plain1 plain2 plain3 /low/half: file0 file2 /low/again: new /low/kept:".split()
    assert sorted(run(show, "--overlay", f"{overlay.path}:ro").stdout.split()) == sorted(expected)
    done = run(f"{show}; cat /low/plain0; echo again > /low/plain0; mkdir /low/gone /low/kept/deep; mv /low/half/file0 /low/half/file1; rm /low/again/new; rmdir /low/again", "--overlay", overlay.path)
    assert sorted(done.stdout.split()) == sorted(expected) and "No such file" in done.stderr
    overlay.check()
    for how in (":ro", ""):
        done = run("ls -A /low /low/gone /low/half /low/kept /low/kept/deep; cat /low/plain0 /low/half/file1", "--overlay", f"{overlay.path}{how}")
        assert done.stdout.split() == ["/low:", "gone", "half", "kept", "link", "mapped", "moved", "plain0", "plain1", "plain2", "plain3", "/low/gone:", "/low/half:", "file1", "file2",
                                       "/low/kept:", "deep", "/low/kept/deep:", "again", *["half", "0"] * 100]
    overlay.check()


def test_sifs_from_ext3(run, python, make, image, lower_tree, sifrun, sifconv, identity, tmp_path):
    """Of an image and what an overlay has changed in it, and of an ext3 image itself."""
    def scan(*options, root=None):
        found = scan_of(python(SCAN, *options, arguments=["/", "low", "bin"], root=root))
        for fields in found.values():
            fields[5] = None  # blocks
            fields[7] = fields[7] and fields[7] // 10**9  # squashfs has seconds
        return found

    overlay = make()
    run("rm -r /low/gone /low/again; mkdir /low/again; echo new > /low/again/new; ln /low/again/new /low/other; chmod 600 /low/plain0; rm /low/plain1", "--overlay", overlay.path)
    changed = tmp_path / "changed.sif"
    done = identity.run([sifconv, "--quiet", "--overlay", overlay.path, image, changed])
    assert done.returncode == 0, done.stderr
    assert scan(root=changed) == scan("--overlay", f"{overlay.path}:ro")
    assert "low/gone" not in scan(root=changed) and scan(root=changed)["low/other"][3] == 2

    old = make("old.ext3", 32, "ext3", "-d", lower_tree)
    converted = tmp_path / "converted.sif"
    done = identity.run([sifrun, "--quiet", "build", converted, old.path])
    assert done.returncode == 0, done.stderr
    assert scan(root=converted) == scan(root=old.path)
    assert "lost+found" not in run("ls /", root=converted).stdout
    overlay.check()
    old.check()


def test_marks_of_the_kernel(root, run, make, image, tmp_path, identity):
    """As root it marks by attributes that only root may see."""
    overlay = make()
    place = tmp_path / "overlay"
    place.mkdir()
    with overlay.mounted() as upper, loop_mounted(image, "ro", at=tmp_path / "lower") as below:
        for folder in ("upper", "work"):
            (upper / folder).mkdir()
        kernel.mount("overlay", place, "overlay", data=f"lowerdir={below},upperdir={upper}/upper,workdir={upper}/work")
        try:
            shutil.rmtree(place / "low/again")
            (place / "low/again").mkdir()
            (place / "low/again/new").write_text("new\n")
            shutil.rmtree(place / "low/gone")
            (place / "low/plain0").unlink()
        finally:
            kernel.unmount(place)
        for path in (upper, *upper.glob("upper/**/*"), upper / "upper", upper / "work"):
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
    for how in (":ro", ""):
        done = run("ls /low/again /low/gone /low/plain0; ls /low", "--overlay", f"{overlay.path}{how}")
        assert done.stdout.split() == ["/low/again:", "new", "again", "half", "kept", "link", "mapped", "moved", "plain1", "plain2", "plain3"]
    run("echo more > /low/again/more; mkdir /low/gone", "--overlay", overlay.path)
    overlay.check()
    with overlay.mounted() as upper, loop_mounted(image, "ro", at=tmp_path / "lower") as below:
        kernel.mount("overlay", place, "overlay", data=f"lowerdir={below},upperdir={upper}/upper,workdir={upper}/work")
        try:
            assert sorted(os.listdir(place / "low/again")) == ["more", "new"] and not (place / "low/plain0").exists()
        finally:
            kernel.unmount(place)


# Journals and damage

def write_journal(overlay, target, text):
    """A complete transaction that waits in the journal: new content for a file of one block, as debugfs writes it."""
    block = overlay.debugfs(f"blocks {target}").split()[0]
    content = overlay.path.with_name("block")
    content.write_bytes(text + bytes(1024 - len(text)))
    commands = overlay.path.with_name("commands")
    commands.write_text(f"jo\njw -b {block} {content}\njc\n")
    subprocess.run(["debugfs", "-w", "-f", commands, overlay.path], check=True, capture_output=True, env=TOOLS)
    features = subprocess.run(["dumpe2fs", "-h", overlay.path], capture_output=True, text=True, env=TOOLS).stdout
    assert "needs_recovery" in features


def test_a_journal_that_waits(run, make):
    """Read-only it is seen as replayed, and the file stays as it was."""
    overlay = make()
    run("echo old > /file", "--overlay", overlay.path)
    write_journal(overlay, "/upper/file", b"new\n")
    before = hashlib.md5(overlay.path.read_bytes()).hexdigest()
    assert run("cat /file", "--overlay", f"{overlay.path}:ro").stdout == "new\n"
    assert hashlib.md5(overlay.path.read_bytes()).hexdigest() == before
    assert run("cat /file; echo more > /more", "--overlay", overlay.path).stdout == "new\n"
    overlay.check()
    assert run("cat /file /more", "--overlay", f"{overlay.path}:ro").stdout == "new\nmore\n"


@pytest.mark.parametrize("kind, options", [("ext3", ()), ("ext3", ("-b", "4096")), ("ext4", ("-O", "^metadata_csum")), ("ext4", ())], ids=str)
def test_journals_of_the_kernel(kind, options, root, run, make, tmp_path, identity):
    """A copy of what the kernel has mounted, changes waiting in the journal; and the file itself, which keeps the kernel's journal features."""
    overlay = make("x", 32, kind, *options)
    copy = Image(tmp_path / "copy")
    with overlay.mounted() as place:
        upper = place / "upper"
        upper.mkdir()
        for number in range(200):
            (upper / f"file{number}").write_text(str(number))
            (upper / f"folder{number}").mkdir()
        os.sync()
        for number in range(0, 200, 2):
            (upper / f"folder{number}").rmdir()
            (upper / f"file{number}").unlink()
        for folder in (place, upper):
            os.chown(folder, identity.uid, identity.gid)
        os.sync()
        subprocess.run(["cp", "--sparse=always", overlay.path, copy.path], check=True)
    os.chown(copy.path, identity.uid, identity.gid)
    copy.check_after_replay()
    script = "ls / | busybox grep -c -e ^file -e ^folder; cat /file199"
    assert run(script, "--overlay", f"{copy.path}:ro").stdout.split() == ["200", "199"]
    if kind == "ext4" and not options:  # checksums in the journal
        done = run(script, "--overlay", copy.path, status=255)
        assert "not left cleanly" in done.stderr and "hint:    e2fsck -fp" in done.stderr
    else:
        assert run(script, "--overlay", copy.path).stdout.split() == ["200", "199"]
        copy.check()
    run("rm /file1; echo new > /new", "--overlay", overlay.path)
    overlay.check()
    with overlay.mounted() as place:
        assert (place / "upper/new").read_text() == "new\n" and not (place / "upper/file1").exists()
        (place / "upper/by-kernel").write_text("kernel\n")
    assert run("cat /by-kernel", "--overlay", overlay.path).stdout == "kernel\n"
    overlay.check()


def one_error(done):
    return done.returncode == 255 and done.stderr.startswith("FATAL:   ") and [line[:9] for line in done.stderr.splitlines()[1:]] in ([], ["hint:    "])


def test_damaged_images_are_refused(run, make, identity, command, tmp_path):
    """With a reason, in one line."""
    overlay = make()
    run("echo x > /x", "--overlay", overlay.path)
    whole = overlay.path.read_bytes()
    broken = {"empty": b"", "short": whole[:1500], "cut": whole[:len(whole) // 2], "text": b"no image\n" * 1000, "no magic": whole[:1080] + b"xx" + whole[1082:],
              "block size": whole[:1048] + b"\xff" * 4 + whole[1052:], "groups": whole[:1056] + b"\1\0\0\0" + whole[1060:], "inode size": whole[:1112] + b"\7\0" + whole[1114:],
              "inodes of a group": whole[:1064] + b"\xff" * 4 + whole[1068:], "first block": whole[:1044] + b"\xff" * 4 + whole[1048:], "unknown feature": whole[:1120] + b"\xff" * 4 + whole[1124:],
              "journal inode": whole[:1248] + b"\3\0\0\0" + whole[1252:], "descriptors": whole[:2048] + b"\xff" * 64 + whole[2112:], "errors": whole[:1082] + b"\2\0" + whole[1084:]}
    for name, content in broken.items():
        overlay.path.write_bytes(content)
        done = identity.run(command("true", "--overlay", overlay.path), cwd=tmp_path, timeout=20)
        assert one_error(done), (name, done)
        if name == "errors":
            assert "its file system has errors" in done.stderr
            assert run("cat /x", "--overlay", f"{overlay.path}:ro").stdout == "x\n"
        else:
            done = identity.run(command("true", "--overlay", f"{overlay.path}:ro"), cwd=tmp_path, timeout=20)
            assert one_error(done), (name, done)
        assert overlay.path.read_bytes() == content, name


def test_damage_anywhere(run, make, identity, command, tmp_path):
    """Whatever bytes are wrong: nobody waits for ever, and the server outlives it."""
    overlay = make("x", 4)
    run("mkdir -p /w/a/b; for n in 1 2 3 4 5 6; do cp -r /low/kept /w/$n; done; rm -r /low/half /low/again; mkdir /low/again; echo x > /w/x; dd if=/dev/zero of=/w/big bs=100k count=8", "--overlay", overlay.path)
    whole = overlay.path.read_bytes()
    used = [block for block in range(len(whole) // 1024) if any(whole[block * 1024:block * 1024 + 1024])]
    script = "ls -lR /w /low >/dev/null; cat /w/*/deep/* /w/big >/dev/null; mkdir -p /n/m; cp -r /low /n/m; rm -rf /w/1; mv /w/2 /n; echo y >> /w/3/deep/file1; sync; true"
    for seed in range(40):
        chosen = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(chosen.choice((1, 3, 20))):
            at = chosen.choice(used) * 1024 + chosen.randrange(1024)
            size = chosen.choice((1, 4, 60))
            damaged[at:at + size] = chosen.choice((chosen.randbytes(size), b"\xff" * size, bytes(size)))
        overlay.path.write_bytes(damaged[:len(whole)])
        for how in (":ro", ""):
            done = identity.run(command(script, "--overlay", f"{overlay.path}{how}"), cwd=tmp_path, timeout=30, text=False)
            said = done.stderr.decode(errors="replace")
            told = "FATAL:" in said or "ERROR:   changes are lost" in said
            assert done.returncode == 0 or (done.returncode == 255 and told), (seed, how, done.returncode, said[-1000:])
            for word in ("not connected", "connection abort", "has died"):
                assert word not in said, (seed, how, said[-1000:])


def test_a_server_that_dies_is_told(identity, command, make):
    """Whatever the program has said: what it wrote is gone."""
    overlay = make()
    with identity.popen(command("echo started; read line; exit 0", "--overlay", overlay.path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started\n"
        os.kill(server_of(overlay), signal.SIGKILL)
        _, errors = process.communicate("\n", timeout=30)
    assert process.returncode == 255 and "ERROR: " in errors and "changes are lost: the file server of an ext3 image has died" in errors, errors


@pytest.mark.parametrize("options", [(), ("--fakeroot",), ("--pid",)])
def test_the_program_ends_with_sifrun(options, identity, command, make):
    overlay = make()
    with identity.popen(command("echo $$; exec sleep 60", *options, "--overlay", overlay.path), stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.kill()
    for _ in range(100):
        if server_of(overlay) is None:
            break
        time.sleep(.1)
    assert server_of(overlay) is None
    overlay.check()


def test_the_stand_in_shows_nothing_of_the_host(run, make):
    overlay = make()
    done = run("ls /proc/$PPID/root/; cat /proc/$PPID/fd/0; true", "--fakeroot", "--overlay", overlay.path)
    assert not done.stdout and done.stderr.count("Permission denied") == 2, (done.stdout, done.stderr)


def test_one_image_twice(run, make):
    overlay = make()
    run("mkdir /w; echo both > /w/file", "--overlay", overlay.path)
    run("cat /w/file /mnt/upper/w/file; echo more > /w/more; cat /mnt/upper/w/more", "--overlay", overlay.path, "--bind", f"{overlay.path}:/mnt:image-src=/,ro")
    refused = run("true", "--bind", f"{overlay.path}:/mnt:image-src=/", "--overlay", f"{overlay.path}:ro", status=255).stderr
    assert "is used twice here, once to be written to" in refused
    overlay.check()


def test_objects_in_use_are_not_removed(identity, command, run, sifrun, sifconv, image, tmp_path):
    """Another one would take the place of what a run writes to."""
    sif = tmp_path / "x.sif"
    for argv in ([sifconv, "--quiet", image, sif], [sifrun, "--quiet", "overlay", "create", sif]):
        assert identity.run(argv).returncode == 0
    overlay = max(int(line.split("|")[0]) for line in identity.run([sifrun, "sif", "list", sif]).stdout.splitlines() if "Overlay" in line)
    with identity.popen(command("echo started; read line; echo kept > /kept", "--writable", root=sif), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started\n"
        refused = identity.run([sifrun, "sif", "del", str(overlay), sif])
        assert refused.returncode != 0 and "another process uses it" in refused.stderr, refused.stderr
        process.communicate("\n", timeout=30)
    assert run("cat /kept", root=sif).stdout == "kept\n"
    assert identity.run([sifrun, "sif", "del", str(overlay), sif]).returncode == 0


def test_root_of_a_namespace_with_one_id(identity, make, sifrun, image):
    """Who is root in `unshare --map-root-user` owns what the user owns outside."""
    overlay = make()
    done = identity.run(["unshare", "--user", "--map-root-user", sifrun, "exec", "--overlay", overlay.path, image, "sh", "-c", "echo text > /y; stat -c '%u %g' / /y; cat /y"])
    assert done.stdout.split() == ["0", "0", "0", "0", "text"], done.stderr
