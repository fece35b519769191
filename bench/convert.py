#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures making a squashfs from a directory: our writer, mksquashfs and tar2sqfs with the same codec, level
and block size, and sifconv from a docker-save archive if one is given. Runs are interleaved; medians are printed.

    bench/convert.py DIRECTORY [--archive IMAGE.tar] [--codec zstd --level 3] [--repeat 5] [--build build/release]
"""
import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def measure(command, output):
    """CPU seconds, wall seconds and size of the output of one run."""
    if os.path.exists(output):
        os.remove(output)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, shell=isinstance(command, str), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command}: exit status {done.returncode}\n{done.stderr.decode(errors='replace')}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, os.path.getsize(output)


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "missing"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def commands(arguments, scratch):
    """Name -> (command, output)."""
    codec, level, block = arguments.codec, str(arguments.level), str(arguments.block_size)
    threads = str(arguments.threads)
    out = {name: os.path.join(scratch, name) for name in ("ours", "mksquashfs", "tar2sqfs", "sifconv")}
    level_option = [] if codec == "lz4" else ["-Xcompression-level", level]
    if codec == "xz":
        level_option = []
    table = {"ours": ([os.path.join(arguments.build, "bin/pack_directory"), arguments.directory, out["ours"],
                       codec, level, block, threads], out["ours"])}
    if shutil.which("mksquashfs"):
        table["mksquashfs"] = (["mksquashfs", arguments.directory, out["mksquashfs"], "-noappend", "-no-progress",
                                "-comp", codec, "-b", block, "-processors", threads] + level_option,
                               out["mksquashfs"])
    if shutil.which("tar2sqfs"):
        tar = os.path.join(scratch, "tree.tar")
        subprocess.run(["tar", "-C", arguments.directory, "-cf", tar, "."], check=True)
        extra = [] if codec in ("lz4", "xz") else ["-X", f"level={level}"]
        table["tar2sqfs"] = (f"tar2sqfs -q -f -c {codec} -b {block} -j {threads} {' '.join(extra)} "
                             f"{out['tar2sqfs']} < {tar}", out["tar2sqfs"])
    if arguments.archive:
        table["sifconv"] = ([os.path.join(arguments.build, "bin/sifconv"), "--quiet", "--force", "--compression",
                             f"{codec}:{level}", "--block-size", block, "--threads", threads,
                             arguments.archive, out["sifconv"]], out["sifconv"])
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--archive")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--codec", default="zstd", choices=["zstd", "gzip", "lz4", "xz"])
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--block-size", type=int, default=131072)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()

    print(f"machine    {platform.machine()}, {arguments.threads} threads, Linux {platform.release()}, "
          f"load {os.getloadavg()[0]:.1f}")
    print("versions  ", first_line(["mksquashfs", "-version"]), "|", first_line(["tar2sqfs", "--version"]))
    print(f"setting    {arguments.codec} {arguments.level}, blocks of {arguments.block_size}, "
          f"{arguments.repeat} repetitions, medians")
    with tempfile.TemporaryDirectory(prefix="bench-convert-") as scratch:
        table = commands(arguments, scratch)
        results = {name: [] for name in table}
        for _ in range(arguments.repeat):
            for name, (command, output) in table.items():
                results[name].append(measure(command, output))
    print(f"{'':12}{'CPU s':>8}{'wall s':>8}{'MB':>9}")
    for name, runs in results.items():
        cpu, wall, size = (statistics.median(column) for column in zip(*runs))
        print(f"{name:12}{cpu:8.2f}{wall:8.2f}{size / 1e6:9.1f}")


if __name__ == "__main__":
    main()
