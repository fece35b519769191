# SPDX-License-Identifier: Apache-2.0
"""sifrun's confinement and defaults: what is mounted where, who the payload is, what it may not do, how it ends."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from beds import UNDER, images
from beds.archive import one_file_layer
from beds.servers import wait_until

APPLETS = ("sh ls cat id mount ps sleep touch echo true false env readlink grep pwd find wc kill test mkdir stat hostname head chmod "
           "mknod umount ulimit tr tail sed").split()


def make_tree(folder, parts=("etc", "tmp", "home", "proc", "sys", "dev", "var/tmp", "root", "usr/lib")):
    for part in ("bin", *parts):
        (folder / part).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for applet in APPLETS:
        (folder / "bin" / applet).symlink_to("busybox")
    if "etc" in parts:
        (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (folder / "etc/group").write_text("root:x:0:\n")
    return folder


def squash(tree, image):
    subprocess.run(["mksquashfs", tree, image, "-noappend", "-quiet", "-no-progress", "-all-root"], check=True,
                   stdout=subprocess.DEVNULL)
    image.chmod(0o644)
    return image


@pytest.fixture(scope="module")
def busybox_tree(scratch):
    tree = make_tree(scratch / "busybox-tree")
    (tree / "setuid").mkdir()
    shutil.copy("/bin/busybox", tree / "setuid/busybox")
    (tree / "setuid/busybox").chmod(0o4755)
    (tree / "usr/lib/many").mkdir()
    for number in range(100):
        (tree / f"usr/lib/many/{number}").write_text(str(number))
    return tree


@pytest.fixture(scope="module")
def image(busybox_tree, scratch, fuse_device):
    return squash(busybox_tree, scratch / "busybox.squashfs")


@pytest.fixture
def sh(identity, sifrun, image, tmp_path):
    """sh(script, *options): the standard output of a shell script in the image."""
    def run(script, *options, check=True, **more):
        more.setdefault("cwd", tmp_path)
        done = identity.run([sifrun, "exec", *options, image, "sh", "-c", script], **more)
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done
    return run


# What is there by default

def test_default_mounts(sh, identity, tmp_path):
    assert sh("pwd; echo $PWD; echo $HOME").split() == [str(tmp_path), str(tmp_path), str(identity.home)]
    for path in ("/proc/version", "/sys/kernel", "/dev/null", "/etc/hosts", "/etc/resolv.conf"):
        assert sh(f"test -e {path} && echo yes") == "yes\n", path
    for folder in ("/tmp", "/var/tmp", identity.home):
        note = pathlib.Path(folder, f"sifrun-note-{os.getpid()}")
        sh(f"echo here > {note}")
        assert note.read_text() == "here\n"
        note.unlink()


def test_root_is_read_only_and_has_no_devices_or_setuid(sh):
    mounts = [line.split() for line in sh("cat /proc/self/mountinfo").splitlines()]
    shown = {fields[4]: fields[5].split(",") for fields in mounts}  # of several at one place the last
    for point, flags in shown.items():
        if point.startswith("/tmp/bed-"):  # what another test mounts there meanwhile is propagated as it is
            continue
        assert "nosuid" in flags, point
        assert "nodev" in flags or point.startswith("/dev"), point
    assert "Read-only" in sh("touch /x", check=False).stderr
    assert "Read-only" in sh("touch /home/x", check=False).stderr


def test_image_driver_kernel(root, user, sifrun, image):
    command = [sifrun, "exec", "--image-driver", "kernel", image, "sh", "-c", "grep ' / / ' /proc/self/mountinfo"]
    refused = user.run(command)
    assert refused.returncode == 255 and "--image-driver kernel is for root only" in refused.stderr
    done = root.run(command)
    if UNDER:
        assert done.returncode == 255 and "needs Linux 5.12" in done.stderr
        return
    assert " - squashfs /dev/loop" in done.stdout, done.stderr
    loop = done.stdout.split(" - squashfs ")[1].split()[0]
    attached = subprocess.run(["losetup", "--noheadings", "--output", "BACK-FILE", loop], capture_output=True, text=True)
    assert str(image) not in attached.stdout  # gone with the last process


def test_identity(sh, identity):
    assert sh("id -u; id -g").split() == [str(identity.uid), str(identity.gid)]
    assert sh("id -un") == f"{identity.name}\n"
    assert f":{identity.home}:" in sh(f"grep ^{identity.name}: /etc/passwd")


def test_home_is_of_passwd_not_of_the_environment(sh, identity):
    assert sh("echo $HOME", env={"HOME": "/nowhere"}) == f"{identity.home}\n"


def test_user_without_passwd_entry(sifrun, image, tmp_path, root):
    tmp_path.chmod(0o777)
    done = subprocess.run(["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", sifrun, "exec", image, "sh", "-c",
                           "id -u; id -un; pwd"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "USER": "ghost"},
                          capture_output=True, text=True)
    assert done.stdout.split() == ["4321", "ghost", str(tmp_path)], done.stderr


def test_home_that_is_not_there(sh, tmp_path):
    """Images have homes of their own: -B DATA:/home/jovyan --home /home/jovyan."""
    for options in (["--home", "/no/such"], ["-C", "-H", "/no/such/source:/no/such"]):
        done = sh("echo $HOME; touch ~/x && ls -A ~", *options, check=False)
        assert done.stdout == "/no/such\nx\n" and "is not there: the container has an empty one" in done.stderr, done.stderr
    (tmp_path / "data").mkdir(mode=0o777)
    (tmp_path / "data/file").touch()
    done = sh("cd; pwd; ls", "--home", "/no/such", "-B", f"{tmp_path}/data:/no/such", check=False)
    assert (done.stdout, done.stderr) == ("/no/such\nfile\n", "")


def test_image_without_etc(identity, sifrun, scratch, tmp_path, fuse_device):
    tree = scratch / f"bare-{identity.name}"
    tree.mkdir()
    shutil.copy("/bin/busybox", tree / "busybox")
    image = squash(tree, scratch / f"bare-{identity.name}.squashfs")
    for source in (tree, image):
        for options in ([], ["-C"], ["--writable-tmpfs"]):
            done = identity.run([sifrun, "exec", *options, source, "/busybox", "sh", "-c", "exit 37"], cwd=tmp_path)
            assert (done.returncode, done.stderr) == (37, ""), (source, options)
        done = identity.run([sifrun, "exec", source, "/busybox", "ls", "/"], cwd=tmp_path)
        assert {"busybox", "proc", "dev", "tmp", "etc"} <= set(done.stdout.split())
    assert [entry.name for entry in tree.iterdir()] == ["busybox"]


# Binds

def test_binds(sh, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source").chmod(0o777)
    (tmp_path / "source/file").write_text("content\n")
    (tmp_path / "a,b:c").write_text("odd\n")
    source = tmp_path / "source"
    assert sh("cat /new/place/file", "-B", f"{source}:/new/place") == "content\n"
    assert sh("cat /usr/lib/x/file", "-B", "source:/usr/lib/x", cwd=tmp_path) == "content\n"
    assert sh("cat /usr/lib/many/new/file; cat /usr/lib/many/7", "-B", f"{source}:/usr/lib/many/new") == "content\n7"
    assert sh("cat /etc/new.conf", "-B", f"{source}/file:/etc/new.conf") == "content\n"
    assert sh("cat /odd", "-B", f"{tmp_path}/a\\,b\\:c:/odd") == "odd\n"
    assert sh("cat /odd", "--mount", f"type=bind,\"src={tmp_path}/a,b:c\",dst=/odd") == "odd\n"
    assert "Read-only" in sh("touch /r/x", "-B", f"{source}:/r:ro", check=False).stderr
    assert sh("touch /r/x; ls /r", "-B", f"{source}:/r") == "file\nx\n"
    assert sh("cat /b/file /c/file", env={"SINGULARITY_BIND": f"{source}:/b", "APPTAINER_BINDPATH": f"{source}:/c"}) == "content\n" * 2
    nested = sh("true", "-B", f"{source}:/deep/er,{source}:/deep/:ro", check=False)
    assert nested.returncode == 255 and "hint:    make it on the host" in nested.stderr
    assert sorted(entry.name for entry in source.iterdir()) == ["file", "x"]
    assert sh("cat /deep/er/file", "-B", f"{source}:/deep/er,{source}:/deep/") == "content\n"  # made in the bound folder, as Apptainer does
    assert (source / "er").is_dir()


def test_the_first_of_two_binds_of_one_place_counts(sh, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    done = sh("cat /b/file", "-B", "one:/b,two:/b", cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "one") and "is ignored" in done.stderr


def test_addresses_that_cannot_be_fetched(as_user, sifrun):
    for address, said in (("library://alpine", "library:// is not supported"), ("docker-archive:x.tar", "cannot open x.tar: No such file")):
        done = as_user([sifrun, "exec", address, "true"])
        assert done.returncode == 255 and said in done.stderr, done.stderr


def test_lost_working_folder_is_told(sh):
    done = sh("pwd", "--no-mount", "cwd", cwd="/usr/share", check=False)
    assert "WARNING: the working directory /usr/share is not in the container" in done.stderr


@pytest.mark.parametrize("identity", ["root"], indirect=True)  # who makes mounts of the host
def test_read_only_binds_are_recursive(sh, identity, tmp_path):
    (tmp_path / "inner").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "inner", tmp_path / "inner"], check=True)
    try:
        assert "Read-only" in sh("touch /r/inner/x", "-B", f"{tmp_path}:/r:ro", cwd="/", check=False).stderr
    finally:
        subprocess.run(["umount", tmp_path / "inner"], check=True)


def test_bind_over_tmp_overrides_contain(sh, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t/file").write_text("mine\n")
    assert sh("cat /tmp/file", "-c", "-B", f"{tmp_path}/t:/tmp") == "mine\n"
    assert sh("cat /tmp/sub/file", "-c", "-B", f"{tmp_path}/t:/tmp/sub") == "mine\n"


@pytest.mark.parametrize("options, words", [
    (["-B", "/nosuchpath"], "cannot open the mount source /nosuchpath"),
    (["-B", "/etc:relative"], "the destination relative must be an absolute path"),
    (["-B", "/etc:/"], "the container's root cannot be bound over"),
    (["-B", "/etc/passwd:/tmp"], "cannot mount /etc/passwd on /tmp of the container: one is a folder, the other is not"),
    (["--cwd", "/nosuchpath"], "cannot set the working directory /nosuchpath"),
    (["--home", "/etc:rel"], "must be an absolute path"),
    (["--memory", "1G"], "--memory is not supported"),
    (["--keep-privs"], "--keep-privs is not supported"),
    (["--dns", "nowhere"], "--dns: nowhere is no IP address"),
    (["--net"], "--net without --network none is not supported"),
    (["--writable"], "a squashfs is read-only"),
    (["--overlay", "/nosuchpath"], "image not found: /nosuchpath"),
    (["--security", "apparmor:x"], "--security apparmor is not supported"),
    (["--security", "uid:x"], "x is no numeric id"),
])
def test_fatal_errors(sh, options, words):
    done = sh("true", *options, check=False)
    assert done.returncode == 255
    assert words in done.stderr and done.stderr.startswith("FATAL:   ")


@pytest.mark.parametrize("arguments", [["exec"], ["exec", "image"], ["exec", "--nosuch", "image", "true"], ["nosuch"], ["--nosuch"],
                                       ["exec", "--bind"], ["exec", "--contain=maybe", "image", "true"]])
def test_usage_errors(identity, sifrun, arguments):
    done = identity.run([sifrun, *arguments])
    assert done.returncode == 1
    assert done.stderr.startswith("FATAL:   ") and "--help`" in done.stderr and done.stdout == ""


def test_bad_images(identity, sifrun, image, tmp_path):
    (tmp_path / "text").write_text("no image\n" * 1000)
    (tmp_path / "cut").write_bytes(image.read_bytes()[:50000])
    for name, word in (("absent", "not found"), ("text", "text"), ("cut", "cut")):
        done = identity.run([sifrun, "exec", tmp_path / name, "true"])
        assert done.returncode == 255
        assert word in done.stderr and done.stderr.count("\n") <= 2, done.stderr


# Directories of the caller

def test_working_directory(sh, identity, tmp_path):
    (tmp_path / "real/sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    assert sh("pwd", "--cwd", "/usr/lib") == "/usr/lib\n"
    assert sh("pwd", "--pwd", "/usr/lib") == "/usr/lib\n"
    assert sh("pwd", cwd="/usr") == "/usr\n"
    assert sh("ls lib", cwd="/usr") == "many\n"
    logical = tmp_path / "link/sub"
    assert sh("pwd; echo $PWD", env={"PWD": str(logical)}, cwd=logical).split() == [str(logical)] * 2
    assert sh("pwd", env={"PWD": "/usr"}, cwd=tmp_path) == f"{tmp_path}\n"
    assert sh("pwd", "-c") == f"{identity.home}\n"


def test_working_directory_that_is_gone_or_closed(sh, user, sifrun, image, tmp_path):
    gone = tmp_path / "gone"
    done = user.run(["sh", "-c", f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {sifrun} exec {image} pwd"])
    assert done.stdout == f"{user.home}\n", done.stderr
    done = user.run(["sh", "-c", f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {sifrun} exec x.sif pwd"])
    assert done.returncode == 255 and "cannot find the image x.sif: the working directory has been removed" in done.stderr
    closed = tmp_path / "closed"
    done = user.run(["sh", "-c", f"mkdir {closed} && cd {closed} && chmod 0 {closed} && exec {sifrun} exec {image} pwd"])
    assert done.returncode == 0 and done.stdout.strip() in (str(user.home), str(closed)), done.stderr


def test_contain(sh, identity, tmp_path):
    (tmp_path / "mine").write_text("")
    assert sh("ls -A $HOME /tmp | grep -v :", "-c").split() == []
    assert sh(f"test -e {tmp_path} || echo hidden", "-c") == "hidden\n"
    assert set(sh("ls /dev", "-c").split()) >= {"null", "zero", "random", "urandom", "pts", "shm", "fd", "stdin", "ptmx"}
    assert "kmsg" not in sh("ls /dev", "-c")
    sh("echo x > $HOME/x; echo x > /tmp/x; echo x > /dev/shm/x; echo x > /dev/null", "-c")
    assert not (pathlib.Path(identity.home) / "x").exists()


def test_workdir_and_scratch(sh, tmp_path):
    work = tmp_path / "w"
    assert sh("echo a > /tmp/a; echo b > /var/tmp/b; echo c > $HOME/c; echo d > /scr/d", "-c", "-W", work, "-S", "/scr") == ""
    assert sorted(str(p.relative_to(work)) for p in work.rglob("*") if p.is_file()) == ["home/c", "scratch/scr/d", "tmp/a", "var_tmp/b"]
    assert sh("echo x > /scr/x; echo y > /other/y; ls /scr; ls /other", "-S", "/scr,/other").split() == ["x", "y"]


def test_home_options(sh, identity, tmp_path):
    (tmp_path / "h").mkdir()
    (tmp_path / "h/file").write_text("own\n")
    assert sh("echo $HOME; cat ~/file", "-H", f"{tmp_path}/h:/ho/me") == "/ho/me\nown\n"
    assert sh("cat ~/file", "-c", "-H", f"{tmp_path}/h") == "own\n"
    if identity.name == "user":  # the image has root's
        assert sh("test -e $HOME || echo none", "--no-home", "--no-mount", "tmp", cwd="/") == "none\n"


def test_writable_tmpfs(sh, image):
    before = image.stat().st_mtime_ns
    assert sh("echo x > /usr/lib/x && cat /usr/lib/x && mkdir /usr/lib/new && echo > /home/y", "--writable-tmpfs") == "x\n"
    assert sh("test -e /usr/lib/x || echo gone") == "gone\n"
    assert image.stat().st_mtime_ns == before


def test_no_mount(sh):
    assert sh("ls /proc /sys", "--no-mount", "proc,sys") == "/proc:\n\n/sys:\n"


def test_host_name(sh):
    assert sh("hostname", "--hostname", "elsewhere") == "elsewhere\n"
    assert sh("hostname") != "elsewhere\n"


# Privilege

def test_no_privileges(sh):
    status = dict(line.split(":\t") for line in sh("cat /proc/self/status").splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    for command in ("mount -t tmpfs x /tmp", "umount /proc", "umount /", "mount -o remount,rw /", "mknod /tmp/null c 1 3"):
        assert sh(command, check=False).returncode != 0, command


@pytest.mark.parametrize("identity", ["root"], indirect=True)
def test_root_who_changes_the_root_has_capabilities(sh):
    for options in (["--writable-tmpfs"], ["--writable-tmpfs", "--fakeroot"]):
        assert sh("chown 33:44 /bin/busybox && stat -c %u:%g /bin/busybox", *options) == "33:44\n"
    for options in ([], ["--writable-tmpfs", "--no-privs"], ["--writable-tmpfs", "--drop-caps", "all"]):
        assert sh("grep CapEff /proc/self/status", *options) == "CapEff:\t0000000000000000\n"
    assert sh("mount -t tmpfs x /tmp", "--writable-tmpfs", check=False, cwd="/").returncode == 0, "its own namespace only"


def test_setuid_is_inert(sh, identity):
    assert sh("test -u /setuid/busybox && /setuid/busybox id -u") == f"{identity.uid}\n"


# Processes

@pytest.mark.parametrize("options", [[], ["-p"], ["-C"], ["-p", "--no-init"]], ids=str)
def test_exit_status(sh, options):
    for status in (0, 1, 37, 255):
        assert sh(f"exit {status}", *options, check=False).returncode == status
    if "--no-init" in options:  # PID 1 cannot kill itself
        return
    for number in (signal.SIGKILL, signal.SIGABRT, signal.SIGTERM):
        assert sh(f"kill -{int(number)} $$", *options, check=False).returncode == -number


@pytest.mark.parametrize("options", [[], ["-p"], ["-C"], ["-p", "--no-init"]], ids=str)
def test_a_signal_to_stop_reaches_the_program(identity, sifrun, image, options):
    script = "trap 'echo stopping' TSTP; echo ready; while :; do sleep 0.05; done"
    process = identity.popen([sifrun, "exec", *options, image, "sh", "-c", script], stdout=subprocess.PIPE, process_group=0)
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        process.send_signal(signal.SIGTSTP)
        assert process.stdout.readline() == "stopping\n"
        if options:  # without, it is the program
            wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T")
        process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_closed_pipes_end_the_program(identity, sifrun, image):
    done = identity.run(["bash", "-c", 'trap "" PIPE; "$0" exec "$1" busybox yes | head -n 1; echo ${PIPESTATUS[0]}', sifrun, image])
    assert done.stdout == f"y\n{128 + signal.SIGPIPE}\n"


def test_payload_is_the_process_that_was_started(identity, sifrun, image):
    process = identity.popen([sifrun, "exec", image, "sh", "-c", "echo $$; sleep 60"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == f"{process.pid}\n"
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("options", [[], ["-p"]], ids=str)
def test_signals_arrive(identity, sifrun, image, options):
    process = identity.popen([sifrun, "exec", *options, image, "sh", "-c",
                              "trap 'echo term; exit 5' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"],
                             stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "usr1\n"
    process.terminate()
    assert process.stdout.readline() == "term\n"
    assert process.wait(10) == 5


def test_pid_namespace(sh):
    named = "while ! grep -qs sifrun-init /proc/1/comm; do :; done; "  # it names itself beside us
    assert sh(named + "set -- /proc/[0-9]*; echo $#", "-p") == "2\n"
    assert sh("echo $$", "-p", "--no-init") == "1\n"
    assert sh("echo $$", "-C", "--no-pid") != "1\n"
    # An orphan is reaped by PID 1.
    assert sh("(sleep 0.1 &); set -- /proc/[0-9]*; while [ $# -gt 2 ]; do set -- /proc/[0-9]*; done; echo $#", "-p") == "2\n"


def leftovers(marker):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if marker in (process / "cmdline").read_bytes() and (process / "stat").read_text().split(") ")[1][0] != "Z":
                found.append(process.name)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("options", [[], ["-p"], ["-C"]], ids=str)
def test_kill_leaves_nothing(identity, sifrun, image, options):
    marker = f"5{os.getpid()}{time.monotonic_ns() % 1000}"
    process = identity.popen([sifrun, "exec", *options, image, "sh", "-c", f"echo go; sleep {marker}"], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.kill()
    process.wait()
    if not options:  # the payload's own child is the caller's affair, as with any program
        subprocess.run(["pkill", "-f", f"sleep {marker}"])
    wait_until(lambda: leftovers(marker.encode()) == [] and leftovers(str(image).encode()) == [])


def test_descriptors(identity, sifrun, image):
    read_end, write_end = os.pipe()
    process = identity.popen([sifrun, "exec", image, "sh", "-c", f"echo through >&{write_end}; ls /proc/self/fd"], stdout=subprocess.PIPE,
                             pass_fds=[write_end])
    os.close(write_end)
    assert os.read(read_end, 100) == b"through\n"
    assert set(process.communicate()[0].split()) == {"0", "1", "2", "3", str(write_end)} | ({"3"} if write_end != 3 else {"4"})


def test_closed_standard_streams(identity, sifrun, image):
    done = identity.run(["sh", "-c", f"{sifrun} exec {image} sh -c 'ls /proc/self/fd | wc -l' <&-"])
    assert (done.returncode, done.stderr) == (0, "")
    done = identity.run(["sh", "-c", f"{sifrun} exec {image} true <&- >&- 2>&-; echo $?"])
    assert done.stdout == "0\n"
    done = identity.run(["sh", "-c", f"{sifrun} exec {image} nosuch <&- >&- 2>&-; echo $?"])
    assert done.stdout == "255\n"


def test_umask_and_limits_are_kept(identity, sifrun, image):
    done = identity.run(["sh", "-c", f"umask 0027; ulimit -n 321; {sifrun} exec {image} sh -c 'umask; ulimit -n'; "
                         f"{sifrun} exec --no-umask {image} sh -c umask"])
    assert done.stdout.split() == ["0027", "321", "0022"]


def test_streams_are_transparent(identity, sifrun, image):
    data = bytes(range(256)) * 4000
    assert identity.run([sifrun, "exec", image, "cat"], input=data, text=False).stdout == data


def test_huge_environment(sh):
    many = {f"VARIABLE_{number}": "x" * 1000 for number in range(1000)}
    assert sh("echo $VARIABLE_999 | wc -c", env=many) == "1001\n"


def test_concurrency(identity, sifrun, image):
    running = [identity.popen([sifrun, "exec", image, "sh", "-c", "cat /usr/lib/many/*"], stdout=subprocess.PIPE) for _ in range(50)]
    expected = "".join(str(n) for n in sorted(range(100), key=str))
    for process in running:
        assert process.communicate()[0] == expected
        assert process.returncode == 0


def test_nested(user, sifrun, image, tmp_path):
    """Root cannot: without capabilities the kernel lets it map no namespace. The dynamic loader's libraries come from the host: the program under test need not be static here."""
    binds = ",".join(path for path in ("/lib", "/lib64", "/usr/lib") if os.path.exists(path))
    done = user.run([sifrun, "exec", "-B", f"{binds},{sifrun.parent}", image, sifrun, "exec", image, "sh", "-c", "id -u; exit 7"],
                        cwd=tmp_path)
    assert (done.returncode, done.stdout) == (7, f"{user.uid}\n"), done.stderr


