# SPDX-License-Identifier: Apache-2.0
"""build, pull, and images given to exec by an address: Apptainer's command lines, files, messages and exit codes."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import pytest

from beds.images import write_docker20
from beds.registry import PASSWORD, USER


@pytest.fixture
def call(user, sifrun, tmp_path):
    """sifrun with an own home, so that its cache is empty."""
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", user.uid, user.gid) if os.geteuid() == 0 else None

    def run(*arguments, env=None, **options):
        return user.run([sifrun, *arguments], cwd=tmp_path, env={"HOME": tmp_path / "home", **(env or {})}, **options)

    return run


def cached(tmp_path):
    folder = tmp_path / "home/.apptainer/cache/oci-tmp"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_build(call, busybox_tar, tmp_path):
    done = call("build", "x.sif", f"docker-archive:{busybox_tar}")
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[0], lines[-1]) == (0, "INFO:    Starting build...", "INFO:    Build complete: x.sif"), done.stderr
    assert call("exec", "x.sif", "cat", "/srv/replaced").stdout == "new\n"
    old = (tmp_path / "x.sif").read_bytes()
    again = call("build", "x.sif", f"docker-archive://{busybox_tar}")
    assert (again.returncode, again.stderr) == (
        255, "FATAL:   While checking build target: build target 'x.sif' already exists. Use --force if you want to overwrite it\n")
    assert call("build", "-F", "--fakeroot", "--disable-cache", "--notest", "x.sif", f"docker-archive:{busybox_tar}").returncode == 0
    assert (tmp_path / "x.sif").read_bytes() == old
    assert call("--quiet", "build", "-F", "x.sif", f"docker-archive:{busybox_tar}").stderr == ""
    assert call("build", "again.sif", "x.sif").returncode == 0
    assert call("exec", "again.sif", "cat", "/srv/replaced").stdout == "new\n"


def test_words_as_apptainer_takes_them(call, busybox_tar, tmp_path):
    """docker:NAME without slashes; a slash behind the name of a file to be."""
    done = call("build", "x.sif", "docker:localhost:1/some/image:1")
    assert done.returncode == 255 and "cannot connect to localhost port 1" in done.stderr, done.stderr
    assert call("build", "new/", f"docker-archive:{busybox_tar}").returncode == 0
    assert (tmp_path / "new").is_file()
    (tmp_path / "folder").mkdir()
    assert "it is a folder" in call("build", "--force", "folder/", f"docker-archive:{busybox_tar}").stderr


def test_build_errors(call, busybox_tar, tmp_path):
    (tmp_path / "recipe").write_text("# a comment\nBootStrap: docker-archive\nFrom: absent\n\n%post\n  true\n")
    for arguments, code, said in (
            (["x.sif"], 1, "accepts 2 arg(s), received 1"), (["x.sif", f"docker-archive:{busybox_tar}", "--force"], 1, "received 3"),
            (["--nonsense", "x.sif", "y"], 1, "nonsense"), (["x.sif", "absent"], 255, "Unable to build from absent"),
            (["x.sif", "docker-archive:/no/such.tar"], 255, "/no/such.tar"), (["x.sif", "recipe"], 255, "cannot open absent: No such file or directory"),
            (["x.sif", "library://alpine"], 255, "library:// is not supported"), (["-u", "x.sif", "y"], 255, "--update goes with --sandbox"), (["--encrypt", "x.sif", "y"], 255, "--encrypt is not supported")):
        done = call("build", *arguments)
        assert done.returncode == code and said in done.stderr, (arguments, done.stderr)
    assert not (tmp_path / "x.sif").exists()


def test_sandbox(call, busybox_tar, tmp_path):
    done = call("build", "--sandbox", "box", f"docker-archive:{busybox_tar}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "box/srv/hard").stat().st_ino == (tmp_path / "box/srv/replaced").stat().st_ino
    assert os.readlink(tmp_path / "box/srv/link") == "replaced" and not (tmp_path / "box/srv/gone").exists()
    assert stat.S_IMODE((tmp_path / "box/tmp").stat().st_mode) == 0o1777 and (tmp_path / "box/srv/replaced").stat().st_mtime == 1700000000
    assert call("exec", "box", "cat", "/srv/replaced").stdout == "new\n"
    again = call("build", "-s", "box", f"docker-archive:{busybox_tar}")
    assert again.returncode == 255 and "build target 'box' already exists" in again.stderr, again.stderr
    (tmp_path / "box/mine").touch()
    assert call("build", "-F", "-s", "box", f"docker-archive:{busybox_tar}").returncode == 0 and not (tmp_path / "box/mine").exists()
    assert call("build", "box.sif", "box/").returncode == 0
    assert call("exec", "box.sif", "cat", "/srv/replaced").stdout == "new\n"
    assert call("build", "-s", "second", "box.sif").returncode == 0
    assert subprocess.run(["diff", "-r", "--no-dereference", tmp_path / "box", tmp_path / "second"]).returncode == 0
    assert not list(tmp_path.glob(".sandbox*"))


def test_hard_link_into_a_closed_folder(call, user, tmp_path):
    """Nobody but root can make the second name any more: it is a copy."""
    from beds.images import Layer
    layer = Layer().folder("a", mode=0o400).file("a/f", "text").folder("b").hardlink("b/g", "a/f").bytes()
    done = call("build", "--sandbox", "box", write_docker20(tmp_path / "in.tar", [layer]))
    assert done.returncode == 0 and (tmp_path / "box/b/g").read_text() == "text", done.stderr


def test_sandbox_of_root_is_exact(root, sifconv, busybox_tar, tmp_path):
    done = root.run([sifconv, "--sandbox", busybox_tar, tmp_path / "box"])
    assert done.returncode == 0, done.stderr
    owner = (tmp_path / "box/srv/owned").stat()
    assert (owner.st_uid, owner.st_gid) == (1234, 70000)


def test_fix_perms(call, user, tmp_path):
    from beds.images import Layer
    layer = Layer().folder("shut", mode=0).file("shut/in", "x", mode=0).bytes()
    source = write_docker20(tmp_path / "in.tar", [layer])
    assert call("build", "-s", "plain", f"docker-archive:{source}").returncode == 0
    assert stat.S_IMODE((tmp_path / "plain/shut").stat().st_mode) == 0
    assert call("build", "-s", "--fix-perms", "open", f"docker-archive:{source}").returncode == 0
    assert user.run(["cat", tmp_path / "open/shut/in"]).stdout == "x"
    assert call("build", "-F", "-s", "plain", f"docker-archive:{source}").returncode == 0  # what cannot be entered is replaced, too


def test_failed_sandbox_leaves_nothing(call, busybox_tar, tmp_path):
    data = bytearray(pathlib.Path(busybox_tar).read_bytes())
    data[data.index(b"new\n")] = ord("N")
    (tmp_path / "bad.tar").write_bytes(data)
    done = call("build", "-s", "box", "docker-archive:bad.tar")
    assert done.returncode == 255 and "is corrupt" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "home"]


def test_pull(call, busybox_tar, tmp_path):
    shutil.copy(busybox_tar, tmp_path / "busybox.tar")
    source = "docker-archive:busybox.tar"
    assert call("pull", source).returncode == 0 and (tmp_path / "busybox.tar_latest.sif").exists()
    done = call("pull", source)
    assert done.returncode == 255 and 'Image file already exists: "busybox.tar_latest.sif" - will not overwrite' in done.stderr
    assert call("pull", "--force", source).returncode == 0
    assert call("pull", "--name", "x.simg", source).returncode == 0 and (tmp_path / "x.simg").exists()
    (tmp_path / "home/out").mkdir()
    (tmp_path / "home/out").chmod(0o777)
    assert call("pull", "--dir", "home/out", "y.sif", source).returncode == 0 and (tmp_path / "home/out/y.sif").exists()
    assert call("pull", "z.sif", source, env={"SINGULARITY_PULLFOLDER": "home/out"}).returncode == 0 and (tmp_path / "home/out/z.sif").exists()
    assert (call("pull").returncode, call("pull", "a", "b", "c").returncode) == (1, 1)
    done = call("pull", "nothing")
    assert (done.returncode, done.stderr) == (255, "FATAL:   No transport type URI supplied\n")


def test_exec_of_an_address_is_converted_once(call, busybox_tar, tmp_path):
    image = f"docker-archive:{busybox_tar}"
    first, second = (call("exec", image, "cat", "/srv/replaced") for _ in range(2))
    assert (first.returncode, first.stdout) == (second.returncode, second.stdout) == (0, "new\n"), first.stderr
    assert "Converting OCI blobs to SIF format" in first.stderr and "Using cached SIF image" not in first.stderr
    assert "INFO:    Using cached SIF image" in second.stderr
    assert len(cached(tmp_path)) == 1 and cached(tmp_path)[0].stat().st_mode & 0o7777 == 0o755
    assert call("--quiet", "run", f"docker-archive://{busybox_tar}").stdout == "hello world\n" and len(cached(tmp_path)) == 1
    failed = call("exec", "docker-archive:/absent", "true")
    assert failed.returncode == 255 and failed.stderr.count("FATAL:") == 1
    elsewhere = call("exec", image, "true", env={"APPTAINER_CACHEDIR": tmp_path / "home/other"})
    assert elsewhere.returncode == 0 and len(list((tmp_path / "home/other/cache/oci-tmp").iterdir())) == 1


def test_changed_archive_is_converted_again(call, busybox_tar, tmp_path):
    shutil.copy(busybox_tar, tmp_path / "a.tar")
    for _ in range(2):
        assert call("exec", "docker-archive:a.tar", "true").returncode == 0
        os.utime(tmp_path / "a.tar", (1, 1))
    assert len(cached(tmp_path)) == 2


def test_disable_cache(call, busybox_tar, tmp_path):
    done = call("exec", "--disable-cache", "--tmpdir", tmp_path / "home", f"docker-archive:{busybox_tar}", "cat", "/srv/replaced")
    assert (done.returncode, done.stdout) == (0, "new\n"), done.stderr
    assert not cached(tmp_path) and not list((tmp_path / "home").glob("sifrun-*"))


def test_concurrent_starts_convert_once(user, sifrun, busybox_tar, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    runs = [user.popen([sifrun, "exec", f"docker-archive:{busybox_tar}", "cat", "/srv/replaced"], env={"HOME": home}, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) for _ in range(8)]
    results = [(run.communicate(timeout=120), run.returncode) for run in runs]
    assert all(code == 0 and out == "new\n" for (out, _), code in results), results
    assert sum("Converting" in err for (_, err), _ in results) == 1
    assert len(cached(tmp_path)) == 1


@pytest.mark.parametrize("verb", ["build", "pull"])
def test_several_make_the_same_file(verb, user, sifrun, busybox_tar, tmp_path):
    """As the tasks of a job array that all fetch their image first."""
    archives = [tmp_path / f"archive{number}" for number in range(3)]
    for archive in archives:
        os.mkfifo(archive)
        archive.chmod(0o666)
    started = [user.popen([sifrun, "--quiet", verb, "x.sif", f"docker-archive:{archive}"], cwd=tmp_path, stderr=subprocess.PIPE)
               for archive in archives]
    with contextlib.ExitStack() as stack:  # when all are open, all have found that there is no such file yet
        for archive in [stack.enter_context(open(path, "wb")) for path in archives]:
            archive.write(busybox_tar.read_bytes())
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 3
    for archive in archives:
        archive.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["x.sif"]
    assert user.run([sifrun, "exec", tmp_path / "x.sif", "cat", "/srv/replaced"]).stdout == "new\n"


@pytest.mark.parametrize("verb", ["build", "pull"])
def test_a_folder_made_meanwhile_is_kept(verb, user, sifrun, busybox_tar, tmp_path):
    archive = tmp_path / "archive"
    os.mkfifo(archive)
    os.chown(archive, user.uid, user.gid) if os.geteuid() == 0 else None
    process = user.popen([sifrun, "--quiet", verb, "--sandbox", "box", f"docker-archive:{archive}"], cwd=tmp_path, stderr=subprocess.PIPE)
    with open(archive, "wb") as stream:  # opened by now, so the name has been looked at
        (tmp_path / "box").mkdir()
        (tmp_path / "box/mine").touch()
        stream.write(busybox_tar.read_bytes())
    assert "cannot write box: " in process.communicate()[1]
    assert process.returncode == 255 and (tmp_path / "box/mine").exists()


def test_registry_end_to_end(call, new_registry, scratch, busybox_tar, tmp_path):
    with new_registry(scratch / "build-registry") as server:
        server.push(f"docker-archive:{busybox_tar}", "bed/busybox:1.0")
        login = {"SSL_CERT_FILE": f"{server.folder}/ca.crt", "SINGULARITY_DOCKER_USERNAME": USER, "SINGULARITY_DOCKER_PASSWORD": PASSWORD}
        uri = f"docker://{server.host}/bed/busybox:1.0"
        assert call("pull", uri, env=login).returncode == 0 and (tmp_path / "busybox_1.0.sif").exists()
        for said in ("Converting OCI blobs", "Using cached SIF image"):
            done = call("exec", uri, "cat", "/srv/replaced", env=login)
            assert (done.returncode, done.stdout) == (0, "new\n") and said in done.stderr, done.stderr
        assert call("build", "b.sif", uri, env=login).returncode == 0


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.name.startswith("sifrun-"))


def engine_that_stops(server):
    """Answers as a Docker engine whose image never comes; gives the connection that waits for it."""
    while True:
        asking = server.accept()[0]
        asking.settimeout(60)
        request = b""
        while b"\r\n\r\n" not in request:
            request += asking.recv(4096)
        if b"/json " not in request:
            asking.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            return asking
        number = b'{"Id":"sha256:%s"}' % (b"0" * 64)
        asking.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(number), number))
        asking.close()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("line", ["build x.sif IMAGE", "build --sandbox x IMAGE", "pull x.sif IMAGE", "exec IMAGE true", "exec --disable-cache IMAGE true", "instance start IMAGE one"])
def test_interrupted(line, name, user, sifrun, tmp_path):
    """Only sifrun gets the signal. It takes sifconv, which waits for the image, with it, and nothing is left."""

    def expect_signals():
        """A test session in the background has some of them ignored, and children inherit that."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        environment = {"HOME": tmp_path, "TMPDIR": tmp_path, "DOCKER_HOST": f"tcp://127.0.0.1:{server.getsockname()[1]}"}
        process = user.popen([sifrun, *line.replace("IMAGE", "docker-daemon:bed/busybox:1.0").split()], cwd=tmp_path, env=environment, preexec_fn=expect_signals)
        waiting = engine_that_stops(server)
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=60) == -getattr(signal, name)
        with contextlib.suppress(ConnectionResetError):
            assert waiting.recv(1) == b""  # sifconv has ended
    assert files_below(tmp_path) == []


