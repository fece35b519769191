# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with schedulers, launchers and workflow engines; a test file names this module in pytest_plugins.

    share    a folder that this machine and every node see at the same path, as a cluster's shared file system
    home     the ordinary user's home on the nodes, in it; `bin` there has the programs and links called singularity and apptainer
    work     a folder of one test, in it
"""
import os
import pathlib
import re
import shutil
import tempfile

import pytest

from beds import cache, debian_tree, images, made_once
from beds.conda import Conda
from beds.snippets import snippet
from conftest import convert


def own(path, user):
    os.chown(path, user.uid, user.gid)
    return path


@pytest.fixture(scope="session")
def share(root, user):
    """Not below /tmp or /var/tmp, of which schedulers give each job its own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sifconv-test-", dir="/srv"))
    folder.chmod(0o755)
    yield own(folder, user)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def home(share, programs, user):
    folder = share / "home"
    folder.mkdir()
    own(folder, user)
    done = user.run(["sh", "-ec", snippet("clusters.md", "links")], cwd=programs["sifrun"].parent, env={"HOME": folder})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def conda(home, user):
    return Conda(home / "miniconda3", user)


@pytest.fixture
def work(share, user, request):
    folder = share / re.sub(r"\W+", "-", request.node.name)
    folder.mkdir()
    return own(folder, user)


@pytest.fixture(scope="session")
def small_sif(share, user, sifconv, busybox_tar):
    return convert(sifconv, user, busybox_tar, share / "small.sif")


@pytest.fixture(scope="session")
def debian_sif(share, user, sifconv, scratch):
    """The same on a minimal bookworm: bash and glibc, as conda environments and Snakemake need them."""
    base = cache() / "bookworm.tar"
    with made_once(base) as part:
        if part:
            debian_tree.bootstrap("bookworm", part)
    own = images.Layer().folder("srv").file("srv/replaced", "new\n")
    tar = images.write_docker20(scratch / "debian.tar", [base.read_bytes(), own.bytes()], "bed/debian:1",
                                Env=["PATH=/usr/bin:/bin", "GREETING=hello world"])
    return convert(sifconv, user, tar, share / "debian.sif")
