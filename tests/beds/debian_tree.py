# SPDX-License-Identifier: Apache-2.0
"""Debian trees made by mmdebstrap from the mirror that this machine's own apt sources name, and commands run inside them."""
import os
import pathlib
import shutil
import subprocess
import sys

from . import Missing, cache, made_once

ENTER = str(pathlib.Path(__file__).with_name("enter_tree.py"))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
APPTAINER_PACKAGES = ("apptainer", "siftool", "squashfuse", "squashfs-tools", "uidmap", "ca-certificates")
# With these it makes overlays in ext3 images and serves them to ordinary users; and it lays some others in another way than without them.
EXT3_PACKAGES = ("e2fsprogs", "fuse2fs", "fuse-overlayfs")


def mirror():
    """The first Debian archive (not the security one) among the machine's apt sources."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(CODENAME)", "Identifier: Packages"],
        capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        origin, uri, codename = line.split("|")
        if origin == "Debian" and "-security" not in codename:
            return uri
    raise Missing("no Debian mirror in this machine's apt sources (apt-get update)")


def _require(program):
    if os.geteuid() != 0:
        raise Missing(f"{program} needs root here")
    if not shutil.which(program):
        raise Missing(f"{program} is not installed (scripts/install-deps peers)")


def bootstrap(suite, target, packages=(), components="main", foreign=()):
    """`target` is a folder, or a tar file if its name ends so. Suites of moving distributions can be past their validity date.
    `foreign` are further architectures, of which packages are named as in libc6:i386."""
    _require("mmdebstrap")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=" + ("tar" if ".tar" in target.name else "directory"),
               '--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=force-unsafe-io"]
    if foreign:
        native = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
        command.append("--architectures=" + ",".join([native, *foreign]))
    if packages:
        command.append("--include=" + ",".join(packages))
    command += [suite, str(target), f"deb {mirror()} {suite} {components}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"mmdebstrap {suite} failed: {done.stderr.strip()[-600:]}")


class Tree:
    """A root tree with a user `user` (uid 1000)."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def command(self, argv, binds=(), user=True, cwd="/", env=None):
        line = [PYTHON, "-IS", ENTER, f"--cwd={cwd}"]
        line += [f"--bind={b}" for b in binds]
        line += [f"--env={k}={v}" for k, v in (env or {}).items()]
        line += ["--user"] if user else []
        return line + [str(self.root), *map(str, argv)]

    def run(self, argv, binds=(), user=True, cwd="/", env=None, timeout=300, **options):
        options.setdefault("capture_output", True)
        return subprocess.run(self.command(argv, binds, user, cwd, env), text=True, errors="surrogateescape",
                              timeout=timeout, **options)


def _add_user(root):
    for name, line in (("passwd", "user:x:1000:1000::/home/user:/bin/sh\n"), ("group", "user:x:1000:\n")):
        path = root / "etc" / name
        path.parent.mkdir(exist_ok=True)
        old = path.read_text() if path.exists() else "root:x:0:0:root:/root:/bin/sh\n" if name == "passwd" else "root:x:0:\n"
        path.write_text(old + line)
    home = root / "home/user"
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, 1000, 1000)


def debian(suite, packages=(), name=None):
    """A cached minimal tree of a Debian suite."""
    _require("mmdebstrap")
    path = cache() / "trees" / (name or "-".join([suite, *packages][:2]))
    with made_once(path) as part:
        if part:
            shutil.rmtree(part, ignore_errors=True)
            bootstrap(suite, part, packages)
            _add_user(part)
    return Tree(path)


def apptainer_ext3():
    return debian("sid", APPTAINER_PACKAGES + EXT3_PACKAGES, "sid-apptainer-ext3")


def busybox(parent):
    """A tree with nothing in it but a static busybox."""
    program = shutil.which("busybox")
    if os.geteuid() != 0:
        raise Missing("entering another root tree needs root")
    if not program:
        raise Missing("busybox-static is not installed (scripts/install-deps test)")
    root = pathlib.Path(parent) / "busybox-tree"
    (root / "bin").mkdir(parents=True)
    shutil.copy(program, root / "bin/busybox")
    for name in ("sh", "cat", "ls", "id", "true"):
        (root / "bin" / name).symlink_to("busybox")
    _add_user(root)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    return Tree(root)
