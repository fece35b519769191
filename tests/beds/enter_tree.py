#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command with another root tree as its real root directory, in a private mount namespace (root only).

    enter_tree.py [--bind=DIR[:TARGET]]... [--env=NAME=VALUE]... [--cwd=DIR] [--user] ROOT COMMAND [ARG...]

pivot_root and not chroot: the kernel refuses user namespaces to a process in a chroot. The tree gets the machine's /sys, /dev,
hosts and resolv.conf, its own /proc and a /dev/fuse open to users; nothing of the command's need be in the tree but itself. With --user the
command runs as uid 1000 with a clean environment. All mounts end with the command.
"""
import os
import sys
import warnings  # noqa: F401  execvpe wants it when this root is gone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel

CLEAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER = 1000


def make_target(source, target):
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "w").close()


def copy_whole(source, target):
    """Others may be in the tree at the same time: they see the old file or the new one, and mostly there is nothing to do."""
    with open(source, "rb") as file:
        text = file.read()
    try:
        with open(target, "rb") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    part = f"{target}.{os.getpid()}"
    with open(part, "wb") as file:
        file.write(text)
    os.rename(part, target)


def enter(root, binds):
    root = os.path.realpath(root)
    kernel.private_mounts()
    kernel.open_fuse_to_users()
    kernel.bind(root, root)
    for name in ("proc", "sys", "dev", "tmp", "etc"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    kernel.mount("proc", root + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV)
    for source, target in [("/sys", "/sys"), ("/dev", "/dev"), *binds]:
        make_target(source, root + target)
        kernel.bind(source, root + target)
    for name in ("resolv.conf", "hosts"):
        if os.path.exists(f"/etc/{name}"):
            copy_whole(f"/etc/{name}", f"{root}/etc/{name}")
    kernel.pivot_root(root)


def become_user():
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)


def parse(words):
    """By hand: argparse takes as long as all else here, and tests enter trees by the thousand."""
    options = {"bind": [], "env": [], "cwd": ["/"], "user": []}
    while words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        options[name].append(value)
    return options, words[0], words[1:]


def main():
    options, root, command = parse(sys.argv[1:])
    enter(root, [(b.partition(":")[0], b.partition(":")[2] or b) for b in options["bind"]])
    environment = {"PATH": CLEAN_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    if options["user"]:
        become_user()
        environment["HOME"] = "/home/user"
    environment.update(e.split("=", 1) for e in options["env"])
    os.chdir(options["cwd"][-1])
    os.environ.clear()
    os.environ.update(environment)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main()
