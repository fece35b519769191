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
    yield from group(bed, bed.archive.name, f"Bootstrap: docker-archive\nFrom: {bed.archive}\n", 1 / 10)
    # Its blocks need not be compressed once more.
    yield from group(bed, f"{bed.archive.name}, as a SIF", f"Bootstrap: localimage\nFrom: {bed.sif['zstd']}\n", 1 / 20)


def group(bed, heading, header, target):
    recipe = bed.folder / f"{'sif' if 'SIF' in heading else 'archive'}.def"
    recipe.write_text(header + SECTIONS)
    targets = {name: bed.home / f"{name}-built.sif" for name in ("sifrun", "apptainer")}
    yield heading, "s", [
        Program("sifrun build", [bed.sifrun, "--quiet", "build", "--force", targets["sifrun"], recipe], home=bed.home, output=targets["sifrun"], before=pause),
        Program("apptainer build", ["apptainer", "--silent", "build", "--force", targets["apptainer"], recipe], home=bed.home, output=targets["apptainer"],
                before=pause, tree=bed.apptainer_tree, binds=(bed.folder, bed.archive), runs=3),
    ], [Target("sifrun build", "apptainer build", target)]
