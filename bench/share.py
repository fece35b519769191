#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What sharing one mount is worth: starts that join one, and processes that import numpy at the same time, beside a mount each and beside
Apptainer; as root because of trees and control groups, the programs run as uid 1000.

    bench/share.py IMAGE.sif [RUNS [PROCESSES]]        the image has python3 with numpy

Memory is the page cache of a control group that only these programs are in (the image file itself was read outside of it before), and
the anonymous memory of the file servers; CPU is that of the servers.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import measure
from beds import debian_tree, enter_tree, kernel
from bed import primary_partition

WORK = ["python3", "-c", "import numpy, sys; print('ready', flush=True); sys.stdin.readline()"]
SERVERS = ("sifrun-fuse", "squashfuse_ll")
TICK = os.sysconf("SC_CLK_TCK")
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")


class Group:
    """A control group that counts memory (version 1 or 2)."""

    def __init__(self):
        self.v1 = (MEMORY / "cgroup.procs").exists()
        self.path = (MEMORY if self.v1 else pathlib.Path("/sys/fs/cgroup")) / f"bench-{os.getpid()}"
        self.path.mkdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def cache(self):
        values = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        return int(values["total_cache" if self.v1 else "file"])

    def servers(self):
        """CPU seconds and anonymous bytes of the file servers in it."""
        seconds = size = count = 0
        for pid in (self.path / "cgroup.procs").read_text().split():
            try:
                status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
                times = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if status["Name"].strip() in SERVERS:
                seconds += (int(times[11]) + int(times[12])) / TICK
                size += int(status["RssAnon"].split()[0]) * 1024
                count += 1
        return seconds, size, count

    def remove(self):
        for _ in range(100):
            try:
                return self.path.rmdir()
            except OSError:
                time.sleep(0.1)


def together(argv, processes, tree, binds):
    """Wall seconds until all are ready; CPU, memory and number of the servers then."""
    group = Group()

    def begin():
        group.enter()
        if tree:
            enter_tree.enter(tree, [(str(b), str(b)) for b in binds])
        measure._become_user("/home/user" if tree else "/tmp")
        os.chdir("/")
    start = time.perf_counter()
    running = [subprocess.Popen(list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=begin) for _ in range(processes)]
    for process in running:
        assert process.stdout.readline() == b"ready\n"
    wall = time.perf_counter() - start
    cpu, size, count = group.servers()
    result = wall, cpu, (group.cache() + size) / 2**20, count
    for process in running:
        process.communicate(b"\n")
    group.remove()
    return result


def main():
    image = pathlib.Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    build = pathlib.Path(os.environ.get("SIFCONV_BUILD") or measure.REPOSITORY / "build/release")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    kernel.private_mounts()
    kernel.open_fuse_to_users()
    try:
        sif, sifrun, unpacked = folder / "image.sif", folder / "sifrun", folder / "tree"
        shutil.copy(image, sif)
        shutil.copy(build / "bin/sifrun", sifrun)
        subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-offset", str(primary_partition(sif)), "-dest", unpacked, sif],
                       check=True, stdout=subprocess.DEVNULL)
        tree = debian_tree.debian("sid", debian_tree.APPTAINER_PACKAGES).root
        bwrap = ["bwrap", "--bind", unpacked, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--bind", "/tmp", "/tmp", "true"]
        measure.heading(f"Starting `true` from {image.name}, an earlier start of which is there", runs)
        measure.table([("bwrap", measure.measure(bwrap, runs), "unpacked tree"),
                       ("sifrun, joining", measure.measure([sifrun, "exec", sif, "true"], runs), "target: 0.8 of bwrap"),
                       ("sifrun --share=off", measure.measure([sifrun, "exec", "--share=off", sif, "true"], runs), "")], "ms")

        kinds = {"shared": ([sifrun, "exec", sif, *WORK], None), "--share=off": ([sifrun, "exec", "--share=off", sif, *WORK], None),
                 "apptainer": (["apptainer", "--silent", "exec", sif, *WORK], tree)}
        turns = {kind: [] for kind in kinds}
        for _ in range(runs):
            for kind, (argv, root) in kinds.items():
                turns[kind].append(together(argv, processes, root, [folder]))
        print(f"\n{processes} processes that import numpy at the same time: medians\n")
        print("| mounts | wall s | servers | server CPU s | page cache and server memory, MiB |\n| --- | --- | --- | --- | --- |")
        medians = {kind: [statistics.median(turn[i] for turn in turns[kind]) for i in range(4)] for kind in kinds}
        for kind, (wall, cpu, size, count) in medians.items():
            print(f"| {kind} | {wall:.2f} | {count:.0f} | {cpu:.2f} | {size:.0f} |")
        for kind, share in (("--share=off", 5), ("apptainer", 8)):
            ratios = [medians["shared"][i] / medians[kind][i] for i in (1, 2)]
            print(f"\nagainst {kind}: server CPU 1/{1 / ratios[0]:.1f}, memory 1/{1 / ratios[1]:.1f} (target: 1/{share})")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
