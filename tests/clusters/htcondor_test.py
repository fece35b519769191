# SPDX-License-Identifier: Apache-2.0
"""HTCondor starts sifrun: its probes, jobs in containers, and the wrapper script of a researcher."""
import os
import select
import shutil
import signal
import subprocess

import pytest

from beds import condor, images
from beds.node import wait, write
from beds.snippets import snippet
from conftest import convert

pytest_plugins = ("beds.cluster",)
RUNS, REMOVED, COMPLETED, HELD = 2, 3, 4, 5  # values of JobStatus


@pytest.fixture(scope="module")
def sandbox_sif(share, user, sifconv, scratch):
    """exit_37.sif, which Debian's package lacks: HTCondor's own test folder (static programs, no shell, no passwd) as an image."""
    source = condor.tree().root / condor.LIBEXEC.lstrip("/") / "singularity_test_sandbox"
    layer = images.Layer()
    for path in sorted(source.rglob("*")):
        name = str(path.relative_to(source))
        layer.folder(name) if path.is_dir() else layer.file(name, path.read_bytes(), mode=0o755)
    tar = images.write_docker20(scratch / "exit_37.tar", [layer.bytes()])
    return convert(sifconv, user, tar, share / "exit_37.sif")


@pytest.fixture(scope="module")
def make_pool(scratch, share, home, sandbox_sif):
    def make(purpose, runtime):
        folder = scratch / f"pool-{purpose}"
        folder.mkdir()
        return condor.Pool(folder, share, home, home / "bin" / runtime, sandbox_sif)
    return make


@pytest.mark.parametrize("name", ["sifrun", "singularity", "apptainer"])
def test_probes(make_pool, name):
    """They run as the user condor without any environment; what they find decides which jobs the machine gets."""
    with make_pool(f"probes-{name}", name) as pool:
        found = pool.machine
        version = "sifrun version " if name == "sifrun" else "apptainer version 1.4"
        assert found["SingularityVersion"].startswith(version)
        for attribute in ("HasSingularity", "HasSIF", "HasSandboxImage", "HasContainer", "HasPidNamespaces", "SingularityUserNamespaces"):
            assert found.get(attribute) is True, (attribute, found.get("SingularityOfflineReason"))


@pytest.fixture(scope="module")
def pool(make_pool):
    with make_pool("jobs", "apptainer") as running:
        yield running


def container_job(pool, work, image, *more, script=None, arguments=False):
    """Submits the document's job with this image, script and further lines; without a script it is the image's own program."""
    left_out = ([] if script else ["executable"]) + ([] if arguments else ["arguments"])
    submit = snippet("clusters.md", "container.sub", **{"image.sif": image}).splitlines()
    lines = [line for line in submit if line.split()[0] not in [*left_out, "queue"]]
    if script:
        write(work, "job.sh", script, 0o755)
    write(work, "data.txt", "data\n")
    return pool.submit(work, "\n".join([*lines, *more, "queue", ""]))


def finished(pool, work, cluster, state=COMPLETED):
    job = pool.wait_for(cluster, COMPLETED, HELD, REMOVED)
    told = "".join((work / name).read_text() for name in ("job.out", "job.err") if (work / name).exists())
    assert job["JobStatus"] == state, (job.get("HoldReason"), told)
    return job


def test_program_arguments_and_exit_code(pool, work, small_sif):
    """The document's submit file as it is; blanks, dollars and data arrive."""
    script = '#!/bin/sh\nprintf "<%s>\\n" "$@"; cat data.txt; cat /srv/replaced; pwd; echo $_CONDOR_SCRATCH_DIR; exit 7\n'
    cluster = container_job(pool, work, small_sif, script=script, arguments=True)
    assert finished(pool, work, cluster)["ExitCode"] == 7
    *said, directory, scratch = (work / "job.out").read_text().splitlines()
    assert said == ["<two words>", "<$HOME>", "data", "new"]
    assert directory == scratch
    assert (work / "job.err").read_text() == ""


def test_folder_as_image(pool, work):
    folder = work / "tree"
    (folder / "bin").mkdir(parents=True)
    write(folder, "marker", "a folder\n")
    program = folder / "bin/busybox"
    shutil.copy("/bin/busybox", program)
    for name in ("sh", "cat"):
        (folder / "bin" / name).symlink_to("busybox")
    cluster = container_job(pool, work, "tree", script="#!/bin/sh\ncat /marker\n")
    assert finished(pool, work, cluster)["ExitCode"] == 0
    assert (work / "job.out").read_text() == "a folder\n"


def test_target_directory(pool, work, small_sif):
    script = "#!/bin/sh\npwd; cat data.txt\n"
    cluster = container_job(pool, work, small_sif, "container_target_dir = /td", script=script)
    assert finished(pool, work, cluster)["ExitCode"] == 0
    assert (work / "job.out").read_text() == "/td/scratch\ndata\n"


def test_without_a_program_the_images_own_runs(pool, work, small_sif):
    cluster = container_job(pool, work, small_sif)
    assert finished(pool, work, cluster)["ExitCode"] == 0
    assert (work / "job.out").read_text() == "hello world\n"


