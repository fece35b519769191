# SPDX-License-Identifier: Apache-2.0
"""Starting `true`, the image in the page cache."""
from runner import Program

TITLE = "Starting a program"
OWN, JOIN = ["--share=off"], ["--share=bench"]


def groups(bed):
    programs = [
        Program("spawn alone", ["true"], remark="what the measurement itself costs"),
        Program("bwrap", bed.bwrap(["true"]), remark="unpacked folder"),
        Program("Charliecloud", bed.charliecloud(["true"]), remark="unpacked folder; ch-run by way of env"),
        Program("sifrun", bed.sifrun_exec(["true"], options=OWN), home=bed.home, remark="own mount"),
        Program("sifrun, gzip", bed.sifrun_exec(["true"], "gzip", OWN), home=bed.home, remark="own mount"),
        Program("sifrun, joining", bed.sifrun_exec(["true"], options=JOIN), home=bed.home, remark="the mount of the run before it"),
        Program("apptainer", **bed.apptainer_exec(["true"])),
    ]
    targets = [("sifrun", "bwrap", 2.0), ("sifrun", "apptainer", 1 / 14),
               ("sifrun, joining", "bwrap", 0.8), ("sifrun, joining", "apptainer", 1 / 50)]
    return [("`true`, image of zstd unless said otherwise", "ms", programs, targets)]
