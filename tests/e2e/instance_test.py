# SPDX-License-Identifier: Apache-2.0
"""Instances begin, are joined and end without leaving anything, however they end."""
import json
import os
import pathlib
import signal
import time

import pytest

from beds.servers import wait_until


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """The image is mounted through it."""


@pytest.fixture
def instance(identity, sifrun, busybox_sif, tmp_path):
    """Runs `sifrun instance ...` with records in a folder of the test; ends what is left."""
    environment = {"APPTAINER_CONFIGDIR": str(tmp_path / "config")}

    class Instances:
        image, folder = busybox_sif, tmp_path / "config"

        def __call__(self, *words, program="instance"):
            return identity.run([sifrun, program, *words], env=environment)

        def start(self, name, *options):
            done = self("start", *options, self.image, name)
            assert done.returncode == 0, done.stderr
            return self.list()[name]

        def list(self):
            return {each["instance"]: each["pid"] for each in json.loads(self("list", "--json").stdout)["instances"]}

        def popen(self, *words):
            return identity.popen([sifrun, *words], env=environment)

        def records(self):
            return [path.name for path in self.folder.rglob("*.json")]

    made = Instances()
    yield made
    made("stop", "--all", "--force")


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def exists(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_processes_of_commands_share_everything(instance):
    instance.start("one")
    show = "readlink /proc/self/ns/pid; readlink /proc/self/ns/mnt; readlink /proc/self/ns/user"
    seen = {instance("instance://one", "sh", "-c", show, program="exec").stdout for _ in range(3)}
    assert len(seen) == 1 and len(seen.pop().split()) == 3


def test_no_privileges_inside(instance):
    instance.start("one")
    text = instance("instance://one", "cat", "/proc/self/status", "/proc/1/status", program="exec").stdout
    capabilities = [line for line in text.splitlines() if line.startswith("Cap")]
    assert len(capabilities) == 10 and all(line.endswith("0000000000000000") for line in capabilities)
    assert text.count("NoNewPrivs:\t1") == 2


def test_joiners_may_do_what_the_instance_may(instance, tmp_path):
    look = ["sh", "-c", "grep -e CapEff -e Seccomp: /proc/self/status; mkdir /tmp/instance-test-$$ && rmdir /tmp/instance-test-$$"]
    for number, (options, capabilities) in enumerate(((["--fakeroot", "--writable-tmpfs"], "0" * 6), (["--add-caps", "CAP_CHOWN,CAP_NET_RAW"], "0000000000002001"))):
        instance.start(f"caps{number}", *options)
        text = instance(f"instance://caps{number}", *look, program="exec").stdout.split()
        assert (text[1] == capabilities or capabilities == "0" * 6 and int(text[1], 16) > 0xFFFFFFFFF) and text[3] == "0"
    assert instance("instance://caps0", "sh", "-c", "touch /made && chown 0 /made && echo name:x:5:5::/:/bin/sh >> /etc/passwd && mv /etc/passwd /etc/p && tail -1 /etc/p",
                    program="exec").stdout == "name:x:5:5::/:/bin/sh\n"
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}')
    profile.chmod(0o644)
    instance.start("filtered", "--security", f"seccomp:{profile}")
    done = instance("instance://filtered", *look, program="exec")
    assert "Seccomp:\t2" in done.stdout and done.returncode != 0 and "not permitted" in done.stderr
    profile.unlink()  # what it forbids is not known any more
    done = instance("instance://filtered", "true", program="exec")
    assert done.returncode == 255 and f"cannot open {profile}: No such file or directory" in done.stderr, done.stderr


def test_app_is_started(instance, tmp_path, identity, sifrun):
    box = tmp_path / "box"
    assert identity.run([sifrun, "build", "--sandbox", box, instance.image]).returncode == 0
    script = "mkdir -p $0/scif/apps/one/scif; printf '#!/bin/sh\\necho started $*; exec sleep 100\\n' > $0/scif/apps/one/scif/startscript; chmod +x $0/scif/apps/one/scif/startscript"
    assert identity.run(["sh", "-c", script, box]).returncode == 0
    assert instance("start", "--app", "one", box, "app", "word").returncode == 0
    wait_until(lambda: any("started word" in path.read_text() for path in instance.folder.rglob("app.out")))
    failed = instance("start", "--app", "two", box, "other")
    assert failed.returncode == 255 and "No startscript for contained app: two" in failed.stderr and "other" not in instance.list()


def test_nothing_of_the_host_behind_its_first_process(identity, instance, sifrun, busybox_sif):
    """Neither the caller's variables nor our file, which who is inside could otherwise write to."""
    env = {"APPTAINER_CONFIGDIR": str(instance.folder), "TOP_SECRET": "not for images"}
    assert identity.run([sifrun, "instance", "start", "--containall", "--cleanenv", busybox_sif, "one"], env=env).returncode == 0
    script = "cat /proc/1/environ | wc -c; readlink /proc/1/exe; cat /proc/1/comm; (exec 3>>/proc/1/exe) 2>/dev/null && echo written"
    done = instance("instance://one", "sh", "-c", script, program="exec")
    assert done.stdout.splitlines() == ["0", "/memfd:sifrun-init (deleted)", "sifrun-init"], done.stdout


