# SPDX-License-Identifier: Apache-2.0
"""An archive of `docker save`, in the page cache, made a SIF; peers that know no archives start from the unpacked tree, or a tar file of
it. All with as many threads as there are CPUs, blocks of 128 KiB; zstd is level 3. The remark is the size of what was made."""
import subprocess

from runner import Program

TITLE = "Converting an image"


def groups(bed):
    sifconv, archive, out = bed.sifconv, bed.archive, bed.home
    tar = bed.folder / "tree.tar"
    subprocess.run(["tar", "-C", bed.tree, "-cf", tar, "."], check=True)
    piped = ["sh", "-c", f"cat {archive} | {sifconv} --quiet --force - {out}/stdin.sif"]

    def program(name, file, argv, **more):
        return Program(name, argv, home=out, remark=lambda: f"{(out / file).stat().st_size / 1e6:.1f} MB", **more)

    def sif(name, *options):
        file = name.replace(" ", "") + ".sif"
        return program(name, file, [sifconv, "--quiet", "--force", *options, archive, out / file])

    programs = [
        sif("sifconv"),
        program("sifconv, standard input", "stdin.sif", piped),
        sif("sifconv gzip", "--compression", "gzip"),
        sif("sifconv fast", "--compression", "fast"),
        sif("sifconv small", "--compression", "small"),
        program("mksquashfs zstd", "mk.sqfs", ["mksquashfs", bed.tree, out / "mk.sqfs", "-noappend", "-quiet", "-no-progress", "-comp", "zstd",
                                               "-Xcompression-level", "3"]),
        program("tar2sqfs zstd", "tar2.sqfs", ["sh", "-c", f"tar2sqfs -q -f -c zstd -X level=3 {out}/tar2.sqfs < {tar}"]),
        program("apptainer build", "theirs.sif", ["apptainer", "--silent", "build", "--force", out / "theirs.sif", f"docker-archive:{archive}"],
                tree=bed.apptainer_tree, binds=(bed.folder, archive)),
    ]
    targets = [("sifconv", "apptainer build", 1 / 40), ("sifconv gzip", "apptainer build", 1 / 8), ("sifconv", "mksquashfs zstd", 0.7),
               ("sifconv", "tar2sqfs zstd", 0.7), ("sifconv, standard input", "sifconv", 1.2)]
    return [(f"{archive.name}, {archive.stat().st_size / 1e6:.0f} MB", "s", programs, targets)]
