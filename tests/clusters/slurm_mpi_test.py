# SPDX-License-Identifier: Apache-2.0
"""Ranks that Slurm starts itself, without mpirun: it speaks PMIx or PMI2 to the MPI library inside. Each has a wrapper script and a sifrun of
its own."""
import os

import pytest

from beds.node import write
from beds.snippets import snippet

pytest_plugins = ("beds.cluster",)
# How Slurm is asked for them, and the library of the program and the image.
LAUNCHES = [("pmix", "openmpi"), ("pmi2", "mpich")]


@pytest.fixture
def ring(cluster, work, home, mpi_image, rings):
    """ring(mpi, kind, ranks, *srun's options): the lines of all ranks and the finished step."""
    (work / "image.sif").symlink_to(mpi_image)
    script = snippet("clusters.md", "rank.sh", **{"exec image.sif": f"exec --bind {rings['mpich'].parent} image.sif"})
    write(work, "rank.sh", script, 0o755)

    def run(mpi, kind, ranks, *arguments, env=None):
        done = cluster.run(["srun", f"--mpi={mpi}", f"-n{ranks}", "./rank.sh", rings[kind], *arguments], cwd=work, env=env)
        return sorted(line.split() for line in done.stdout.splitlines() if "user:" in line), done
    return run


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("mpi, kind", LAUNCHES)
def test_ranks_share_a_user_namespace_and_read_each_others_memory(ring, mpi, kind, ranks):
    lines, done = ring(mpi, kind, ranks)
    assert done.returncode == 0, done.stderr
    assert [line[:4] for line in lines] == [[str(rank), str(ranks), "good", "yes"] for rank in range(ranks)], done.stderr
    assert len({line[4] for line in lines}) == 1 and lines[0][4] != os.readlink("/proc/self/ns/user")
    assert "PMIX" not in done.stderr and "PMI2" not in done.stderr


@pytest.mark.parametrize("mpi, kind", LAUNCHES)
def test_ranks_that_may_not_share_neither_hang_nor_abort(ring, mpi, kind):
    lines, done = ring(mpi, kind, 2, env={"SIFRUN_SHARE": "off"})
    assert done.returncode == 0, done.stderr
    assert [line[:4] for line in lines] == [[str(rank), "2", "good", "no"] for rank in range(2)], done.stderr