@pytest.mark.parametrize("victim", ["init", "watcher"])
def test_killed_from_outside(victim, instance, root):
    """Whichever process is killed, the instance is gone or whole, and no record of the dead stays."""
    init = instance.start("one")
    watcher = parent_of(init)
    os.kill(init if victim == "init" else watcher, signal.SIGKILL)
    if victim == "init":
        wait_until(lambda: not exists(init) and not exists(watcher))
        assert instance.records() == [] and instance.list() == {}
    else:
        assert instance("instance://one", "true", program="exec").returncode == 0
    assert instance("start", instance.image, "one").returncode == (0 if victim == "init" else 255)


def test_record_of_a_dead_process_is_not_believed(instance):
    init = instance.start("one")
    record = next(instance.folder.rglob("one.json"))
    text = json.loads(record.read_text())
    instance("stop", "one")
    wait_until(lambda: not exists(init))
    for changed in ({"pid": os.getpid()}, {"pid": 1}, {"start_time": 1, "pid": os.getpid()}, {"boot_id": "other"}):
        record.write_text(json.dumps({**text, **changed}))
        os.chown(record, *[os.stat(record.parent).st_uid] * 2)
        done = instance("instance://one", "true", program="exec")
        assert done.returncode == 255 and "no instance found with name one" in done.stderr
        assert instance.list() == {} and instance.records() == []
    for damage in ("", "{", "[]", '{"pid":"x"}'):
        record.write_text(damage)
        assert instance.list() == {}
    assert instance("start", instance.image, "one").returncode == 0


def test_of_many_starts_with_one_name_one_succeeds(instance):
    running = [instance.popen("--quiet", "instance", "start", instance.image, "one") for _ in range(8)]
    assert sorted(process.wait(60) for process in running) == [0] + [255] * 7
    assert list(instance.list()) == ["one"]


def test_failed_start_leaves_nothing(instance):
    done = instance("start", "--bind", "/no/such:/mnt", instance.image, "one")
    assert done.returncode == 255 and "/no/such" in done.stderr
    assert instance.records() == [] and instance.list() == {}


def descendants(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in children] + [below for child in children for below in descendants(child)]


def test_start_that_is_killed_is_no_success(instance):
    """What the out-of-memory killer takes while an instance is started is told; whatever is taken, the answer fits what is there."""
    for turn in range(20):
        process = instance.popen("instance", "start", instance.image, f"k{turn}")
        found = []
        while not found and process.poll() is None:
            found = descendants(process.pid)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert process.wait(timeout=60) in (0, 255)
        assert (process.returncode == 0) == (f"k{turn}" in instance.list())


@pytest.mark.parametrize("program, said", [("./no-such", "no such file or directory"), ("no-such", "executable file not found in $PATH"), ("/etc", "permission denied")])
def test_program_that_cannot_be_started(program, said, instance):
    done = instance("run", instance.image, "r", program)
    assert done.returncode == 255 and said in done.stderr and "started successfully" not in done.stderr, done.stderr
    assert instance.list() == {} and instance.records() == []


def test_background_job_of_an_environment_script(instance, tmp_path):
    (tmp_path / "env.sh").write_text("sleep 1000 >/dev/null 2>&1 &\n")
    begun = time.monotonic()
    instance.start("jobs", "--bind", f"{tmp_path}/env.sh:/.singularity.d/env/95-jobs.sh")
    assert time.monotonic() - begun < 60
    assert "sleep\0001000" in instance("instance://jobs", "sh", "-c", "cat /proc/[0-9]*/cmdline", program="exec").stdout


def test_stop_ends_everything(instance):
    """The init, what commands have started inside, their stand-ins and the image's server."""
    init = instance.start("one")
    watcher = parent_of(init)
    command = instance.popen("exec", "instance://one", "sleep", "1000")
    wait_until(lambda: "sleep 1000" in instance("instance://one", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '", program="exec").stdout)
    assert instance("stop", "one").returncode == 0
    assert command.wait(60) != 0
    wait_until(lambda: not exists(init) and not exists(watcher))
    assert instance.records() == []


def test_stop_does_not_wait_for_background_jobs(instance):
    """Shells have those ignore the signal."""
    pid = instance.start("one")
    assert instance("instance://one", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & :", program="exec").returncode == 0
    begin = time.monotonic()
    done = instance("stop", "--timeout", "60", "one")
    assert done.returncode == 0 and time.monotonic() - begin < 30 and "Timeout" not in done.stderr, done.stderr
    assert not exists(pid) and instance.list() == {}


def test_caller_that_ignores_its_children(instance, identity, sifrun, tmp_path):
    environment = {"APPTAINER_CONFIGDIR": str(instance.folder)}
    script = "import signal, os, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    done = identity.run(["/usr/bin/python3", "-c", script, sifrun, "instance", "start", instance.image, "one"], env=environment)
    assert done.returncode == 0, done.stderr
    time.sleep(0.2)
    assert list(instance.list()) == ["one"]
