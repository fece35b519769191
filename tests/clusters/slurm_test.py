# SPDX-License-Identifier: Apache-2.0
"""Slurm starts sifrun: by the commands of users' scripts, by `--container` through oci.conf, and by the SPANK plugin."""
import subprocess

import pytest

from beds import slurm
from beds.node import wait, write
from beds.servers import LINGER
from beds.snippets import snippet

pytest_plugins = ("beds.cluster",)


def batch(cluster, work, script, *options):
    """Submits, waits for the end, and gives the exit code and the output."""
    done = cluster.run(["sbatch", "--wait", *options, write(work, "job.sh", script, 0o755)], cwd=work)
    outputs = [path.read_text() for path in work.glob("*.out")]
    return done.returncode, "".join(outputs) or done.stderr


@pytest.fixture(scope="module")
def run(cluster, home):
    def srun(*argv, **options):
        return cluster.run(["srun", *argv], **options)
    return srun


def test_batch_script(cluster, work, conda, debian_sif):
    """The document's, with a GPU and the environment activated before."""
    (work / "image.sif").symlink_to(debian_sif)
    write(work, "train.py", "import os, sys\nprint(sys.prefix, os.environ['CUDA_VISIBLE_DEVICES'], os.getcwd(), *sys.argv[1:], sep='|')\n")
    code, said = batch(cluster, work, snippet("clusters.md", "train.sbatch"))
    assert (code, said) == (0, f"{conda.root}/envs/my_env|0|{work}|--epochs|3\n")


def test_tasks_of_a_step(run, home, small_sif, work):
    done = run("-n3", home / "bin/singularity", "exec", small_sif, "sh", "-c", 'echo $SLURM_PROCID; cat /srv/replaced', cwd=work)
    assert sorted(done.stdout.split()) == ["0", "1", "2", "new", "new", "new"], done.stderr


def test_job_array(cluster, home, small_sif, work):
    script = f'#!/bin/sh\nsrun {home}/bin/sifrun exec {small_sif} sh -c \'echo "$SLURM_ARRAY_TASK_ID $(cat /srv/replaced)"\'\n'
    code, said = batch(cluster, work, script, "--array=1-3")
    assert (code, sorted(said.splitlines())) == (0, ["1 new", "2 new", "3 new"])


def test_wrapper_script(cluster, run, work, conda, debian_sif):
    """The document's, which HTCondor starts as well."""
    cluster.folder_for("/data")
    write(work, "wrapper.sh", snippet("clusters.md", "wrapper.sh"), 0o755)
    write(work, "train.py", "import os, sys\nprint(sys.prefix, os.environ['CUDA_VISIBLE_DEVICES'], *sys.argv[1:], sep='|')\nsys.exit(5)\n")
    (work / "image.sif").symlink_to(debian_sif)
    done = run("--gres=gpu:1", "./wrapper.sh", "two words", "$5", cwd=work)
    assert (done.returncode, done.stdout) == (5, f"{conda.root}/envs/my_env|0|two words|$5\n"), done.stderr


def test_standard_input(run, home, small_sif):
    text = "a line\n" * 100000
    assert run(home / "bin/sifrun", "exec", small_sif, "cat", input=text).stdout == text


def test_exit_code(run, home, small_sif):
    assert run(home / "bin/sifrun", "exec", small_sif, "sh", "-c", "exit 9").returncode == 9


