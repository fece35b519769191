# SPDX-License-Identifier: Apache-2.0
"""Images and callers that mean harm or are careless: nothing of the host is given away, written to or left behind."""
import os
import pathlib
import random
import signal
import time

import pytest

from beds.servers import wait_until
from sifrun_test import make_tree, squash

CLOSINGS = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


def closing(streams, *argv):
    """The command line with standard streams closed."""
    return ["sh", "-c", f'exec "$@" {streams}', "sh", *argv]


@pytest.fixture
def hostile(scratch, fuse_device, request):
    """hostile(change): an image of a small tree that `change` made worse."""
    def make(change):
        folder = scratch / request.node.name.translate(str.maketrans("[]<>&/ ", "_______"))
        tree = make_tree(folder / "tree")
        change(tree)
        return squash(tree, folder / "hostile.squashfs")
    return make


# Closed standard streams

@pytest.mark.parametrize("streams", CLOSINGS)
def test_closed_streams_do_not_harm_the_image(user, sifconv, busybox_tar, tmp_path, streams):
    def convert(name, *options, wrap=lambda *argv: argv):
        done = user.run(wrap(sifconv, *options, busybox_tar, tmp_path / name), cwd=tmp_path)
        return done.returncode, (tmp_path / name).read_bytes()

    def closed(*argv):
        return closing(streams, *argv)

    expected = convert("whole.sif")
    assert convert("closed.sif", wrap=closed) == expected
    code, content = convert("json.sif", "--json", wrap=closed)
    assert content == expected[1]
    assert (code == 0) == (">&-" not in streams.replace("2>&-", ""))


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_closed_streams_give_no_folder_of_the_host(identity, sifrun, hostile, tmp_path, stream):
    def change(tree):
        scripts = tree / ".singularity.d/env"
        scripts.mkdir(parents=True)
        (scripts / "10-keep.sh").write_text("exec 7<&0 8>&1 9>&2\n")

    image = hostile(change)
    tmp_path.chmod(0o777)
    script = ('for fd in 0 1 2 7 8 9; do test -d /proc/self/fd/$fd/ && found="$found $fd"; done; '
              f'echo "folders:$found" > {tmp_path}/answer')
    streams = ("<", ">", "2>")[stream] + "&-"
    done = identity.run(closing(streams, sifrun, "exec", "--contain", "--bind", tmp_path, image, "sh", "-c", script), cwd=tmp_path)
    assert (tmp_path / "answer").read_text() == "folders:\n", done.stderr


# Ends at any moment

def processes_of(image):
    found = []
    for process in pathlib.Path("/proc").iterdir():
        try:
            if os.fsencode(image) in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("options", [(), ("--contain",), ("--pid",), ("--pid", "--no-init")])
def test_killed_at_any_moment_leaves_no_process(identity, sifrun, hostile, tmp_path, options):
    image = hostile(lambda tree: None)
    times = random.Random(len(options))
    for _ in range(40):
        run = identity.popen([sifrun, "exec", *options, image, "sleep", "0.01"], cwd=tmp_path)
        time.sleep(times.uniform(0, 0.06))
        run.send_signal(signal.SIGKILL)
        run.wait()
    wait_until(lambda: processes_of(image) == [])


# Mount points that lead elsewhere

@pytest.mark.parametrize("path,target", [
    ("etc/resolv.conf", "{home}/made-by-image"), ("etc/hosts", "../../{home}/made-by-image"), ("etc/localtime", "{home}/made/by/image"),
    ("home", "{home}"), ("tmp", "{home}/made-by-image"), ("var/tmp", "{home}/made-by-image"), ("sys", "{home}/made-by-image"),
    ("dev", "/proc/self/root"), ("proc", "../../../.."), ("sys", "sys")])
def test_linked_mount_points_make_nothing_on_the_host(identity, sifrun, hostile, tmp_path, path, target):
    def change(tree):
        place = tree / path
        if place.is_dir():
            place.rmdir()
        place.symlink_to(target.format(home=identity.home))

    before = sorted(os.listdir(identity.home))
    done = identity.run([sifrun, "exec", hostile(change), "/bin/echo", "hello"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello\n") or done.stderr.count("FATAL:") == 1
    assert sorted(os.listdir(identity.home)) == before


# What is no image

@pytest.mark.parametrize("kind", ["fifo", "empty", "device", "loop"])
def test_no_image_is_refused_at_once(identity, sifrun, tmp_path, kind):
    image = tmp_path / "image.sif"
    if kind == "fifo":
        os.mkfifo(image)
    elif kind == "empty":
        image.touch()
    else:
        image.symlink_to("/dev/zero" if kind == "device" else image)
    done = identity.run([sifrun, "exec", image, "true"], cwd=tmp_path, timeout=20)
    assert done.returncode == 255
    assert done.stderr.startswith("FATAL:   ")


@pytest.mark.parametrize("options", [["-c"], ["-C"]], ids=str)
def test_scripts_of_the_image_do_not_reach_the_program(identity, sifrun, hostile, tmp_path, options):
    """A descriptor of it would let the payload overwrite a sifrun that is the user's own."""
    def change(tree):
        scripts = tree / ".singularity.d/env"
        scripts.mkdir(parents=True)
        (tree / "own").symlink_to("/proc/self/exe")
        (scripts / "10-reach.sh").write_text("""
            export REACHED=
            for file in /proc/self/exe /proc/$$/exe /own; do
              [ -z "$(head -c 4 < $file 2>/dev/null)" ] || REACHED="$REACHED <$file"
            done
            [ -z "$(head -c 4 /proc/$$/exe 2>/dev/null)" ] || REACHED="$REACHED exe"
            ls /proc/$$/root/ > /dev/null 2>&1 && REACHED="$REACHED root"
            export FORKED="$(ls /)"
            """)

    done = identity.run([sifrun, "exec", *options, hostile(change), "sh", "-c", 'echo "$REACHED:${FORKED%%/*}" | head -c 5'], cwd=tmp_path)
    assert done.stdout.startswith(":bin"), (done.stdout, done.stderr)


# The program itself

@pytest.mark.parametrize("path", ["/bin/script", "/bin/link", "/bin/chain", "/proc/self/exe"])
def test_no_way_to_execute_us_from_an_image(user, sifrun, hostile, path):
    """The new process would be the host's file, open to the container's processes (CVE-2019-5736)."""
    def change(tree):
        for name, text in (("script", "#!/proc/self/exe exec\n"), ("chain", "#!/bin/script\n")):
            (tree / "bin" / name).write_text(text)
            (tree / "bin" / name).chmod(0o755)
        (tree / "bin/link").symlink_to("/proc/self/exe")
        (tree / ".singularity.d/env").mkdir(parents=True)
        (tree / ".singularity.d/env/90-run.sh").write_text(f'{path} --version && echo executed\n[ "$1" = no ] || :\n')
        (tree / ".singularity.d/runscript").write_text(f"#!/bin/none/sh\nexec {path} --version\n")
        (tree / ".singularity.d/runscript").chmod(0o755)
        (tree / ".singularity.d/env/90-run.sh").chmod(0o755)

    image = hostile(change)
    for words in (["exec", image, path, "--version"], ["run", image]):
        done = user.run([sifrun, *words])
        assert done.returncode != 0 and "executed" not in done.stdout and "version" not in done.stdout, done.stdout


def test_we_may_be_bound_into_a_container(user, sifrun, hostile):
    done = user.run([sifrun, "exec", "--bind", f"{sifrun}:/bin/true", hostile(lambda tree: None), "/bin/true", "--version"])
    assert done.stdout.startswith("sifrun version"), done.stderr
