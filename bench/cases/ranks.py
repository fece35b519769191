# SPDX-License-Identifier: Apache-2.0
"""Several processes of one job on one machine. First: each a container of its own from the same image, importing numpy at the same time, wall
time until the last is ready; memory is the page cache that they filled (the image file's own was there before) and the file servers' own,
in all; server CPU is that of the file servers alone. Then two ranks of Open MPI, a container each, passing 64 MiB back and forth, beside the
same program without containers."""
import os
import pathlib
import subprocess
import time

import measure
from beds import debian_tree
from runner import Program, Target

TITLE = "Ranks on one machine"
IMPORT = ["python3", "-c", "import numpy, sys; print('ready', flush=True); sys.stdin.readline()"]
SERVERS = ("sifrun-fuse", "squashfuse_ll")
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")
MESSAGES = pathlib.Path(__file__).with_name("messages.c")


class MemoryGroup:
    """A control group that counts page cache (version 1 or 2)."""

    def __init__(self):
        self.v1 = (MEMORY / "cgroup.procs").exists()
        self.path = (MEMORY if self.v1 else pathlib.Path("/sys/fs/cgroup")) / f"bench-memory-{os.getpid()}"
        self.path.mkdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def mebibytes(self):
        values = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        kibibytes = sum(int(status["RssAnon"].split()[0]) for _, status in self._servers())
        return int(values["total_cache" if self.v1 else "file"]) / 2**20 + kibibytes / 1024

    def server_seconds(self):
        """CPU time of the file servers so far."""
        ticks = 0
        for pid, _ in self._servers():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime and stime
        return ticks / os.sysconf("SC_CLK_TCK")

    def _servers(self):
        for pid in (self.path / "cgroup.procs").read_text().split():
            try:
                status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
            except OSError:
                continue
            if status["Name"].strip() in SERVERS:
                yield pid, status

    def remove(self):
        """Once the last server has ended: then the next turn finds nothing of this one."""
        end = time.monotonic() + 20
        while True:
            try:
                return self.path.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def together(count):
    """A Program's `work`: starts its command line `count` times at once."""
    def work(program):
        group = MemoryGroup()

        def begin():
            group.enter()
            measure._become_user(program.home)
        start = time.perf_counter()
        running = [subprocess.Popen(list(map(str, program.argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    preexec_fn=begin) for _ in range(count)]
        try:
            ready = [process.stdout.readline() == b"ready\n" for process in running]
            wall, memory, served = time.perf_counter() - start, group.mebibytes(), group.server_seconds()
        finally:
            for process in running:
                process.communicate(b"\n")
            group.remove()
        if not all(ready):
            raise RuntimeError(f"{ready.count(False)} of {count} processes did not get ready")
        return {"wall": wall, "rss": 0, "memory": memory, "served": served}
    return work


def imports(bed, count):
    theirs = bed.apptainer_exec(IMPORT)
    programs = [
        Program("sifrun", bed.sifrun_exec(IMPORT), home=bed.home, work=together(count), remark="one mount for all"),
        Program("sifrun --share=off", bed.sifrun_exec(IMPORT, options=["--share=off"]), home=bed.home, work=together(count), remark="a mount each"),
        Program("bwrap", bed.bwrap(IMPORT), work=together(count), remark="unpacked folder, in the page cache before"),
        Program("apptainer", **theirs, work=together(count), remark="a mount each"),
    ]
    targets = [Target("sifrun", "apptainer", 1), Target("sifrun", "apptainer", 1 / count, "memory"),
               Target("sifrun", "apptainer", 1 / count, "server CPU")]
    if count == 8:
        targets += [Target("sifrun", "sifrun --share=off", 1 / 5, of) for of in ("memory", "server CPU")]
    return (f"{count} processes importing numpy", "ms", programs, targets)


def messages(bed):
    """An image of Debian with the Open MPI that this machine has, too; the program prints nanoseconds per 2 x 64 MiB."""
    program, image = bed.folder / "messages", bed.folder / "mpi.sif"
    subprocess.run(["mpicc.openmpi", "-O2", "-o", program, MESSAGES], check=True)
    tree = debian_tree.debian("bookworm", ("openmpi-bin", "mpich")).root
    subprocess.run([bed.sifconv, "--quiet", "--compression", "fast", f"{tree}/", image], check=True)
    launch = ["mpirun.openmpi", "-n", "2", "--oversubscribe"]
    inside = ["--bind", bed.folder, image, program]
    programs = [
        Program("bare metal", [*launch, program], home=bed.home, inner=True),
        Program("sifrun", [*launch, bed.sifrun, "exec", *inside], home=bed.home, inner=True, remark="a container each, one user namespace"),
        Program("sifrun --share=off", [*launch, bed.sifrun, "exec", "--share=off", *inside], home=bed.home, inner=True,
                remark="no cross-memory attach"),
    ]
    return ("64 MiB there and back between two ranks", "ms", programs, [Target("sifrun", "bare metal", 1.05)])


def groups(bed):
    return [*(imports(bed, count) for count in (2, 4, 8)), messages(bed)]
