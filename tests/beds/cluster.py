# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with schedulers, launchers and workflow engines; a test file names this module in pytest_plugins.

    share    a folder that this machine and every node see at the same path, as a cluster's shared file system
    home     the ordinary user's home on the nodes, in it; `bin` there has the programs and links called singularity and apptainer
    work     a folder of one test, in it
    cluster  Slurm of Debian's stable release, as its users know it
    rings    {"openmpi": program, "mpich": program}: tests/clusters/ring.c; mpi_image has the same libraries
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from beds import cache, debian_tree, images, made_once, slurm
from beds.conda import Conda
from beds.snippets import snippet
from conftest import absent, convert

RING = pathlib.Path(__file__).resolve().parents[1] / "clusters/ring.c"
MPI_KINDS = ("openmpi", "mpich")


def own(path, user):
    os.chown(path, user.uid, user.gid)
    return path


@pytest.fixture(scope="session")
def share(root, unbound, user):
    """Not below /tmp or /var/tmp, of which schedulers give each job its own."""
    return own(unbound, user)


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


@pytest.fixture(scope="module")
def cluster(scratch, share, home):
    folder = scratch / "slurm"
    folder.mkdir()
    with slurm.Slurm("bookworm", folder, share, home) as running:
        yield running.node


@pytest.fixture(scope="session")
def mpi_image(share, fuse_device):
    tree = debian_tree.debian("bookworm", ("openmpi-bin", "mpich")).root
    image = share / "mpi.squashfs"
    subprocess.run(["mksquashfs", tree, image, "-comp", "zstd", "-Xcompression-level", "1", "-quiet", "-no-progress", "-all-root"], check=True)
    image.chmod(0o644)
    return image


@pytest.fixture(scope="session")
def rings(share):
    made = {}
    for kind in MPI_KINDS:
        if not shutil.which(f"mpicc.{kind}") or not shutil.which(f"mpirun.{kind}"):
            absent(f"{kind} is not installed (scripts/install-deps clusters)")
        made[kind] = share / f"ring.{kind}"
        subprocess.run([f"mpicc.{kind}", "-O2", "-o", made[kind], RING], check=True)
    return made
