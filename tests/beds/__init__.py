# SPDX-License-Identifier: Apache-2.0
"""Test beds: the real peers (Docker, Apptainer in a Debian tree, other root trees) that end-to-end tests compare with.

What takes long to make is kept in one cache folder, safe to delete at any time.
"""
import contextlib
import fcntl
import os
import pathlib

STRICT = os.environ.get("SIFCONV_STRICT") == "1"
# A program, with its options, that every command of an account is run under: tests/probes/old_kernel.
UNDER = os.environ.get("SIFCONV_RUN_UNDER", "").split()


class Missing(Exception):
    """A peer or a kernel feature that this machine lacks: the test is skipped loudly, or fails where skips are not allowed."""


def cache():
    """The folder for what can be made again. Root's is not in its home: tests that run as an ordinary user look into the trees."""
    root = os.environ.get("SIFCONV_BED")
    if not root:
        caches = "/var/cache" if os.geteuid() == 0 else os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        root = os.path.join(caches, "sifconv-bed")
    path = pathlib.Path(root)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def made_once(path):
    """Yields a temporary name to make `path` under, or None where it is there already; parallel sessions wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            yield None
            return
        part = path.with_name(f".{path.name}.part")
        yield part
        part.rename(path)