def test_an_ignored_signal_does_not_end_it(user, sifrun, busybox_tar, tmp_path):
    """SIGCHLD ignored by the caller neither hides a failure."""
    done = user.run(["sh", "-c", f"trap '' INT CHLD; {sifrun} build x.sif docker-archive:{busybox_tar} && {sifrun} exec x.sif cat /srv/replaced; {sifrun} build y.sif docker-archive:/no/such; echo $?"],
                    cwd=tmp_path)
    assert done.stdout == "new\n255\n", done.stderr


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_cache_that_cannot_be_written(mode, call, user, busybox_tar, tmp_path):
    """The image is converted for this run alone; no file of it stays."""
    home = tmp_path / "home"
    home.chmod(mode)
    try:
        done = call("exec", f"docker-archive:{busybox_tar}", "cat", "/srv/replaced", env={"TMPDIR": tmp_path})
    finally:
        home.chmod(0o755)
    assert (done.returncode, done.stdout) == (0, "new\n"), done.stderr
    assert "WARNING: cannot make the cache folder " in done.stderr and "for this run alone (APPTAINER_CACHEDIR names another place)" in done.stderr
    assert files_below(tmp_path) == []
    (home / ".apptainer").write_text("")
    assert call("exec", f"docker-archive:{busybox_tar}", "true").returncode == 0


