# SPDX-License-Identifier: Apache-2.0
"""Fixtures for end-to-end and interop tests.

    sifconv, sifrun   paths of the programs under test, copied alone to a place that everyone can reach ($SIFCONV_BUILD, build/release)
    user, root        who runs a command: user.run([...]), user.popen([...]); a clean environment, an own home
    identity          both in turn; as_user is user.run
    tmp_path          a folder that both can reach, owned by the ordinary user
    busybox_tar       a small `docker save` archive made without an engine; busybox_sif is its image
    docker, user_tar  a real engine; an archive that it built and saved as a researcher would
    apptainer         Apptainer in a Debian tree, run as an ordinary user; apptainer_ext3: with what it needs for ext3 images

A session as root first gets its own mount namespace: /dev/fuse is opened to users and the ordinary user is put in passwd there,
and nothing of that remains on the machine.
"""
import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from beds import STRICT, UNDER, Missing, debian_tree, images, kernel  # noqa: E402
from beds.docker import Docker  # noqa: E402
from beds.podman import Podman  # noqa: E402
from beds.registry import Registry  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
USER_ID = 1000
CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def absent(reason):
    """Skips loudly what this machine cannot show; where skips are not allowed (CI) it is a failure."""
    if STRICT:
        pytest.fail(f"missing on this machine, and SIFCONV_STRICT=1 allows no skip: {reason}", pytrace=False)
    pytest.skip(str(reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A peer that is Missing is a skip. Where skips are not allowed each is a failure, but of what SIFCONV_PEERS=no leaves out."""
    kinds = (Missing, pytest.skip.Exception) if STRICT and not item.get_closest_marker("skip") else Missing
    if call.excinfo is not None and call.excinfo.errisinstance(kinds):
        try:
            absent(call.excinfo.value)
        except BaseException:
            call.excinfo = pytest.ExceptionInfo.from_current()
    yield


PEER_FIXTURES = {"docker", "user_tar", "podman", "apptainer", "apptainer_ext3", "debian", "new_registry"}


def pytest_collection_modifyitems(items):
    """SIFCONV_PEERS=no leaves out what needs another container program or a downloaded tree."""
    if os.environ.get("SIFCONV_PEERS") != "no":
        return
    for item in items:
        if PEER_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.skip(reason="needs a peer: scripts/test --all"))


def pytest_runtest_logreport(report):
    """One line per case for scripts/test to add up: outcome, test, and why it was skipped."""
    if "SIFCONV_REPORT" not in os.environ or (report.when != "call" and report.passed):
        return
    reason = f": {report.longrepr[2].removeprefix('Skipped: ')}" if report.skipped else ""
    with open(os.environ["SIFCONV_REPORT"], "a") as out:
        out.write(f"{report.outcome} {report.nodeid}{reason}\n")


class Identity:
    """An account to run commands as, with nothing of the test session's environment."""

    def __init__(self, name, uid, gid, home):
        self.name, self.uid, self.gid, self.home = name, uid, gid, pathlib.Path(home)

    def command(self, argv, env=None):
        environment = {"PATH": CLEAN_PATH, "HOME": self.home, "LANG": "C.UTF-8", **(env or {})}
        switch = []
        if os.geteuid() == 0:
            switch = ["setpriv", "--reuid", self.uid, "--regid", self.gid, "--clear-groups"]
        return list(map(os.fsencode, map(str, [*UNDER, *switch, "env", "-i", *(f"{k}={v}" for k, v in environment.items()), *argv])))

    def popen(self, argv, env=None, **options):
        options.setdefault("cwd", self.home)
        return subprocess.Popen(self.command(argv, env), text=options.pop("text", True), **options)

    def run(self, argv, env=None, timeout=120, **options):
        """A CompletedProcess with text (names that are no UTF-8 as surrogates), stdin empty unless given."""
        options.setdefault("cwd", self.home)
        options.setdefault("capture_output", True)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        if options.setdefault("text", True):
            options.setdefault("errors", "surrogateescape")
        return subprocess.run(self.command(argv, env), timeout=timeout, **options)

    def __repr__(self):
        return self.name


def _isolate(scratch):
    """A mount namespace of our own with a usable /dev/fuse and a passwd entry for the ordinary user."""
    kernel.private_mounts()
    kernel.open_fuse_to_users()
    home = scratch / "home"
    home.mkdir()
    os.chown(home, USER_ID, USER_ID)
    for name, line in (("passwd", f"user:x:{USER_ID}:{USER_ID}::{home}:/bin/sh"), ("group", f"user:x:{USER_ID}:")):
        lines = [old for old in pathlib.Path("/etc", name).read_text().splitlines()
                 if old.split(":")[2] != str(USER_ID) and not old.startswith("user:")]
        ours = scratch / name
        ours.write_text("\n".join([*lines, line, ""]))
        kernel.bind(ours, f"/etc/{name}")
    return home


@pytest.fixture(scope="session")
def scratch():
    """The session's folder; under /var/tmp, since images in the size of a gigabyte may not fit a /tmp in memory."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sifconv-test-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    subprocess.run(["chmod", "-R", "u+rwX", str(path)], capture_output=True)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def unbound():
    """A folder that no default mount shows: neither in the home nor in a folder for temporary files."""
    if not os.access("/srv", os.W_OK):
        absent("/srv is not there or not open to this user")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sifconv-test-", dir="/srv"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def isolated(scratch):
    if os.geteuid() != 0:
        return None
    return _isolate(scratch)


@pytest.fixture(scope="session")
def user(isolated):
    if os.geteuid() == 0:
        return Identity("user", USER_ID, USER_ID, isolated)
    own = pwd.getpwuid(os.geteuid())
    return Identity("user", own.pw_uid, own.pw_gid, own.pw_dir)


@pytest.fixture(scope="session")
def root(isolated):
    if os.geteuid() != 0:
        pytest.skip("this one runs commands as root, and the tests run as an ordinary user")
    return Identity("root", 0, 0, "/root")


@pytest.fixture(scope="session", params=["user", "root"])
def identity(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def as_user(user):
    return user.run


@pytest.fixture
def tmp_path(scratch, user, request):
    path = pathlib.Path(tempfile.mkdtemp(prefix="t-", dir=scratch))
    path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)
    return path


def _program(name, scratch):
    source = pathlib.Path(os.environ.get("SIFCONV_BUILD") or REPOSITORY / "build/release") / "bin" / name
    if not source.exists():
        pytest.fail(f"{source} is not built (scripts/build), or SIFCONV_BUILD names another folder", pytrace=False)
    folder = scratch / "bin"
    folder.mkdir(exist_ok=True)
    shutil.copy(source, folder / name)
    return folder / name


@pytest.fixture(scope="session")
def programs(scratch):
    """Both programs side by side, as they are installed: sifrun calls the sifconv beside it."""
    return {name: _program(name, scratch) for name in ("sifconv", "sifrun")}


@pytest.fixture(scope="session")
def old_kernel(scratch):
    """tests/probes/old_kernel.cc"""
    return _program("old_kernel", scratch)


@pytest.fixture(scope="session")
def sifconv(programs):
    return programs["sifconv"]


@pytest.fixture(scope="session")
def sifrun(programs):
    return programs["sifrun"]


@pytest.fixture(scope="session")
def fuse_device(user):
    """/dev/fuse as the ordinary user can open it."""
    if user.run(["sh", "-c", ": <>/dev/fuse"]).returncode != 0:
        absent("/dev/fuse is not there or not open to ordinary users")
    return "/dev/fuse"


@pytest.fixture(scope="session")
def busybox_tar(scratch):
    return images.write_docker20(scratch / "busybox.tar", images.busybox_layers(), "bed/busybox:1.0", **images.BUSYBOX_CONFIG)


def convert(sifconv, user, source, target):
    """Converts as the ordinary user and insists on success."""
    done = user.run([sifconv, "--quiet", source, target], cwd=target.parent, timeout=600)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def sif_folder(scratch, user):
    folder = scratch / "sif"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, user.uid, user.gid)
    return folder


@pytest.fixture(scope="session")
def busybox_sif(sifconv, user, busybox_tar, sif_folder):
    return convert(sifconv, user, busybox_tar, sif_folder / "busybox.sif")


@pytest.fixture(scope="session")
def docker():
    with Docker() as engine:
        yield engine


@pytest.fixture
def podman():
    with Podman() as engine:
        yield engine


@pytest.fixture(scope="session")
def user_tar(request, scratch):
    path = scratch / "user.tar"
    path.touch()
    archive = images.user_archive(lambda: contextlib.nullcontext(request.getfixturevalue("docker")))
    kernel.bind(archive, path)  # the cache is in a home that the ordinary user may not enter
    yield path
    kernel.unmount(path)


@pytest.fixture(scope="session")
def user_sif(sifconv, user, user_tar, sif_folder):
    return convert(sifconv, user, user_tar, sif_folder / "user.sif")


class Apptainer:
    """`apptainer` as an ordinary user in a Debian tree; the folder `shared` has the same name inside and out.

    The tree is everyone's, so each session has a home and a /tmp of its own there.
    """

    def __init__(self, tree, shared, name="apptainer"):
        self.tree, self.shared, self.own = tree, shared, [shared]
        for place, target, mode in (("home", "/home/user", 0o755), ("tmp", "/tmp", 0o1777)):
            folder = shared / f"{name}-{place}"
            folder.mkdir()
            folder.chmod(mode)
            os.chown(folder, USER_ID, USER_ID)
            self.own.append(f"{folder}:{target}")

    def command(self, argv, binds=(), **options):
        options.setdefault("cwd", self.shared)
        return self.tree.run(argv, binds=[*self.own, *binds], **options)

    def prepared(self, script, argv, cwd, **options):
        """A command after a shell script, whose arguments its words are; nothing of the script is in its environment."""
        script += ' || exit 99\ncd "$0" && exec env -u PWD -u OLDPWD "$@"'
        done = self.command(["sh", "-c", script, cwd, *argv], cwd="/", **options)
        assert done.returncode != 99, done.stderr
        return done

    def run(self, *arguments, **options):
        return self.command(["apptainer", "--silent", *arguments], **options)

    def siftool(self, *arguments, **options):
        return self.command(["siftool", *arguments], **options)


@pytest.fixture(scope="session")
def debian():
    """Makes trees: debian("bullseye")."""
    return debian_tree.debian


@pytest.fixture(scope="session")
def apptainer(scratch):
    return Apptainer(debian_tree.debian("sid", debian_tree.APPTAINER_PACKAGES), scratch)


@pytest.fixture(scope="session")
def apptainer_ext3(scratch):
    return Apptainer(debian_tree.apptainer_ext3(), scratch, "apptainer-ext3")


@pytest.fixture(scope="session")
def scripted_sif(apptainer, sifconv, user, scratch, sif_folder):
    """Built by Apptainer from a definition file (beside it) with all sections; nothing in it that an ordinary user cannot unpack."""
    archive = images.write_docker20(scratch / "plain.tar", [images.busybox_layer("hostname", "kill", "ps").bytes()],
                                    Env=["PATH=/bin", "GREETING=hello"], Cmd=["sh"])
    base = convert(sifconv, user, archive, sif_folder / "plain.sif")
    image = sif_folder / "scripted.sif"
    image.with_suffix(".def").write_text(images.SCRIPTED.format(base=base))
    done = apptainer.run("build", image, image.with_suffix(".def"), timeout=600)
    assert done.returncode == 0, done.stderr
    return image


@pytest.fixture(scope="session")
def new_registry():
    """Makes registries: `with new_registry(folder, tls=True, password=True) as server`."""
    return Registry


@pytest.fixture(scope="session")
def registry(new_registry, scratch, busybox_tar):
    """One with TLS and a password, which holds an image."""
    with new_registry(scratch / "registry") as server:
        server.push(f"docker-archive:{busybox_tar}", "bed/busybox:1.0")
        yield server
