# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: one archive as SIF images of both usual codecs and as a folder, the programs, the peers."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import measure
from beds import debian_tree, images
from beds.docker import Docker

USER = 1000


def primary_partition(image):
    """Offset of the squashfs in a SIF, from its descriptors (585 bytes each, from byte 4096 on)."""
    with open(image, "rb") as file:
        head = file.read(4096 + 48 * 585)
    for start in range(4096, len(head), 585):
        kind, used = int.from_bytes(head[start:start + 4], "little"), head[start + 4]
        if used and kind == 0x4004:
            return int.from_bytes(head[start + 17:start + 25], "little")
    raise SystemExit(f"bench: no partition in {image}")


class Bed:
    """Use as a context manager. `archive`: what `docker save` wrote, of an image with Python and NumPy."""

    def __init__(self, archive=None):
        self.archive = archive
        self.build = pathlib.Path(os.environ.get("SIFCONV_BUILD") or measure.REPOSITORY / "build/release")

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        try:
            self._fill()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill(self):
        if self.archive is None:
            self.archive = images.user_archive(Docker)
        self.home = self.folder / "home"
        self.home.mkdir()
        os.chown(self.home, USER, USER)
        self.accounts = []
        for name, line in (("passwd", f"user:x:{USER}:{USER}::{self.home}:/bin/sh"), ("group", f"user:x:{USER}:")):
            lines = [old for old in pathlib.Path("/etc", name).read_text().splitlines() if old.split(":")[2] != str(USER)]
            file = self.folder / "etc" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text("\n".join([*lines, line, ""]))
            self.accounts.append(file)
        self.sifrun, self.sifconv = (pathlib.Path(shutil.copy(self.build / "bin" / name, self.folder)) for name in ("sifrun", "sifconv"))
        self.sif = {}
        for codec in ("zstd", "gzip"):
            self.sif[codec] = self.folder / f"{codec}.sif"
            subprocess.run([self.sifconv, "--quiet", "--compression", codec, self.archive, self.sif[codec]], check=True)
        self.tree = self._unpack(self.sif["zstd"], "tree")
        self.apptainer_tree = debian_tree.debian("sid", debian_tree.APPTAINER_PACKAGES).root

    def _unpack(self, sif, name):
        tree = self.folder / name
        subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-offset", str(primary_partition(sif)), "-dest", tree, sif],
                       check=True, stdout=subprocess.DEVNULL)
        return tree

    def unpacked(self, archive, name):
        """The files of another archive as a folder."""
        sif = self.folder / f"{name}.sif"
        subprocess.run([self.sifconv, "--quiet", archive, sif], check=True)
        return self._unpack(sif, name)

    def torch_archive(self):
        """A bigger image: PyTorch and cuBLAS."""
        return images.torch_archive(Docker)

    def gzipped(self, archive):
        packed = self.folder / (archive.name + ".gz")
        with open(packed, "wb") as file:
            subprocess.run(["gzip", "-6", "-c", archive], check=True, stdout=file)
        return packed

    def twice(self, tree):
        """An archive of one layer with `tree` in it under two names."""
        layer, archive = self.folder / "layer.tar", self.folder / "twice.tar"
        for mode, name in (("-c", "first"), ("-r", "second")):
            subprocess.run(["tar", "-C", tree, mode, "-f", layer, f"--transform=s,^\\.,{name},rSh", "."], check=True)
        images.wrap_layer(layer, archive)
        layer.unlink()
        return archive

    # Command lines: the same program in each kind of container.
    def bwrap(self, argv, root=None):
        return ["bwrap", "--bind", root or self.tree, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--bind", "/tmp", "/tmp", *argv]

    def charliecloud(self, argv):
        return ["env", f"USER={USER}", "ch-run", self.tree, "--", *argv]

    def sifrun_exec(self, argv, codec="zstd", options=()):
        return [self.sifrun, "exec", *options, self.sif[codec], *argv]

    def apptainer_exec(self, argv, codec="zstd"):
        """Arguments of a Program: command, its root tree and what that needs to see."""
        return {"argv": ["apptainer", "--silent", "exec", self.sif[codec], *argv], "tree": self.apptainer_tree,
                "binds": (self.folder,), "home": "/home/user"}

    def loop_mount(self, codec):
        """(folder, mount, unmount): the kernel's own squashfs, mounted and taken away by root."""
        folder = self.folder / f"loop-{codec}"
        folder.mkdir(exist_ok=True)
        options = f"loop,ro,offset={primary_partition(self.sif[codec])}"
        return (folder, lambda: subprocess.run(["mount", "-o", options, self.sif[codec], folder], check=True),
                lambda: subprocess.run(["umount", folder], check=True))