def test_output_that_cannot_be_written(user, sifrun, busybox_sif):
    """What is printed and lost is no success."""
    for line in (["--version"], ["--help"], ["exec", "--help"], ["sif", "list", busybox_sif], ["inspect", busybox_sif], ["cache", "list"], ["instance", "list"]):
        done = user.run(["sh", "-c", 'exec "$@" > /dev/full', "sh", sifrun, *line])
        assert done.returncode == 255 and done.stderr.startswith("FATAL:   cannot write to standard output") and done.stderr.count("\n") == 1, (line, done.stderr)


def test_working_directory_that_is_gone(user, sifrun, busybox_tar, tmp_path):
    done = user.run(["sh", "-c", f"mkdir gone; cd gone; rmdir ../gone; {sifrun} build x.sif docker-archive:{busybox_tar}"], cwd=tmp_path)
    assert done.returncode == 255 and done.stderr.endswith("FATAL:   cannot write x.sif: the working directory has been removed\n"), done.stderr


def test_sandbox_in_place_of_a_link(call, busybox_tar, tmp_path):
    """The link goes; what it led to stays as it is, modes included."""
    real = tmp_path / "home/real"
    (real / "shut").mkdir(parents=True)
    (real / "shut/file").write_text("mine")
    (real / "shut").chmod(0o500)
    (tmp_path / "box").symlink_to(real)
    assert call("build", "-F", "-s", "box", f"docker-archive:{busybox_tar}").returncode == 0
    assert (tmp_path / "box/srv/replaced").read_text() == "new\n" and not (tmp_path / "box").is_symlink()
    assert (real / "shut/file").read_text() == "mine" and stat.S_IMODE((real / "shut").stat().st_mode) == 0o500
    assert not list(tmp_path.glob(".sandbox*"))


