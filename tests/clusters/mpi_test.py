# SPDX-License-Identifier: Apache-2.0
"""Ranks of Open MPI and MPICH, launched by the host's mpirun, each through a wrapper script of its own, in an image with the same MPI."""
import os
import pathlib
import shutil

import pytest

from beds.cluster import MPI_KINDS as KINDS
from beds.servers import LINGER, servers, wait_until

pytest_plugins = ("beds.cluster",)


@pytest.fixture
def ring(user, sifrun, mpi_image, rings, tmp_path):
    """ring(kind, ranks, *sifrun's options): the lines of all ranks and the finished launcher."""
    wrapper = tmp_path / "wrapper.sh"
    wrapper.write_text('#!/bin/sh\n# every rank has another parent\n"$@"\nexit $?\n')
    wrapper.chmod(0o755)

    def run(kind, ranks, *options, arguments=(), env=None):
        launcher = [f"mpirun.{kind}", "-np", ranks, *(["--oversubscribe"] if kind == "openmpi" else [])]
        bind = ["--bind", rings[kind].parent]
        done = user.run([*launcher, wrapper, sifrun, "exec", *bind, *options, mpi_image, rings[kind], *arguments], env=env, cwd=tmp_path)
        return [line.split() for line in done.stdout.splitlines() if "user:" in line], done
    yield run
    wait_until(lambda: not servers(mpi_image), LINGER + 10)


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_ranks_share_a_user_namespace_and_read_each_others_memory(ring, mpi_image, kind, ranks):
    lines, done = ring(kind, ranks)
    assert done.returncode == 0, done.stderr
    assert sorted(line[0] for line in lines) == [str(rank) for rank in range(ranks)]
    assert {tuple(line[1:4]) for line in lines} == {(str(ranks), "good", "yes")}
    assert len({line[4] for line in lines}) == 1
    assert lines[0][4] != os.readlink("/proc/self/ns/user")
    assert len(servers(mpi_image)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_that_may_not_share_neither_hang_nor_abort(ring, kind):
    lines, done = ring(kind, 2, "--share=off")
    assert done.returncode == 0, done.stderr
    assert [line[1:4] for line in lines] == [["2", "good", "no"]] * 2
    assert lines[0][4] != lines[1][4]


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_rank_leaves_nothing_and_the_next_step_starts(ring, kind):
    lines, done = ring(kind, 2, arguments=["kill"])
    assert len(lines) == 2 and done.returncode != 0
    lines, done = ring(kind, 2)
    assert [line[2:4] for line in lines] == [["good", "yes"]] * 2, done.stderr


def test_the_servers_folder_is_there_when_tmp_is_not(user, sifrun, mpi_image, tmp_path):
    folder = tmp_path / "spool" / "pmix.7.0"
    folder.mkdir(parents=True)
    (folder / "rendezvous").write_text("here")
    hidden = pathlib.Path("/tmp") / f"sifrun-{os.getpid()}"
    hidden.mkdir()
    try:
        (hidden / "rendezvous").write_text("here, too")
        env = {"PMIX_SERVER_TMPDIR": str(folder), "PMIX_DSTORE_21_BASE_PATH": str(hidden)}
        done = user.run([sifrun, "exec", "--contain", mpi_image, "cat", folder / "rendezvous", hidden / "rendezvous"], env=env)
    finally:
        shutil.rmtree(hidden)
    assert done.stdout == "herehere, too", done.stderr


def test_places_of_the_hosts_mpi_pass_only_where_they_are(user, sifrun, mpi_image):
    env = {"OPAL_PREFIX": "/opt/of-the-host", "PMIX_PREFIX": "/usr"}
    done = user.run([sifrun, "exec", mpi_image, "sh", "-c", "echo ${OPAL_PREFIX-unset} $PMIX_PREFIX"], env=env)
    assert done.stdout == "unset /usr\n", done.stderr


@pytest.mark.parametrize("set_by_user", [{}, {"UCX_TLS": "tcp,self"}])
def test_settings_where_sharing_is_off(user, sifrun, mpi_image, set_by_user):
    env = {"PMI_SIZE": "2", **set_by_user}
    show = ["sh", "-c", "echo $UCX_TLS $OMPI_MCA_btl_vader_single_copy_mechanism"]
    done = user.run([sifrun, "exec", "--share=off", mpi_image, *show], env=env)
    assert done.stdout.split() == [set_by_user.get("UCX_TLS", "^posix,cma"), "none"], done.stderr
    done = user.run([sifrun, "exec", mpi_image, *show], env=env)
    assert done.stdout.split() == list(set_by_user.values()), done.stderr
