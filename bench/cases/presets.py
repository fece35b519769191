# SPDX-License-Identifier: Apache-2.0
"""What levels cost and give, on the archive with NumPy. `--compression zstd` (the default) is zstd 3 (files of 64 MiB and more: with a quicker search), `gzip` is gzip 6, `fast` is lz4 1 and `small`
is zstd 14: each is the last level of its codec before several times the CPU time buys a few per cent of size. Reading costs the same at
every level of a codec."""
from runner import Program

TITLE = "Compression levels"
# Codec, level, and whether it is slow enough for a single run to do.
LEVELS = [("lz4", 1, False), ("lz4", 9, False), ("zstd", 1, False), ("zstd", 3, False), ("zstd", 6, False), ("zstd", 9, False), ("zstd", 14, True),
          ("gzip", 1, False), ("gzip", 4, False), ("gzip", 6, False), ("gzip", 9, True), ("xz", 6, True)]
RUNS = 3


def groups(bed):
    programs = []
    for codec, level, slow in LEVELS:
        target = bed.home / f"{codec}-{level}.sif"
        programs.append(Program(f"{codec}:{level}", [bed.sifconv, "--quiet", "--force", "--compression", f"{codec}:{level}", bed.archive, target],
                                home=bed.home, output=target, runs=1 if slow else RUNS))
    return [(bed.archive.name, "s", programs, [])]
