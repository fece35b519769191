# SPDX-License-Identifier: Apache-2.0
"""Programs that take turns: each has a process that keeps its surroundings (another root tree, a mount), so that the runs of all can
be interleaved. Wall time is that of the ordinary user's program alone, CPU time that of everything it started, servers included."""
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import time
import traceback
import typing

from measure import CpuClock, _become_user, _remove_group
from beds import enter_tree, kernel

SETTLE_SECONDS = 0.1  # for servers that end a moment after their last user


@dataclasses.dataclass
class Program:
    name: str
    argv: list
    tree: typing.Optional[pathlib.Path] = None  # another root, with `binds` of this one's folders
    binds: tuple = ()
    home: str = "/tmp"
    before: typing.Optional[typing.Callable] = None  # as root, before and after each run
    after: typing.Optional[typing.Callable] = None
    work: typing.Optional[typing.Callable] = None  # as root instead of running `argv`: work(program) gives wall, rss and perhaps memory (MiB), served (s)
    again: bool = False  # what counts is the run soon after another one, which leaves something behind
    inner: bool = False  # prints the nanoseconds that count, itself
    remark: str = ""
    output: typing.Optional[pathlib.Path] = None  # the file that it writes: its size counts
    runs: typing.Optional[int] = None  # of a slow one: at most so many turns, and none before them that does not count


class Target(typing.NamedTuple):
    """What is wanted of a program: at most `limit` times what the peer has, or at most `limit` where there is no peer."""
    program: str
    peer: typing.Optional[str]
    limit: float
    of: str = "wall"  # a key of MEASURES
    bound: str = ""  # what keeps it from being met, for the document


# What a target can be about, and where a result has it.
MEASURES = {"wall": "wall", "CPU": "cpu", "peak MiB": "rss", "size": "size", "memory": "memory",
            "server CPU": "served"}


def _time_once(program):
    read_end, write_end = os.pipe()
    null = os.open("/dev/null", os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, write_end if program.inner else null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    argv = [str(word) for word in program.argv]
    start = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    for fd in (write_end, null):
        os.close(fd)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    if status != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with wait status {status}")
    return {"wall": int(text) / 1e9 if program.inner else wall, "rss": usage.ru_maxrss / 1024}


def _answer(requests, results, work):
    """One line of JSON for each "g" that arrives. An end has to be told: processes made later hold copies of the pipe."""
    while os.read(requests, 1) == b"g":
        try:
            line = work()
        except BaseException as failure:  # the parent prints it
            traceback.print_exc(file=sys.stderr)
            line = {"failed": f"{type(failure).__name__}: {failure}"}
        os.write(results, json.dumps(line).encode() + b"\n")
    os._exit(0)


class Process:
    """A process that does `work()` when asked; `prepare()` runs in it first."""

    def __init__(self, work, prepare):
        request_read, self.requests = os.pipe()
        self.results, result_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.requests)
            os.close(self.results)
            prepare()
            _answer(request_read, result_write, work)
        os.close(request_read)
        os.close(result_write)
        self.lines = os.fdopen(self.results)

    def ask(self):
        os.write(self.requests, b"g")
        line = self.lines.readline()
        return json.loads(line) if line else {"failed": "the runner died"}

    def close(self):
        os.write(self.requests, b"q")
        os.close(self.requests)
        self.lines.close()
        os.waitpid(self.pid, 0)


class Runner:
    """One program's keeper: root in its surroundings, with a child that is the ordinary user and does the timing."""

    def __init__(self, program, accounts):
        self.program, self.accounts = program, accounts
        self.process = Process(self._run, self._enter)

    def _enter(self):
        self.clock = CpuClock()
        if self.program.tree:
            enter_tree.enter(self.program.tree, [(str(b), str(b)) for b in self.program.binds])
        else:
            kernel.private_mounts()
            kernel.open_fuse_to_users()
            for file in self.accounts:
                kernel.bind(file, f"/etc/{file.name}")
        self.user = Process(lambda: _time_once(self.program), lambda: _become_user(self.program.home))

    def _run(self):
        if self.program.before:
            self.program.before()
        if self.program.output:  # freeing an earlier one is not on this one's account
            self.program.output.unlink(missing_ok=True)
        if self.program.again:
            self.user.ask()
            time.sleep(SETTLE_SECONDS)
        start = self.clock.read()
        result = self.program.work(self.program) if self.program.work else self.user.ask()
        time.sleep(SETTLE_SECONDS)
        result["cpu"] = self.clock.read() - start
        result["clock"] = self.clock.source
        if self.program.after:
            self.program.after()
        return result

    def close(self):
        self.process.close()
        _remove_group(self.process.pid)


def interleave(programs, runs, accounts=(), before_each=None):
    """Results by name: medians of `runs` turns after one that does not count (of a slow program fewer)."""
    runners = [Runner(program, accounts) for program in programs]
    turns = {program.name: [] for program in programs}
    try:
        for turn in range(runs + 1):
            for runner in runners:
                wanted = runner.program.runs
                if wanted is not None and not 0 < turn <= wanted:
                    continue
                if before_each:
                    before_each()
                result = runner.process.ask()
                if turn > 0:
                    turns[runner.program.name].append(result)
    finally:
        for runner in runners:
            runner.close()
    return {program.name: _summary(turns[program.name], program.output) for program in programs}


def _summary(results, output):
    failed = [result["failed"] for result in results if "failed" in result]
    if failed:
        return {"failed": failed[0]}
    walls = [result["wall"] for result in results]
    measured = {key: statistics.median(result[key] for result in results) for key in ("memory", "served") if key in results[0]}
    return {**measured, "wall": statistics.median(walls), "fastest": min(walls), "slowest": max(walls),
            "cpu": statistics.median(result["cpu"] for result in results),
            "rss": max(result["rss"] for result in results), "clock": results[0]["clock"], "runs": len(results),
            **({"size": output.stat().st_size / 1e6} if output else {})}
