# SPDX-License-Identifier: Apache-2.0
"""What a command read first is noted in the user's cache and read ahead at its next start; never in anybody's way."""
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from beds import images
from beds.servers import servers, wait_until

FILE = 12 << 20  # in more reads than are requested at once
READ = "cat /srv/large >/dev/null"
COUNT = "sleep 0.5; resident_pages /srv/large"
PAGES = FILE // os.sysconf("SC_PAGESIZE")
WAIT = f"until [ $(resident_pages /srv/large) = {PAGES} ]; do sleep 0.05; done; echo there"


@pytest.fixture(scope="module")
def image(sifconv, scratch):
    """A busybox image with a large file of random bytes and the probe that looks at it."""
    folder = scratch / "preload"
    folder.mkdir()
    probe = pathlib.Path(os.environ.get("SIFCONV_BUILD", "build/release")) / "bin/resident_pages"
    layer = images.busybox_layer()
    layer.folder("srv").file("srv/large", os.urandom(FILE)).file("bin/resident_pages", probe.read_bytes(), mode=0o755)
    images.write_docker25(folder / "image.tar", [layer.bytes()], Env=["PATH=/bin"])
    subprocess.run([sifconv, "--quiet", folder / "image.tar", folder / "image.sif"], check=True)
    return folder / "image.sif"


@pytest.fixture
def run(identity, sifrun, image, tmp_path):
    """Runs a script with a cache of its own; gives what it printed, once its server has ended. Whatever the script says, to the
    cache it is one command."""
    cache, script = tmp_path / "cache", tmp_path / "script"
    cache.mkdir()
    os.chown(cache, identity.uid, identity.gid)  # also root's server has no rights over others' folders

    def step(what, *options, cache=cache):
        script.write_text(what)
        done = identity.run([sifrun, "exec", "--share=off", *options, image, "sh", script], env={"SIFRUN_CACHEDIR": cache})
        assert done.returncode == 0 and done.stderr == "", done.stderr
        wait_until(lambda: not servers(image))
        return done.stdout.strip()
    step.cache, step.script = cache, script
    return step


def traces(cache):
    return sorted((cache / "traces").glob("*"))


def test_the_next_start_finds_the_file_read(run):
    assert run(COUNT) == "0"
    shutil.rmtree(run.cache / "traces")
    run(READ)
    assert len(traces(run.cache)) == 1
    assert run(WAIT) == "there"


def test_another_command_or_switched_off_reads_nothing_ahead(run, identity, sifrun, image):
    run(READ)
    other = identity.run([sifrun, "exec", "--share=off", image, "sh", "-c", COUNT], env={"SIFRUN_CACHEDIR": run.cache})
    assert other.stdout.strip() == "0"
    assert run(COUNT, "--preload=off") == "0"


def test_off_notes_nothing(run):
    run(READ, "--preload=off")
    assert not list(run.cache.iterdir())


def test_a_command_that_reads_more_is_noted_anew(run):
    run("true")
    known = traces(run.cache)[0].read_bytes()
    run("for i in $(busybox seq 100); do [ -e /srv/absent$i ]; done; " + READ)
    assert len(traces(run.cache)[0].read_bytes()) > len(known)
    assert run(WAIT) == "there"


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"SFTRACE2\xff\xff\xff\xff"])
def test_a_damaged_trace_is_made_anew(run, damage):
    run(READ)
    trace, = traces(run.cache)
    sound = trace.read_bytes()
    trace.write_bytes(damage)
    assert run("echo fine") == "fine"
    assert trace.read_bytes() not in (damage, sound)


def test_a_cache_that_cannot_be_written_is_no_problem(run, tmp_path):
    (tmp_path / "file").write_text("")
    assert run("echo fine", cache=tmp_path / "file/cache") == "fine"


def test_many_starts_at_once(run, identity, sifrun, image):
    run(READ)
    run.script.write_text(READ + "; echo done")
    running = [identity.popen([sifrun, "exec", "--share=off", image, "sh", run.script],
                              env={"SIFRUN_CACHEDIR": run.cache}, stdout=subprocess.PIPE) for _ in range(8)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["done\n"] * 8
    assert len(traces(run.cache)) == 1


def test_nothing_outlives_a_killed_program(run, identity, sifrun, image):
    run(READ)
    run.script.write_text("echo up; exec sleep 60")
    process = identity.popen([sifrun, "exec", "--share=off", image, "sh", run.script],
                             env={"SIFRUN_CACHEDIR": run.cache}, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not servers(image))


def test_what_a_program_leaves_running_keeps_its_files(identity, sifrun, image):
    script = "(sleep 1; wc -c </srv/large) & echo ended"
    done = identity.run([sifrun, "exec", "--share=off", "--preload=off", image, "sh", "-c", script])
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["ended", str(FILE)], "")
    wait_until(lambda: not servers(image))