@pytest.mark.parametrize("source, name", [("a.tar", "a.tar_latest.sif"), ("a.tar:bed/busybox:1.0", "busybox_1.0.sif"), ("./a.tar:bed/busybox", None)])
def test_name_of_what_is_pulled(source, name, call, busybox_tar, tmp_path):
    shutil.copy(busybox_tar, tmp_path / "a.tar")
    done = call("pull", f"docker-archive:{source}")
    assert sorted(path.name for path in tmp_path.glob("*.sif")) == ([name] if name else []), done.stderr
    assert (done.returncode == 0) == (name is not None)


@pytest.mark.parametrize("line", ["build small/x.sif IMAGE", "build --sandbox small/x IMAGE", "pull --dir small x.sif IMAGE", "exec IMAGE true", "exec --disable-cache IMAGE true", "instance start IMAGE one"])
def test_full_disk(line, root, user, sifrun, busybox_tar, tmp_path):
    """One line, and nothing is left there."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=256k,uid={user.uid},mode=755", "none", small], check=True)
    try:
        environment = {"HOME": tmp_path / "small", "TMPDIR": tmp_path / "small"}
        done = user.run([sifrun, "--quiet", *line.replace("IMAGE", f"docker-archive:{busybox_tar}").split()], cwd=tmp_path, env=environment)
        assert done.returncode == 255 and done.stderr.startswith("FATAL:   ") and done.stderr.splitlines()[0].endswith("No space left on device"), done.stderr
        assert files_below(small) == []
    finally:
        subprocess.run(["umount", small], check=True)
