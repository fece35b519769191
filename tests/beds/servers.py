# SPDX-License-Identifier: Apache-2.0
"""File servers of sifrun that are running."""
import os
import pathlib
import time

LINGER = 1  # seconds for which a server that could be shared waits for the next start


def servers(image):
    """Process ids of those that serve this image; not of a child that asks ahead, which has no name of its own for a moment."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            held = (entry / "comm").read_text() == "sifrun-fuse\n" and [os.readlink(fd) for fd in (entry / "fd").iterdir()]
            if held and str(image) in held:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return [pid for pid, parent in parents.items() if parent not in parents]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)
