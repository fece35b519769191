# SPDX-License-Identifier: Apache-2.0
"""Wall time, CPU time and peak memory of commands run as an ordinary user, here or with another tree as root.

A FUSE server that leaves its parent is nobody's waited-for child, so CPU time is taken from a control group of the runner where the
machine lets us make one, and from wait4 otherwise (the table says which).
"""
import json
import os
import pathlib
import platform
import resource  # noqa: F401  wait4 loads it on first use, when the tree may have no Python
import statistics
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))
from beds import enter_tree, kernel  # noqa: E402

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SETTLE_SECONDS = 0.5  # for servers that end a moment after their last user


class CpuClock:
    """CPU seconds of everything that this process started since, as a control group counts them."""

    def __init__(self):
        self.read, self.source = self._rusage, "wait4"
        for folder, counter in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat")):
            group = pathlib.Path(folder) / f"bench-{os.getpid()}"
            try:
                if not (pathlib.Path(folder) / "cgroup.procs").exists():
                    continue
                group.mkdir(exist_ok=True)  # a run that was killed may have left one of that name
                (group / "cgroup.procs").write_text(str(os.getpid()))
                file = os.open(group / counter, os.O_RDONLY)
            except OSError:
                continue
            self.read, self.source = (lambda: self._group(file, counter)), "control group"
            return

    @staticmethod
    def _rusage():
        times = os.times()
        return times.children_user + times.children_system

    @staticmethod
    def _group(file, counter):
        text = os.pread(file, 4096, 0).decode()
        return int(text) / 1e9 if counter == "cpuacct.usage" else int(text.split()[1]) / 1e6


def _become_user(home):
    enter_tree.become_user()
    os.environ.clear()
    os.environ.update(PATH=PATH, HOME=str(home), LANG="C.UTF-8")


def _time_once(argv, before):
    if before:
        subprocess.run(before, check=True, stdout=subprocess.DEVNULL)
    start = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"{argv} ended with wait status {status}")
    return wall, usage.ru_maxrss / 1024


def measure(argv, runs, tree=None, binds=(), cwd="/", home="/tmp", before=None, warm_up=True):
    """Runs `argv` some times as uid 1000 and returns medians; the runner is a process of its own."""
    argv = [str(word) for word in argv]
    read_end, write_end = os.pipe()
    runner = os.fork()
    if runner == 0:
        try:
            clock = CpuClock()
            if tree:
                enter_tree.enter(tree, [(str(b), str(b)) for b in binds])
            else:
                kernel.private_mounts()
                kernel.open_fuse_to_users()
            _become_user(home)
            os.chdir(cwd)
            if warm_up:
                _time_once(argv, before)
                time.sleep(SETTLE_SECONDS)
            start = clock.read()
            times = [_time_once(argv, before) for _ in range(runs)]
            time.sleep(SETTLE_SECONDS)
            result = {"wall": statistics.median(t[0] for t in times), "fastest": min(t[0] for t in times),
                      "slowest": max(t[0] for t in times), "cpu": (clock.read() - start) / runs,
                      "rss": max(t[1] for t in times), "clock": clock.source}
        except BaseException as failure:  # the parent prints it
            result = {"failed": f"{type(failure).__name__}: {failure}"}
        os.write(write_end, json.dumps(result).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        result = json.loads(pipe.read())
    os.waitpid(runner, 0)
    _remove_group(runner)
    return result


def _remove_group(runner):
    for folder in ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"):
        group = pathlib.Path(folder) / f"bench-{runner}"
        if group.exists() and group.is_dir():
            try:
                group.rmdir()
            except OSError:
                pass  # a server is still ending in it


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    commit = subprocess.run(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return (f"{len(os.sched_getaffinity(0))} CPUs of {model}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}; commit {commit}")


def heading(title, runs):
    print(f"{title}\n{machine()}; runs: {runs}\n")


def table(rows, unit, runs=None):
    """Rows of (name, result, remark); `unit` is ms or s. Who had fewer runs than `runs` is marked."""
    scale = 1000 if unit == "ms" else 1
    sizes = any("size" in result for _, result, _ in rows)
    remarks = "size MB" if sizes else f"server CPU {unit}" if any("served" in result for _, result, _ in rows) else ""
    memory = any("memory" in result for _, result, _ in rows)
    held, field = ("page cache and servers MiB", "memory") if memory else ("peak RSS MiB", "rss")
    print(f"| program | wall {unit}: median (fastest - slowest) | CPU {unit} | {held} | {remarks} |\n| --- | --- | --- | --- | --- |")
    for name, result, remark in rows:
        if "failed" in result:
            print(f"| {name} | {result['failed']} | | | {remark} |")
            continue
        if runs and result["runs"] < runs:
            name += f" ({result['runs']} run{'s' if result['runs'] > 1 else ''})"
        wall, fastest, slowest, cpu = (result[k] * scale for k in ("wall", "fastest", "slowest", "cpu"))
        if "size" in result:
            remark = f"{result['size']:.1f}"
        if "served" in result:
            remark = f"{result['served'] * scale:.0f}; {remark}"
        print(f"| {name} | {wall:.1f} ({fastest:.1f} - {slowest:.1f}) | {cpu:.1f} | {result[field]:.0f} | {remark} |")
    print(f"\nCPU from: {', '.join(sorted({r[1]['clock'] for r in rows if 'clock' in r[1]}))}")