def test_gpu_of_the_job(run, home, small_sif):
    done = run("--gres=gpu:1", home / "bin/sifrun", "exec", "--nv", small_sif, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES $SLURM_STEP_GPUS")
    assert done.stdout == "0 0\n"


def trapping(work):
    return f"trap 'echo warned > {work}/warned' USR1; trap 'echo asked > {work}/end; exit 3' TERM; : > {work}/started; while :; do sleep 0.1; done"


def end_it(where, process, work):
    """Signals reach the program, whose exit status counts, and nothing between it and Slurm."""
    until(work / "started")
    job = where.succeed(["squeue", "--noheader", "--format=%i"]).split()[0]
    where.succeed(["scancel", "--signal=USR1", job])
    until(work / "warned")
    where.succeed(["scancel", "--signal=TERM", job])
    until(work / "end")
    assert process.wait(30) == 3


def until(path):
    for _ in wait(30, path):
        if path.exists():
            return


@pytest.mark.parametrize("options", [[], ["--pid"]], ids=str)
def test_cancelling_reaches_the_program(cluster, home, small_sif, work, options):
    process = cluster.popen(["srun", home / "bin/sifrun", "exec", *options, small_sif, "sh", "-c", trapping(work)], cwd=work,
                            stderr=subprocess.PIPE)
    until(work / "started")
    job = cluster.succeed(["squeue", "--noheader", "--format=%i"]).split()[0]
    cluster.succeed(["scancel", job])
    until(work / "end")
    process.communicate(timeout=30)
    assert process.returncode != 0


def test_signal_before_the_time_limit(cluster, home, small_sif, work):
    """--signal asks for a warning; here it comes at once, since it may be earlier than the start."""
    process = cluster.popen(["srun", "--time=1", "--signal=TERM@60", home / "bin/sifrun", "exec", small_sif, "sh", "-c", trapping(work)],
                            cwd=work, stderr=subprocess.DEVNULL)
    for _ in wait(75, "the warning"):
        if (work / "end").exists():
            break
    assert process.wait(30) == 3


def leaves_nothing(cluster):
    """Neither a process of ours nor one that has an image mounted, once the file server has waited for a next start."""
    script = "grep -ls '^sifrun' /proc/[0-9]*/comm; grep -ls 'fuse.*sifrun' /proc/[0-9]*/mountinfo; true"
    for _ in wait(LINGER + 20, "an end of all processes and mounts"):
        if not cluster.succeed(["sh", "-c", script], user="root"):
            return True


def state(cluster, name):
    job = cluster.succeed(["squeue", "--noheader", "--states=all", f"--name={name}", "--format=%T"])
    return job.strip()


def test_time_limit(cluster, home, small_sif, work):
    """At --time Slurm sends SIGTERM and, KillWait later, SIGKILL. All at once, since it takes its minute; one without a container to compare."""
    obeys = "trap 'echo asked > {0}; exit 3' TERM; while :; do sleep 0.1; done"
    ignores = "trap 'echo asked > {0}' TERM; while :; do sleep 0.1; done"
    inside = [home / "bin/sifrun", "exec"]
    kinds = {"bare": ([], obeys), "obeys": ([*inside, small_sif], obeys), "ignores": ([*inside, small_sif], ignores),
             "ignores-in-own-pids": ([*inside, "--pid", small_sif], ignores)}
    steps = {name: cluster.popen(["srun", "--time=1", f"--job-name={name}", *runtime, "sh", "-c", script.format(work / name)],
                                 cwd=work, stderr=subprocess.DEVNULL) for name, (runtime, script) in kinds.items()}
    codes = {name: step.wait(180) for name, step in steps.items()}
    assert codes["obeys"] == codes["bare"]
    for name in kinds:
        assert (work / name).read_text() == "asked\n"
        for _ in wait(30, f"{name} as timed out"):
            if state(cluster, name) == "TIMEOUT":
                break
    assert leaves_nothing(cluster)


def test_memory_limit(cluster, run, home, small_sif):
    hoard = "dd if=/dev/zero bs=300M count=1 | sleep 60"
    done = run("--mem=100", "--job-name=hoard", home / "bin/sifrun", "exec", small_sif, "sh", "-c", hoard)
    assert done.returncode == 128 + 9 and "exceeded memory limit" in done.stderr, done.stderr
    assert leaves_nothing(cluster)


def test_a_killed_task_disturbs_no_other(cluster, run, home, small_sif, work):
    """The others read from the image that all share after the first one is gone, whoever of them mounted it."""
    script = (f"if [ $SLURM_PROCID = 0 ]; then echo $$ > {work}/part; mv {work}/part {work}/pid; kill -KILL $$; fi\n"
              f"until [ -e {work}/pid ] && ! kill -0 $(cat {work}/pid) 2>/dev/null; do sleep 0.1; done; cat /srv/replaced; readlink /proc/self/ns/user")
    done = run("-n3", home / "bin/sifrun", "exec", small_sif, "sh", "-c", script, cwd=work)
    first, second, namespace, same = sorted(done.stdout.split())  # the tasks' lines come in any order
    assert (first, second, namespace) == ("new", "new", same), done.stderr
    assert done.returncode == 128 + 9
    assert leaves_nothing(cluster)


# --container: Slurm starts sifrun by itself

@pytest.fixture(scope="module")
def current(scratch, share, home, plugin):
    """The current release, with oci.conf and plugstack.conf as in the document."""
    folder = scratch / "slurm-current"
    folder.mkdir()
    sifrun = home / "bin/sifrun"
    oci = snippet("clusters.md", "oci.conf", **{"/usr/bin/sifrun": sifrun})
    spank = snippet("clusters.md", "plugstack.conf", **{"/usr/bin/sifrun": sifrun, "/usr/lib/slurm/spank_sif.so": plugin("sid")})
    with slurm.Slurm("sid", folder, share, home, {"oci.conf": oci, "plugstack.conf": spank}) as running:
        yield running.node


def test_container_option(current, small_sif, work):
    done = current.run(["srun", "-n2", "--gres=gpu:1", f"--container={small_sif}", "/bin/sh", "-c",
                        'echo "$SLURM_PROCID|$GREETING|$CUDA_VISIBLE_DEVICES|$(cat /srv/replaced)|$PWD|$HOME"; exit 4'], cwd=work)
    assert done.returncode == 4, done.stderr
    home = work.parent / "home"
    assert sorted(done.stdout.splitlines()) == [f"{rank}|hello world|0|new|{work}|{home}" for rank in (0, 1)], done.stderr


def test_container_option_of_a_batch_script(current, small_sif, work):
    code, said = batch(current, work, "#!/bin/sh\ncat /srv/replaced; echo $GREETING $1; exit 6\n", f"--container={small_sif}")
    assert (code, said) == (6, "new\nhello world\n")


def test_container_option_cancelled(current, small_sif, work):
    end_it(current, current.popen(["srun", f"--container={small_sif}", "/bin/sh", "-c", trapping(work)], cwd=work, stderr=subprocess.DEVNULL), work)


def test_bundle_on_the_older_release(scratch, share, home, small_sif, work):
    """Debian's stable release takes an OCI bundle; its `rootfs` is the image."""
    folder = scratch / "slurm-bundle"
    folder.mkdir()
    oci = snippet("clusters.md", "oci.conf-22.05", **{"/usr/bin/sifrun": home / "bin/sifrun"})
    bundle = work / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text(snippet("clusters.md", "config.json", **{"/shared": work.parent}))
    (bundle / "rootfs").symlink_to(small_sif)
    with slurm.Slurm("bookworm", folder, share, home, {"oci.conf": oci}) as running:
        done = running.node.run(["srun", f"--container={bundle}", "/bin/sh", "-c", "cat /srv/replaced; echo $GREETING ${SLURM_JOB_ID:+job}; exit 5"],
                                cwd=work)
        assert (done.returncode, done.stdout) == (5, "new\nhello world job\n"), done.stderr
        end_it(running.node, running.node.popen(["srun", f"--container={bundle}", "/bin/sh", "-c", trapping(work)], cwd=work), work)


# The SPANK plugin

@pytest.fixture(scope="module")
def plugin(share, root):
    """Built against the headers of a release, in a folder that nodes see."""
    source = slurm.__file__.replace("tests/beds/slurm.py", "slurm")

    def build(release):
        folder = share / f"spank-{release}"
        include = slurm.RELEASES[release][0]().root / "usr/include"
        for command in (["cmake", "-S", source, "-B", folder, f"-DSLURM_INCLUDE_DIR={include}"], ["cmake", "--build", folder]):
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            assert done.returncode == 0 and "warning" not in done.stderr, done.stdout + done.stderr
        return folder / "spank_sif.so"
    return build


def test_plugin(current, small_sif, work):
    (work / "data").mkdir()
    write(work / "data", "set", "bound\n")
    script = 'echo "$SLURM_PROCID|$(cat /srv/replaced)|$(cat /mnt/set)|$CUDA_VISIBLE_DEVICES|$PWD"; exit 4'
    done = current.run(["srun", "-n2", "--gres=gpu:1", f"--sif={small_sif}", f"--sif-bind={work}/data:/mnt", "sh", "-c", script], cwd=work)
    assert done.returncode == 4, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"{rank}|new|bound|0|{work}" for rank in (0, 1)], done.stderr
    assert current.run(["srun", "cat", "/srv/replaced"]).returncode != 0


def test_plugin_with_a_batch_script(current, small_sif, work):
    code, said = batch(current, work, "#!/bin/sh\ncat /srv/replaced; exit 6\n", f"--sif={small_sif}")
    assert (code, said) == (6, "new\n")


def test_plugin_for_the_older_release(scratch, share, home, plugin, small_sif):
    folder = scratch / "slurm-plugin"
    folder.mkdir()
    spank = f"optional {plugin('bookworm')} sifrun={home}/bin/sifrun\n"
    with slurm.Slurm("bookworm", folder, share, home, {"plugstack.conf": spank}) as running:
        done = running.node.run(["srun", "-n2", f"--sif={small_sif}", "cat", "/srv/replaced"])
        assert done.stdout == "new\nnew\n", done.stderr
        assert "--sif=IMAGE" in running.node.run(["srun", "--help"]).stdout
