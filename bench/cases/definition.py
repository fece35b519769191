# SPDX-License-Identifier: Apache-2.0
"""A definition file whose %post makes one file, so that what counts is the base image on its way: unpacked, changed, packed. As an ordinary user without
subordinate ids; the base is an archive of `docker save`, or a SIF that was made of it. Seconds lie between the runs, since ext4 takes its time to make files where thousands have just
been removed."""
import time

from runner import Program, Target

TITLE = "Building from a definition file"
PAUSE = 6  # s: ext4 leaves an inode alone for five after its file was removed
SECTIONS = "%post\n    echo made > /made\n%environment\n    export MADE=yes\n"


def pause():
    time.sleep(PAUSE)


def groups(bed):
    targets = {name: bed.home / f"{name}-built.sif" for name in ("sifrun", "apptainer")}

    def ours(name, header):
        recipe = bed.folder / f"{name}.def"
        recipe.write_text(header + SECTIONS)
        return recipe, Program("sifrun build", [bed.sifrun, "--quiet", "build", "--force", targets["sifrun"], recipe], home=bed.home,
                               output=targets["sifrun"], before=pause)

    recipe, program = ours("archive", f"Bootstrap: docker-archive\nFrom: {bed.archive}\n")
    yield bed.archive.name, "s", [
        program,
        Program("apptainer build", ["apptainer", "--silent", "build", "--force", targets["apptainer"], recipe], home=bed.home, output=targets["apptainer"],
                before=pause, tree=bed.apptainer_tree, binds=(bed.folder, bed.archive), runs=3),
    ], [Target("sifrun build", "apptainer build", 1 / 10)]
    # Apptainer cannot unpack it without subordinate ids. Packing alone is what there is to be saved: blocks are taken as they are.
    packed = bed.home / "packed.image"
    yield f"{bed.archive.name} as a SIF", "s", [
        ours("sif", f"Bootstrap: localimage\nFrom: {bed.sif['zstd']}\n")[1],
        Program("mksquashfs zstd", ["mksquashfs", bed.tree, packed, "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "3"],
                home=bed.home, output=packed, before=pause),
    ], [Target("sifrun build", "mksquashfs zstd", 1 / 2)]
