#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A machine of a cluster on this machine (root only): a Debian tree with namespaces of its own for processes, network, IPC, hostname and mounts,
in which schedulers' daemons run as they do on a compute node. What is written in it lies in a folder beside the cached tree, and everything
ends with its first process. Its name is localhost, and so is all that its network has.
"""
import fcntl
import os
import pathlib
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import enter_tree  # noqa: E402
import kernel  # noqa: E402

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 1
# Adopts and reaps what daemons leave, as init does.
INIT = "trap : CHLD; while :; do sleep 1000 & wait; done"


class Node:
    """Commands run in it as root or as its user `user` (uid 1000), whose home is `home`. `binds` are seen at the same path inside."""

    def __init__(self, tree, folder, binds=(), home="/home/user"):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        (self.folder / "upper/etc").mkdir()
        accounts = (tree.root / "etc/passwd").read_text().replace(":/home/user:", f":{home}:")
        (self.folder / "upper/etc/passwd").write_text(accounts)
        command = ["unshare", "--fork", "--kill-child", "--pid", "--net", "--ipc", "--uts", "--mount",
                   enter_tree.__file__.replace("enter_tree", "node"), tree.root, self.folder, *binds]
        self.process = subprocess.Popen(list(map(str, command)), preexec_fn=kernel.die_with_parent, stdin=subprocess.DEVNULL)
        self.init = self._init()
        self.root = pathlib.Path(f"/proc/{self.init}/root")

    def _init(self):
        """The first process, once the tree is its root."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        outside = os.stat("/")
        for _ in wait(20, "the node's first process"):
            if self.process.poll() is not None:
                raise RuntimeError("the node's first process ended")
            for child in children.read_text().split():
                inside = os.stat(f"/proc/{child}/root")
                if (inside.st_dev, inside.st_ino) != (outside.st_dev, outside.st_ino):
                    return int(child)

    def command(self, argv, user="user", env=None, cwd=None):
        """`user` is a name in the tree's passwd."""
        line = next(line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines() if line.startswith(user + ":"))
        environment = {"PATH": PATH, "HOME": line[5], "USER": user, "LANG": "C.UTF-8", **(env or {})}
        enter = ["nsenter", "--target", self.init, "--mount", "--pid", "--net", "--ipc", "--uts", "--root", f"--wdns={cwd or line[5]}"]
        switch = ["setpriv", f"--reuid={line[2]}", f"--regid={line[3]}", "--init-groups"]
        return list(map(str, [*enter, *switch, "env", "-i", *(f"{k}={v}" for k, v in environment.items()), *argv]))

    def run(self, argv, timeout=120, user="user", env=None, cwd=None, **options):
        options.setdefault("capture_output", True)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(argv, user, env, cwd), text=True, errors="surrogateescape", timeout=timeout, **options)

    def popen(self, argv, user="user", env=None, cwd=None, **options):
        return subprocess.Popen(self.command(argv, user, env, cwd), text=True, **options)

    def succeed(self, argv, **options):
        """Its output; what fails is told with what it said."""
        done = self.run(argv, **options)
        assert done.returncode == 0, f"{shlex.join(map(str, argv))}: {done.stderr}{done.stdout}"
        return done.stdout

    def write(self, path, content, mode=0o644, owner=0):
        target = self.root / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content) if isinstance(content, str) else shutil.copy(content, target)
        target.chmod(mode)
        os.chown(target, owner, owner)

    def folder_for(self, path, user="user", mode=0o755):
        self.succeed(["install", "-d", "-m", f"{mode:o}", "-o", user, path], user="root")

    def close(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def write(folder, name, text, mode=0o644):
    """A file that belongs to whom the folder does."""
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, folder.stat().st_uid, folder.stat().st_gid)
    return path


def wait(seconds, what):
    """Iterates until the caller has what it waits for; a TimeoutError that names it otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds} s")


def _main(tree, folder, *binds):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        # Resolvers take a machine whose only address is 127.0.0.1 for one without IPv4.
        fcntl.ioctl(any_socket, SIOCSIFADDR, struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("192.0.2.1")))
    socket.sethostname("localhost")
    kernel.private_mounts()
    kernel.mount("overlay", f"{folder}/root", "overlay", 0, f"lowerdir={tree},upperdir={folder}/upper,workdir={folder}/work")
    enter_tree.enter(f"{folder}/root", [(b, b) for b in binds])
    # sshd insists that terminals belong to the group tty.
    kernel.mount("devpts", "/dev/pts", "devpts", kernel.MS_NOSUID, "gid=5,mode=620,ptmxmode=666")
    os.environ.clear()
    os.execv("/bin/bash", ["bash", "-c", INIT])


if __name__ == "__main__":
    _main(*sys.argv[1:])
