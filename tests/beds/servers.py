# SPDX-License-Identifier: Apache-2.0
"""File servers of sifrun that are running."""
import contextlib
import os
import pathlib
import time

LINGER = 1  # seconds for which a server that could be shared waits for the next start


def open_files(process):
    """What the descriptors of a process lead to, which opens and closes some while it is looked at."""
    found = set()
    for fd in pathlib.Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(fd))
    return found


def servers(image):
    """Process ids of those that serve this image; not of a child that asks ahead, which has no name of its own for a moment."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text() == "sifrun-fuse\n" and str(image) in open_files(entry.name):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return [pid for pid, parent in parents.items() if parent not in parents]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)
