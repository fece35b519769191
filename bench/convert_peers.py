#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What a conversion costs: sifconv and `apptainer build` on the same archive in one run (root only because of the tree; both run as
uid 1000). The archive is read once before, so that both find it in the page cache.

    bench/convert_peers.py ARCHIVE.tar [RUNS]
"""
import os
import pathlib
import shutil
import sys
import tempfile

import measure
from beds import debian_tree


def main():
    archive = pathlib.Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    build = pathlib.Path(os.environ.get("SIFCONV_BUILD") or measure.REPOSITORY / "build/release")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
    folder.chmod(0o777)
    try:
        sifconv = shutil.copy(build / "bin/sifconv", folder)
        with open(archive, "rb") as data:
            while data.read(1 << 24):
                pass
        tree = debian_tree.debian("sid", debian_tree.APPTAINER_PACKAGES).root

        def row(name, argv, **options):
            target = folder / f"{name}.sif"
            line = [target if word == "TARGET" else word for word in argv]
            result = measure.measure(line, runs, cwd=folder, warm_up=False, **options)
            return name, result, f"{target.stat().st_size / 1e6:.1f} MB" if target.exists() else ""

        rows = [
            row("sifconv", [sifconv, "--quiet", "--force", archive, "TARGET"]),
            row("sifconv --compression gzip", [sifconv, "--quiet", "--force", "--compression", "gzip", archive, "TARGET"]),
            row("apptainer build", ["apptainer", "--silent", "build", "--force", "TARGET", f"docker-archive:{archive}"],
                tree=tree, binds=[folder, archive], home=folder),
        ]
        measure.heading(f"Converting {archive.name}, {archive.stat().st_size / 1e6:.0f} MB", runs)
        measure.table(rows, "s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
