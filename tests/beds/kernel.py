# SPDX-License-Identifier: Apache-2.0
"""The mount system calls that Python's standard library lacks, and the private mount namespace that test sessions live in.
Little is imported: enter_tree begins with this for each command."""
import ctypes
import os
import stat

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000
PR_SET_PDEATHSIG = 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, call, *what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", *what)


def mount(source, target, kind=None, flags=0, data=None):
    arguments = [None if a is None else os.fsencode(a) for a in (source, target, kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), None if data is None else data.encode()), "mount", target)


def bind(source, target):
    mount(source, target, flags=MS_BIND | MS_REC)


def unmount(target):
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), "umount2", target)


def private_mounts():
    """From here on, what this process mounts is seen by it and its children only and ends with them."""
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)


def pivot_root(root):
    """Makes the mount point `root` the root and lets go of the old one; put_old = new_root stacks the old on top."""
    os.chdir(root)
    _check(_libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root", root)
    unmount(".")
    os.chdir("/")


def die_with_parent():
    """For subprocess's preexec_fn: a killed test session leaves no daemon."""
    _libc.prctl(PR_SET_PDEATHSIG, 15)


def open_fuse_to_users(fuse="/dev/fuse"):
    """Some machines keep /dev/fuse 0600: put a node of mode 0666 over it, on a file system of our own (the one below
    may be nodev), in this mount namespace only."""
    if not os.path.exists(fuse) or stat.S_IMODE(os.stat(fuse).st_mode) & 0o666 == 0o666:
        return
    hidden = "/dev/shm"
    mount("tmpfs", hidden, "tmpfs", MS_NOSUID, "mode=0755")
    node = os.path.join(hidden, "fuse")
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(10, 229))
    os.chmod(node, 0o666)
    bind(node, fuse)
    unmount(hidden)
