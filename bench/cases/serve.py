# SPDX-License-Identifier: Apache-2.0
"""Reading from an image: cold is a fresh mount with the image in the page cache, warm the same again within that mount. Every command
line is a whole container, so cold figures contain its start. From the second run of a command on
sifrun reads ahead what it noted at the first. io_uring is the kernel's other way for FUSE requests, which is off until an administrator
allows it (Linux 6.14)."""
import pathlib

from runner import Program, Target

TITLE = "Serving files"

IMPORT = "python3 -c 'import numpy'"
READ = "find / -xdev -type f -print0 2>/dev/null | xargs -0 -n 64 -P 2 cat >/dev/null 2>&1 || true"
STAT = "find / -xdev -size -0 >/dev/null 2>&1 || true"
# (what, script, targets against peers of the same codec: cold or warm, peer, ratio)
WORK = [
    ("import numpy", IMPORT, {"cold": [("kernel", 0.65), ("apptainer", 1 / 2.5), ("bwrap", 1.25)], "warm": [("kernel", 1.1), ("bwrap", 1.1)]}),
    ("all files, two readers", READ, {"cold": [("kernel", 0.35), ("apptainer", 1 / 2.5)], "warm": [("kernel", 1.1)]}),
    ("stat of all files", STAT, {"cold": [("kernel", 1.3), ("apptainer", 1 / 2.5)], "warm": [("kernel", 1.1)]}),
]


WHOLE = ("most of the CPU time is the readers' own and zstd's, which the kernel spends as well, and the rest requests and copying all of it into the page cache; "
         "two readers and a server keep two CPUs busy")
ENABLE_URING = pathlib.Path("/sys/module/fuse/parameters/enable_uring")
SLOW_RUNS = 5  # of reading everything, which takes the peers long
ASKED = ("on two CPUs Python and the file server, which inflates and copies what is imported into the page cache, compete for time: tried without gain were more "
         "threads asking ahead, fewer requests at a time, and a nicer server. And Python asks the file server at each file that it opens (an ioctl, which the "
         "kernel never remembers)")


def script(work, state):
    if state == "cold":
        return ["sh", "-c", work]
    return ["sh", "-c", f"{work}\nstart=$(date +%s%N)\n{work}\necho $(($(date +%s%N) - start))"]


def by_io_uring(program):
    was = ENABLE_URING.read_text()
    return Program("sifrun, io_uring", program.argv, home=program.home, runs=program.runs,
                   before=lambda: ENABLE_URING.write_text("Y"), after=lambda: ENABLE_URING.write_text(was))


def groups(bed):
    result = []
    for title, work, targets in WORK:
        for codec in ("zstd", "gzip"):
            mount, attach, detach = bed.loop_mount(codec)
            for state in ("cold", "warm"):
                argv, inner = script(work, state), state == "warm"
                more = {"inner": inner, "runs": SLOW_RUNS if work is READ else None}
                programs = [
                    Program("sifrun", bed.sifrun_exec(argv, codec, ["--share=off"]), home=bed.home, **more),
                    Program("kernel", bed.bwrap(argv, mount), before=attach, after=detach, remark="squashfs on a loop device, bwrap", **more),
                    Program("bwrap", bed.bwrap(argv), remark="unpacked folder", **more),
                    Program("Charliecloud", bed.charliecloud(argv), remark="unpacked folder", **more),
                    Program("apptainer", **bed.apptainer_exec(argv, codec), remark="squashfuse_ll", **more),
                ]
                if state == "cold" and ENABLE_URING.exists():
                    programs.insert(1, by_io_uring(programs[0]))
                result.append((f"{title}, {state}, {codec}", "ms", programs,
                               [Target("sifrun", peer, limit, bound={IMPORT: ASKED, READ: WHOLE}.get(work, "")) for peer, limit in targets[state]]))
    return result