def test_environment(pool, work, small_sif):
    more = "environment = \"PLAIN=1 SPACED='two words' APPTAINER_BIND=/nowhere\""
    script = '#!/bin/sh\nprintf "%s\\n" "$PLAIN" "$SPACED" "$GREETING" "$BATCH_SYSTEM" "$HOME" "$PWD"\n'
    cluster = container_job(pool, work, small_sif, more, script=script)
    assert finished(pool, work, cluster)["ExitCode"] == 0
    *said, home, directory = (work / "job.out").read_text().splitlines()
    assert said == ["1", "two words", "hello world", "HTCondor"]
    assert home == directory


def test_death_by_signal(pool, work, small_sif):
    cluster = container_job(pool, work, small_sif, script="#!/bin/sh\nkill -SEGV $$\n")
    job = finished(pool, work, cluster)
    assert job.get("ExitCode") == 128 + signal.SIGSEGV or job.get("ExitSignal") == signal.SIGSEGV


def test_gpus(pool, work, small_sif):
    script = '#!/bin/sh\necho $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES\n'
    cluster = container_job(pool, work, small_sif, "request_gpus = 1", script=script)
    assert finished(pool, work, cluster)["ExitCode"] == 0
    first, second = (work / "job.out").read_text().split()
    assert first == second and first in ("GPU-aaaa0001", "GPU-bbbb0002")
    logs = pool.node.succeed(["sh", "-c", "cat /var/log/condor/StarterLog.slot*"], user="root")
    assert " --nv " in logs and "-s -q test -S /tmp" in logs


def running(pool, work, cluster, file):
    """Waits until the job wrote `file` in the folder that it is bound to."""
    pool.wait_for(cluster, RUNS)
    for _ in wait(30, f"job {cluster}: {file}"):
        if (work / file).exists():
            return


@pytest.mark.parametrize("command", ["condor_rm", "condor_vacate_job"])
def test_the_program_is_asked_to_end(pool, work, small_sif, command):
    script = f"#!/bin/sh\ntrap 'echo asked > {work}/end; exit 3' TERM\n: > {work}/started\nwhile :; do sleep 1; done\n"
    cluster = container_job(pool, work, small_sif, script=script)
    running(pool, work, cluster, "started")
    pool.node.succeed([command, str(cluster)])
    for _ in wait(30, "the job's trap"):
        if (work / "end").exists():
            break
    pool.node.run(["condor_rm", str(cluster)])  # vacated, it would start again


def refused(pool, work):
    """What becomes of a job whose image is none: (held or vacated, code, reason)."""
    write(work, "broken.sif", "no image\n")
    cluster = container_job(pool, work, "broken.sif", script="#!/bin/sh\n")
    for _ in wait(90, "the reason"):
        job = pool.job(cluster)
        fate = next((kind for kind in ("Hold", "Vacate") if f"{kind}ReasonCode" in job), None)
        if fate:
            break
    pool.node.run(["condor_rm", str(cluster)])  # vacated, it would start again
    return fate, job[f"{fate}ReasonCode"], job[f"{fate}Reason"]


def test_broken_image_is_refused_as_with_apptainer(make_pool, pool, work):
    """HTCondor tries a container first (`test`), and gives code 45 and the first line that it got; this release vacates."""
    ours = refused(pool, work)
    with make_pool("apptainer", "/usr/bin/apptainer") as peers:
        theirs = refused(peers, work)
    assert ours[:2] == theirs[:2] == ("Vacate", 45)
    assert "broken.sif is neither a SIF nor a squashfs image" in ours[2]
    assert "test failed:FATAL:" in ours[2] and "test failed:FATAL:" in theirs[2]


def read_until(session, what):
    """The output of an interactive program up to and with `what`."""
    said = b""
    while what not in said:
        assert select.select([session.stdout], [], [], 30)[0], said
        more = os.read(session.stdout.fileno(), 4096)
        assert more, said
        said += more
    return said


def test_ssh_to_job_is_inside(pool, work, small_sif):
    cluster = container_job(pool, work, small_sif, script=f"#!/bin/sh\n: > {work}/started\nsleep 60\n")
    running(pool, work, cluster, "started")
    terminal = ["script", "-qc", f"condor_ssh_to_job -auto-retry {cluster}", "/dev/null"]
    session = pool.node.popen(terminal, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    read_until(session, b"$ ")
    session.stdin.write("echo in:$(cat /srv/replaced):$_CONDOR_SCRATCH_DIR:$PWD:e''nd\n")
    session.stdin.flush()
    said = read_until(session, b":end")
    session.communicate("exit\n", timeout=30)
    pool.node.succeed(["condor_rm", str(cluster)])
    scratch, directory = said.decode().partition("in:new:")[2].split(":")[:2]
    assert scratch == directory != ""


def test_wrapper_script_with_conda(pool, work, conda, debian_sif):
    """The document's wrapper and submit file, in a universe that knows nothing of containers."""
    pool.node.folder_for("/data")
    pool.node.write("/data/set", "the data\n")
    write(work, "wrapper.sh", snippet("clusters.md", "wrapper.sh"), 0o755)
    write(work, "train.py", "import sys, ssl\nprint(sys.prefix, open('/data/set').read().strip(), *sys.argv[1:], sep='|')\nsys.exit(5)\n")
    (work / "image.sif").symlink_to(debian_sif)
    cluster = pool.submit(work, snippet("clusters.md", "wrapper.sub"))
    job = pool.wait_for(cluster, COMPLETED, HELD)
    told = (work / "train.out").read_text(), (work / "train.err").read_text()
    assert told == (f"{conda.root}/envs/my_env|the data|--name|two words|--cost|$5\n", "")
    assert job["ExitCode"] == 5, told
