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


WHOLE = ("all of the image is inflated and copied into the page cache, and every folder and larger file asked for, while two readers, the programs that they start and a "
         "server keep two CPUs busy. Small files that are read in order are handed over unasked (FUSE_NOTIFY_STORE), and io_uring "
         "makes requests cheaper; tried without gain: attributes with every listing (READDIRPLUS always)")
ENABLE_URING = pathlib.Path("/sys/module/fuse/parameters/enable_uring")
ASKED = ("on two CPUs Python and the file server, which inflates and copies what is imported into the page cache, compete for time. Python waits for its first pages, "
         "which nobody can inflate sooner, and at each file that it opens, because it asks whether that is a terminal (an ioctl, which the kernel passes to the file "
         "server and never remembers; an overlay above the mount would answer that itself, and make stat(2) slower than the kernel's). What is "
         "read later is stored ahead; tried without gain were more threads for that, and beginning before there is a mount")


def script(work, state):
    if state == "cold":
        return ["sh", "-c", work]
    return ["sh", "-c", f"{work}\nstart=$(date +%s%N)\n{work}\necho $(($(date +%s%N) - start))"]


def by_io_uring(program):
    was = ENABLE_URING.read_text()
    return Program("sifrun, io_uring", program.argv, home=program.home,
                   before=lambda: ENABLE_URING.write_text("Y"), after=lambda: ENABLE_URING.write_text(was))


def groups(bed):
    result = []
    for title, work, targets in WORK:
        for codec in ("zstd", "gzip"):
            mount, attach, detach = bed.loop_mount(codec)
            for state in ("cold", "warm"):
                argv, inner = script(work, state), state == "warm"
                programs = [
                    Program("sifrun", bed.sifrun_exec(argv, codec, ["--share=off"]), home=bed.home, inner=inner),
                    Program("kernel", bed.bwrap(argv, mount), before=attach, after=detach, remark="squashfs on a loop device, bwrap", inner=inner),
                    Program("bwrap", bed.bwrap(argv), remark="unpacked folder", inner=inner),
                    Program("Charliecloud", bed.charliecloud(argv), remark="unpacked folder", inner=inner),
                    Program("apptainer", **bed.apptainer_exec(argv, codec), remark="squashfuse_ll", inner=inner),
                ]
                if state == "cold" and ENABLE_URING.exists():
                    programs.insert(1, by_io_uring(programs[0]))
                result.append((f"{title}, {state}, {codec}", "ms", programs,
                               [Target("sifrun", peer, limit, bound={IMPORT: ASKED, READ: WHOLE}.get(work, "")) for peer, limit in targets[state]]))
    return result