def test_version(identity, sifrun, tmp_path):
    version = identity.run([sifrun, "version"]).stdout
    assert identity.run([sifrun, "--version"]).stdout == f"sifrun version {version}"
    (tmp_path / "singularity").symlink_to(sifrun)
    assert identity.run([tmp_path / "singularity", "--version"]).stdout.startswith("apptainer version 1.")


def test_dry_run_touches_nothing(sh):
    out = sh("false", "--dry-run", "-B", "/usr:/x:ro")
    assert "mount       bind /usr on /x ro nosuid nodev" in out


# Images that mean harm: no mount of ours may land outside the image, no file of the host may be touched.

HOSTILE = {
    "etc": "../../../../../../../../etc",
    "tmp": "/proc/self/root/etc",
    "home": "home",
    "var": "/../../../../var",
    "sys": "/dev",
}


@pytest.mark.parametrize("options", [[], ["-c"], ["--writable-tmpfs"], ["-C", "-B", "/usr:/data/x"]], ids=str)
def test_hostile_links(identity, sifrun, tmp_path, fuse_device, options):
    tree = make_tree(tmp_path / "tree", parts=("dev",))
    for link, target in HOSTILE.items():
        (tree / link).symlink_to(target)
    (tree / "proc").write_text("a file")
    (tree / "data").symlink_to("../../../../../../../../../root")
    before = pathlib.Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/etc")), sorted(os.listdir("/root"))
    for source in (tree, squash(tree, tmp_path / "hostile.squashfs")):
        done = identity.run([sifrun, "exec", *options, source, "sh", "-c", "echo inside"], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr
    assert before == (pathlib.Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/etc")), sorted(os.listdir("/root")))


def test_without_fuse(user, root, sifrun, image, tmp_path):
    """No usable /dev/fuse: unpacked once, and told how to get it."""
    script = f"mknod -m 600 {tmp_path}/fuse c 10 229 && mount --bind {tmp_path}/fuse /dev/fuse && exec setpriv --reuid {user.uid} " \
             f"--regid {user.gid} --clear-groups env SIFRUN_CACHEDIR={tmp_path}/cache {sifrun} exec {image} cat /usr/lib/many/7"
    for first in (True, False):
        done = subprocess.run(["unshare", "-m", "sh", "-c", script.partition(" && ")[2] if not first else script],
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "7"), done.stderr
        assert "chmod 666 /dev/fuse" in done.stderr
        assert ("Extracting" in done.stderr) == first


def test_nested_root(root, programs, image):
    """Only with CAP_SETFCAP may user 0 map itself (Linux 5.12), which root's payload has if it is given; else the hint says so."""
    line = ["-B", programs["sifrun"].parent, "-B", image.parent, image, programs["sifrun"], "exec", image, "cat", "/proc/self/uid_map"]
    done = root.run([programs["sifrun"], "exec", *line])
    assert done.returncode == 255 and "--add-caps CAP_SETFCAP" in done.stderr, done.stderr
    done = root.run([programs["sifrun"], "exec", "--add-caps", "CAP_SETFCAP", *line])
    assert (done.returncode, done.stdout.split()) == (0, ["0", "0", "1"]), done.stderr


def test_configuration_file_of_apptainer(user, sifrun, image):
    """Before the verb -c names it, after the verb it means --contain; scripts that name one go on."""
    done = user.run([sifrun, "-c", "/etc/apptainer/apptainer.conf", "exec", image, "echo", "hello"])
    assert (done.returncode, done.stdout) == (0, "hello\n") and "there is no configuration file" in done.stderr


@pytest.mark.parametrize("options", [[], ["--writable-tmpfs"], ["--share=off"]])
@pytest.mark.parametrize("target", ["data", None])
def test_the_time_zone_of_the_host_covers_the_link_not_its_target(user, sifrun, scratch, fuse_device, target, options):
    """Which is that of UTC in most images."""
    tree = make_tree(scratch / f"zone-{target}-{len(options)}-{options[:1]}")
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/localtime").symlink_to("/zones/UTC")
    (tree / "zones").mkdir()
    if target:
        (tree / "zones/UTC").write_text(target)
    image = squash(tree, tree.with_suffix(".squashfs"))
    done = user.run([sifrun, "exec", *options, image, "sh", "-c", "cat /etc/localtime; echo; ls -A /zones; cat /zones/* 2>/dev/null; test -L /etc/localtime || echo no link"],
                    text=False)
    zone = pathlib.Path("/etc/localtime").read_bytes()
    assert done.stdout == zone + b"\n" + (b"UTC\ndata" if target else b"") + b"no link\n", done.stderr
    own = scratch / "own-zone"
    own.write_text("own")
    done = user.run([sifrun, "exec", *options, "--bind", f"{own}:/etc/localtime", image, "sh", "-c", "cat /etc/localtime /zones/*"])
    assert done.stdout == "own" + (target or ""), done.stderr


def test_root_of_an_overlay_under_any_umask(user, sifrun, busybox_sif, tmp_path):
    line = f"umask 077; mkdir o; {sifrun} exec --overlay o {busybox_sif} stat -c %a /; stat -c %a o/upper"
    assert user.run(["sh", "-c", line], cwd=tmp_path).stdout == "755\n755\n"


def test_folder_as_overlay_read_only(user, sifrun, busybox_sif, tmp_path):
    """What was written to it is there, where it is not to be written to as well as where it cannot be."""
    line = "mkdir o; $P exec --overlay o $I touch /x; $P exec --overlay o:ro $I ls /x; chmod -w o/upper o; $P exec --overlay o $I ls /x; chmod +w o"
    done = user.run(["sh", "-c", line], cwd=tmp_path, env={"P": str(sifrun), "I": str(busybox_sif)})
    assert done.stdout == "/x\n/x\n" and "read-only" in done.stderr, done.stderr


def test_root_over_an_overlay(root, sifrun, image, tmp_path):
    """Root installs programs and gives files to others in what takes changes, and nowhere else."""
    script = "grep CapEff /proc/self/status | tr -d '\\t'; : >/f && chown 5:6 /f && stat -c %u:%g /f"
    (tmp_path / "o").mkdir()
    done = root.run([sifrun, "exec", "--overlay", "o", image, "sh", "-c", script], cwd=tmp_path)
    assert done.stdout.endswith("5:6\n") and "CapEff:0000000000000000" not in done.stdout, done.stderr
    assert (tmp_path / "o/upper/f").stat().st_uid == 5
    assert root.run([sifrun, "exec", "--overlay", "o:ro", image, "sh", "-c", script], cwd=tmp_path).stdout == "CapEff:0000000000000000\n"


def test_folder_on_noexec(root, sifrun, busybox_tree, tmp_path):
    """Where programs may not be executed those of an image may, as they may of an image file there; one that is written to stays what it is."""
    line = f"""mount -t tmpfs -o noexec none {tmp_path} && cp -a {busybox_tree} {tmp_path}/box && cd {tmp_path}
        for options in '' '--writable-tmpfs' '--contain'; do {sifrun} exec $options box echo runs; done; {sifrun} exec --writable box echo runs"""
    done = root.run(["unshare", "-m", "sh", "-c", line])
    assert done.stdout == "runs\n" * 3 and "mounted noexec" in done.stderr, done.stderr


def test_option_in_place_of_a_program(identity, sifrun, busybox_sif):
    """An image with CMD alone takes the first word for its program, whatever it looks like."""
    for word in ("--help", "-x", "-"):
        done = identity.run([sifrun, "run", busybox_sif, word])
        assert done.returncode != 0 and "invalid option" not in done.stderr, done.stderr
    done = identity.run([sifrun, "run", busybox_sif, "--help"])
    assert (done.returncode, done.stdout, done.stderr) == (255, "", 'FATAL:   "--help": executable file not found in $PATH\n')


# For images without it.
HOST_BASH = [f"--bind={path}" for path in ("/lib/x86_64-linux-gnu", "/lib64", "/usr/lib", "/bin/bash") if os.path.exists(path)]
ENVIRONMENT_SCRIPTS = {
    "streams of its own": ("exec >/dev/null 2>&1 </dev/null; export A=1", "1 start"),
    "another folder": ("cd /bin && export A=$PWD", "/bin start"),
    "no home": ("unset HOME; export A=${HOME-none}", "none start"),
    "a file": ("export A=$(</srv/text)", "of a file start"),
    "what only bash can": ("declare -A map=([x]=of\\ bash); printf -v A %s \"${map[x]}\"; export A; cd /", "of bash start"),
    "a background job of bash": ("declare -A m; sleep 5 >/dev/null 2>&1 & export A=job", "job start"),
    "variables of another": ("declare -A m; readonly R=1; export R A=$R; unset SHLVL", "1 start"),
    "read-only path": ("export PATH=/bin; readonly PATH; export A=$(cat /srv/text)", "of a file start"),
    "a background job": ("sleep 5 >/dev/null 2>&1 & export A=job", "job start"),
}


@pytest.mark.parametrize("name", ENVIRONMENT_SCRIPTS)
def test_environment_script(name, sh, tmp_path):
    """Of an image whose /bin/bash is the host's: what the interpreter leaves to that."""
    script, expected = ENVIRONMENT_SCRIPTS[name]
    (tmp_path / "script").write_text(script + "\n")
    (tmp_path / "text").write_text("of a file\n")
    (tmp_path / "start").write_text("start\n")
    binds = [f"--bind={tmp_path}/script:/.singularity.d/env/95-script.sh", f"--bind={tmp_path}/text:/srv/text", *HOST_BASH]
    assert sh('echo "$A" $(cat start); test -n "$HOME" && test "$PWD" = "$(pwd)" || echo lost', *binds) == expected + "\n"


def test_image_of_a_wrong_label(user, sifrun, sifconv, fuse_device, tmp_path):
    """The architecture that its configuration names counts, unless the image's shell is of this one."""
    foreign = {"x86_64": "arm64", "aarch64": "amd64"}[os.uname().machine]
    for name, layers in (("shell", images.busybox_layers()), ("file", [one_file_layer()])):
        images.write_docker20(tmp_path / f"{name}.tar", layers, architecture=foreign)
        assert user.run([sifconv, f"{name}.tar"], cwd=tmp_path).returncode == 0
    assert user.run([sifrun, "exec", "shell.sif", "echo", "runs"], cwd=tmp_path).stdout == "runs\n"
    done = user.run([sifrun, "exec", "file.sif", "echo", "runs"], cwd=tmp_path)
    assert done.returncode == 255 and f"is for {foreign}" in done.stderr, done.stderr


def test_as_process_1(user, sifrun, image):
    """Of a container of another kind: signals reach the program, and orphans are reaped."""
    def inside(script):
        return user.run(["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c", script], timeout=60)
    begun = time.monotonic()
    assert inside(f"(sleep 1; kill -TERM 1) & exec {sifrun} exec {image} sleep 50").returncode == 143
    assert time.monotonic() - begun < 30
    assert inside(f"exec {sifrun} exec {image} sh -c 'kill -KILL $$'").returncode == 137
    assert inside(f"exec {sifrun} exec {image} sh -c 'exit 7'").returncode == 7
    script = "(sleep 0.1 & ) ; (sleep 0.1 & ); sleep 1; grep -l ^State:.Z /proc/[0-9]*/status; echo done"
    assert inside(f"exec {sifrun} exec {image} sh -c '{script}'").stdout == "done\n"


def test_value_that_is_no_shell_text(sh):
    assert sh('echo "$A"', "--env", "A=a\\") == "a\\\n"


@pytest.mark.parametrize("language", ["", "declare -A only_bash; "])
def test_environment_script_that_ends(language, sh, tmp_path):
    """The program is not started without what the script was to prepare."""
    (tmp_path / "script").write_text(language + "export A=1; exit 3\n")
    done = sh("echo started", f"--bind={tmp_path}/script:/.singularity.d/env/95-script.sh", *HOST_BASH, check=False)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr


@pytest.mark.parametrize("script", ["sleep 100", "x=$(sleep 100)", "sleep 100 & wait"])
def test_environment_script_that_waits(script, sh, tmp_path):
    """What it waits for ends with it: who reads our output would wait for that, too."""
    (tmp_path / "script").write_text(script + "\n")
    begun = time.monotonic()
    done = sh("echo started", "--runscript-timeout", "1s", f"--bind={tmp_path}/script:/.singularity.d/env/95-script.sh", check=False)
    assert done.returncode == 255 and "take too long" in done.stderr and time.monotonic() - begun < 60


@pytest.mark.parametrize("script, expected", [("read -u 0 x </dev/null; export A=1", "1\n"), ("f() { local -n r=$1; r=5; }; f A", "\n"), ("export A=1; cat <(echo x) | (", "\n")], ids=["run by sh", "ends sh", "no text for sh either"])
def test_environment_script_for_bash_without_bash(script, expected, sh, tmp_path):
    (tmp_path / "script").write_text(script + "\n")
    assert sh('echo "$A"', f"--bind={tmp_path}/script:/.singularity.d/env/95-script.sh") == expected


def test_names_that_are_too_long(user, sifrun, busybox_sif, fuse_device):
    """FUSE passes on what other file systems do not."""
    for length, said in ((255, "No such file"), (256, "File name too long"), (1024, "File name too long")):
        assert said in user.run([sifrun, "exec", busybox_sif, "ls", "/" + "x" * length]).stderr
