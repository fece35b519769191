# SPDX-License-Identifier: Apache-2.0
"""Training over several processes: torch.distributed with Gloo inside the image, its ranks started by Slurm, by mpirun and by torchrun. The image
has python3-torch of Debian; making it once takes minutes and a gigabyte in the cache."""
import pytest

from beds import cache, debian_tree, images, made_once
from beds.node import write
from beds.snippets import snippet
from conftest import convert

pytest_plugins = ("beds.cluster",)


@pytest.fixture(scope="module")
def torch_sif(share, user, sifconv, scratch):
    base = cache() / "bookworm-torch.tar"
    with made_once(base) as part:
        if part:
            debian_tree.bootstrap("bookworm", part, ["python3-torch"])
    tar = images.write_docker20(scratch / "torch.tar", [base.read_bytes()], "bed/torch:1", Env=["PATH=/usr/bin:/bin"])
    image = convert(sifconv, user, tar, share / "torch.sif")
    tar.unlink()
    return image


@pytest.fixture
def training(work, torch_sif):
    (work / "image.sif").symlink_to(torch_sif)
    write(work, "reduce.py", snippet("clusters.md", "reduce.py"))
    return work


def sums(ranks):
    """What each rank prints: the sum over all."""
    return sorted(f"rank {rank} of {ranks}: {sum(range(ranks))}" for rank in range(ranks))


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_of_slurm(cluster, training, ranks):
    script = write(training, "reduce.sbatch", snippet("clusters.md", "reduce.sbatch"))
    done = cluster.run(["sbatch", "--wait", f"--ntasks={ranks}", "--output=out", script], cwd=training, timeout=300)
    assert done.returncode == 0, (training / "out").read_text()
    assert sorted((training / "out").read_text().splitlines()) == sums(ranks)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_of_mpirun(cluster, training, ranks):
    write(training, "rank.sh", snippet("clusters.md", "rank.sh"), 0o755)
    done = cluster.run(["mpirun.openmpi", "--oversubscribe", "-n", ranks, "./rank.sh", "python3", "reduce.py"],
                       cwd=training, timeout=300, env={"OMPI_MCA_oob_tcp_if_include": "lo"})  # all that the node has
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sums(ranks)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_of_torchrun(cluster, training, home, ranks):
    # Streams by rank: torch 1.13 cannot read its own default for all of them with Python 3.11.
    standard_output = ",".join(f"{rank}:1" for rank in range(ranks))
    done = cluster.run([home / "bin/sifrun", "exec", "image.sif", "python3", "-m", "torch.distributed.run", f"--nproc_per_node={ranks}",
                        "--log_dir=logs", f"--redirects={standard_output}", f"--tee={standard_output}", "reduce.py"], cwd=training, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(line.partition(":")[2] for line in done.stdout.splitlines()) == sums(ranks)


def test_what_communication_needs_is_the_nodes(cluster, training, home):
    """By the checklist of NCCL and InfiniBand: one /dev/shm and network for all ranks, locked memory and topology as outside."""
    ask = ("stat -c %d /dev/shm; readlink /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/pid /proc/self/ns/ipc; ulimit -l; "
           "cat /proc/sys/kernel/random/boot_id; ls /sys/devices/system/node /sys/class/net")
    outside = cluster.succeed(["bash", "-c", "ulimit -Sl 64; " + ask], cwd=training)
    inside = cluster.succeed(["bash", "-c", f"ulimit -Sl 64; {home}/bin/sifrun exec image.sif bash -c '{ask}'"], cwd=training)
    assert inside == outside
