#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What it costs to start a program: sifrun, Apptainer and bubblewrap (on an unpacked tree), side by side in one run, as root only
because of the trees; the programs run as uid 1000.

    bench/start.py IMAGE.sif [RUNS]
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import measure
from beds import debian_tree


def primary_partition(image):
    """Offset of the squashfs in a SIF, from its descriptors (585 bytes each, from byte 4096 on)."""
    with open(image, "rb") as file:
        head = file.read(4096 + 48 * 585)
    for start in range(4096, len(head), 585):
        kind, used = int.from_bytes(head[start:start + 4], "little"), head[start + 4]
        if used and kind == 0x4004:
            return int.from_bytes(head[start + 17:start + 25], "little")
    raise SystemExit(f"start.py: no partition in {image}")


def main():
    image = pathlib.Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    build = pathlib.Path(os.environ.get("SIFCONV_BUILD") or measure.REPOSITORY / "build/release")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        sif, sifrun, unpacked = folder / "image.sif", folder / "sifrun", folder / "tree"
        shutil.copy(image, sif)
        shutil.copy(build / "bin/sifrun", sifrun)
        subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-offset", str(primary_partition(sif)), "-dest", unpacked, sif],
                       check=True, stdout=subprocess.DEVNULL)
        bwrap = ["bwrap", "--bind", unpacked, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--bind", "/tmp", "/tmp", "true"]
        tree = debian_tree.debian("sid", debian_tree.APPTAINER_PACKAGES).root
        rows = [
            ("fork and exec alone", measure.measure(["true"], runs), "what the measurement costs"),
            ("bwrap", measure.measure(bwrap, runs), "unpacked tree, no image"),
            ("sifrun exec", measure.measure([sifrun, "exec", sif, "true"], runs), ""),
            ("apptainer exec", measure.measure(["apptainer", "--silent", "exec", sif, "true"], runs, tree=tree, binds=[folder],
                                               home="/home/user"), "the same file"),
        ]
        measure.heading(f"Starting `true` from {image.name}", runs)
        measure.table(rows, "ms")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
