# SPDX-License-Identifier: Apache-2.0
"""Starting `true`, the image in the page cache. NVIDIA's driver is that of Debian's packages in a folder, which stands in for one that is installed: what
is found and bound is the same; without a GPU there are no device nodes."""
from beds import nvidia
from runner import Program, Target

TITLE = "Starting a program"
PROCESSES = "the server and what asks ahead are processes of their own, each with page tables and page faults of its own"
JOINING = ("two programs are executed, as by bwrap, and ours is larger (page faults); then come the host's facts, the question to the file server's process and the "
           "image's environment scripts (`sifrun exec --timing`). Mounts cost nothing where a start enters the root of an earlier one")
OWN, JOIN = ["--share=off"], ["--share=bench"]


def groups(bed):
    programs = [
        Program("spawn alone", ["true"], remark="what the measurement itself costs"),
        Program("bwrap", bed.bwrap(["true"]), remark="unpacked folder"),
        Program("Charliecloud", bed.charliecloud(["true"]), remark="unpacked folder; ch-run by way of env"),
        Program("sifrun", bed.sifrun_exec(["true"], options=OWN), home=bed.home, remark="own mount"),
        Program("sifrun, gzip", bed.sifrun_exec(["true"], "gzip", OWN), home=bed.home, remark="own mount"),
        Program("sifrun, joining", bed.sifrun_exec(["true"], options=JOIN), home=bed.home, again=True, remark="the mount of the run before it"),
        Program("apptainer", **bed.apptainer_exec(["true"])),
    ]
    targets = [Target("sifrun", "bwrap", 2.0, bound=PROCESSES), Target("sifrun", "apptainer", 1 / 14, bound=PROCESSES),
               Target("sifrun, joining", "bwrap", 0.8, bound=JOINING), Target("sifrun, joining", "apptainer", 1 / 50, bound=JOINING)]
    return [("`true`, image of zstd unless said otherwise", "ms", programs, targets), with_driver(bed)]


def with_driver(bed):
    root = bed.folder / "driver"
    if not root.exists():
        root.symlink_to(nvidia.driver_tree())
    programs = [Program(f"sifrun {option}", ["env", f"SIFRUN_NV_ROOT={root}", *bed.sifrun_exec(["true"], options=[*OWN, option])], home=bed.home)
                for option in ("--no-nv", "--nv")]
    return "`true`, with NVIDIA's driver and without", "ms", programs, []
