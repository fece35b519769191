# SPDX-License-Identifier: Apache-2.0
"""File trees as dictionaries path -> Node, from a tar stream or a folder, and what differs between two of them."""
import dataclasses
import errno
import hashlib
import os
import stat
import tarfile


@dataclasses.dataclass
class Node:
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    content: str = ""  # digest of a regular file, target of a link
    device: tuple = (0, 0)
    xattrs: dict = dataclasses.field(default_factory=dict)
    group: object = None  # equal for the names of one inode
    links: frozenset = frozenset()


def stored_time(seconds):
    """squashfs keeps 32 unsigned bits."""
    return min(max(int(seconds // 1), 0), 2 ** 32 - 1)


def finish(tree):
    """Turns group identities into sets of names, which can be compared."""
    groups = {}
    for path, node in tree.items():
        if node.kind != "folder" and node.group is not None:
            groups.setdefault(node.group, set()).add(path)
    for node in tree.values():
        node.links = frozenset(groups.get(node.group, ())) if node.kind != "folder" else frozenset()
        node.group = None
    return tree


def from_folder(top):
    """The tree below a folder, which is usually a mount point. Needs root for some xattrs."""
    tree, pending = {}, [os.fsencode(top)]
    base = len(pending[0]) + 1
    while pending:
        for entry in os.scandir(pending.pop()):
            try:
                node = read_node(entry.path)
            except FileNotFoundError:
                continue  # a whiteout that overlayfs lists without having it
            tree[entry.path[base:]] = node
            if node.kind == "folder":
                pending.append(entry.path)
    return finish(tree)


def read_node(path):
    status = os.lstat(path)
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char", stat.S_IFBLK: "block",
             stat.S_IFIFO: "fifo"}
    node = Node(kinds[stat.S_IFMT(status.st_mode)], stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid,
                stored_time(status.st_mtime_ns // 10 ** 9), group=(status.st_dev, status.st_ino))
    if node.kind == "file":
        node.size = status.st_size
        with open(path, "rb") as file:
            node.content = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else digest(file)
    elif node.kind == "symlink":
        node.content = os.readlink(path)
    elif node.kind in ("char", "block"):
        node.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    for name in xattr_names(path):
        if not name.startswith(("system.", "security.selinux")):
            node.xattrs[name] = os.getxattr(path, name, follow_symlinks=False)
    return node


def xattr_names(path):
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # squashfs for the links of an image without any xattr
            return []
        raise


def digest(file):
    total = hashlib.sha256()
    while chunk := file.read(1 << 20):
        total.update(chunk)
    return total.hexdigest()


def from_tar(stream):
    """The tree that a `docker export` stream holds."""
    kinds = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char",
             tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"}
    tree = {}
    with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as archive:
        for info in archive:
            path = os.fsencode(info.name).rstrip(b"/")
            if info.type == tarfile.LNKTYPE:
                tree[path] = dataclasses.replace(tree[os.fsencode(info.linkname).rstrip(b"/")])
                continue
            node = Node(kinds[info.type], stat.S_IMODE(info.mode), info.uid, info.gid, stored_time(info.mtime), group=path)
            if node.kind == "file":
                node.size, node.content = info.size, digest(archive.extractfile(info))
            elif node.kind == "symlink":
                node.content = os.fsencode(info.linkname)
            elif node.kind in ("char", "block"):
                node.device = (info.devmajor, info.devminor)
            for key, value in info.pax_headers.items():
                if key.startswith("SCHILY.xattr."):
                    node.xattrs[key[len("SCHILY.xattr."):]] = value.encode("utf-8", "surrogateescape")
            tree[path] = node
    return finish(tree)


def differences(expected, actual, skip=lambda path, field: False):
    """Lines saying what differs; `skip` tells which fields of a path do not count ("" for the path itself)."""
    lines = []
    for path in sorted(expected.keys() | actual.keys()):
        if skip(path, ""):
            continue
        left, right = expected.get(path), actual.get(path)
        if left is None or right is None:
            lines.append("%r: %s" % (path, "missing" if right is None else "not expected: %r" % right))
            continue
        for field in dataclasses.fields(Node):
            values = getattr(left, field.name), getattr(right, field.name)
            if values[0] != values[1] and not skip(path, field.name):
                lines.append("%r: %s is %r, expected %r" % (path, field.name, values[1], values[0]))
    return lines
