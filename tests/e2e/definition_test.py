# SPDX-License-Identifier: Apache-2.0
"""build from definition files: every section, stages, arguments, sandboxes, and what is left when something goes wrong."""
import contextlib
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import time

import pytest

from beds.images import Layer, busybox_layer, write_docker20
from beds.registry import PASSWORD, USER
from beds.servers import wait_until

HEADER = "Bootstrap: docker-archive\nFrom: base.tar\n"


class Bench:
    """A folder with a base image, and a TMPDIR of its own in which nothing may stay."""

    def __init__(self, identity, sifrun, folder):
        self.identity, self.sifrun, self.folder = identity, sifrun, folder
        for name in ("temporary", "home"):
            (folder / name).mkdir()
            os.chmod(folder / name, 0o777)
        write_docker20(folder / "base.tar", [busybox_layer("hostname", "kill", "ps", "chown", "mkdir", "rm", "ln", "chmod", "find", "sort", "tty", "mknod", "umask", "umount", "mv").bytes()],
                       "bed/base:1", Env=["PATH=/bin", "GREETING=hello"], Cmd=["sh"], Labels={"from": "base"})

    def environment(self, more=None):
        return {"HOME": self.folder / "home", "TMPDIR": self.folder / "temporary", **(more or {})}

    def call(self, *arguments, env=None, **options):
        return self.identity.run([self.sifrun, *arguments], cwd=self.folder, env=self.environment(env), **options)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def build(self, text, *options, target="x.sif", **more):
        return self.call("build", *options, target, self.write("recipe", text), **more)

    def made(self, text, *options, **more):
        done = self.build(text, *options, **more)
        assert done.returncode == 0, done.stderr
        assert self.left() == []
        return done

    def output(self, *command, image="x.sif"):
        done = self.call("exec", image, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def left(self):
        return [path.name for path in (self.folder / "temporary").iterdir()] + [path.name for path in self.folder.glob(".sandbox*")]


@pytest.fixture
def bench(user, sifrun, tmp_path, fuse_device):
    return Bench(user, sifrun, tmp_path)


@pytest.fixture
def any_bench(identity, sifrun, tmp_path, fuse_device):
    """The same as the ordinary user and as root."""
    return Bench(identity, sifrun, tmp_path)


ALL_SECTIONS = HEADER + r"""
%pre
    echo "pre in $PWD" > pre.log
%setup
    echo "$HOST_VARIABLE" > "$APPTAINER_ROOTFS/setup"
    [ "$APPTAINER_ROOTFS" = "$SINGULARITY_ROOTFS" ]
%files
    one.txt
    one.txt /opt/
    "two words" /opt/second
    tree /opt/tree
    tree /opt/tree
    g?ob*.txt /globbed/
%post
    [ -e /opt/one.txt ]
    echo "export ADDED=late" >> $APPTAINER_ENVIRONMENT
    echo "Post label" >> $SINGULARITY_LABELS
    echo here > /made
    chown 5:6 /made
%environment
    export FOO=bar
%runscript
    echo "ran $FOO $ADDED $*"
%startscript
    echo started
%labels
    Author me and you
%help
    Help text
%test
    [ "$FOO" = bar ] && [ "$(cat /made)" = here ]
"""


def test_all_sections(any_bench):
    for name in ("one.txt", "two words", "glob1.txt", "glob2.txt"):
        any_bench.write(name, name + "\n")
    (any_bench.folder / "tree/below").mkdir(parents=True)
    any_bench.write("tree/below/file", "deep\n")
    (any_bench.folder / "tree/link").symlink_to("below/file")
    (any_bench.folder / "tree/below/file").chmod(0o4755)
    done = any_bench.made(ALL_SECTIONS, env={"HOST_VARIABLE": "from outside"})
    said = [line.removeprefix("INFO:").strip() for line in done.stderr.splitlines() if line.startswith("INFO:")]
    expected = ["Starting build...", "Running pre scriptlet", "Running setup scriptlet", "Copying one.txt to", "Copying one.txt to /opt/", "Copying two words to /opt/second",
                "Copying tree to /opt/tree", "Copying tree to /opt/tree", "Copying g?ob*.txt to /globbed/", "Running post scriptlet", "Adding help info", "Adding labels",
                "Adding environment to container", "Adding startscript", "Adding runscript", "Adding testscript", "Running testscript", "Creating SIF file...",
                "Build complete: x.sif"]
    assert [line for line in said if line in expected] == expected
    assert (any_bench.folder / "pre.log").read_text() == f"pre in {any_bench.folder}\n"
    assert any_bench.output("cat", "/setup", "/one.txt", "/opt/one.txt", "/opt/second", "/globbed/glob1.txt", "/globbed/glob2.txt", "/opt/tree/tree/below/file") == (
        "from outside\none.txt\none.txt\ntwo words\nglob1.txt\nglob2.txt\ndeep\n")
    assert any_bench.output("stat", "-c", "%a %F", "/opt/tree/link", "/opt/tree/below/file") == "755 regular file\n755 regular file\n"
    assert any_bench.output("sh", "-c", "echo $FOO $ADDED $GREETING; ls -a /") .splitlines()[0] == "bar late hello"
    names = any_bench.output("ls", "-a", "/").split()
    assert not {".post.script", ".build.labels", ".build.apt.conf"} & set(names)
    assert any_bench.call("run", "x.sif", "a", "b").stdout == "ran bar late a b\n"
    assert any_bench.call("test", "x.sif").returncode == 0
    assert any_bench.call("run-help", "x.sif").stdout.strip() == "Help text"
    assert any_bench.call("inspect", "-d", "x.sif").stdout.strip() == ALL_SECTIONS.strip()
    labels = json.loads(any_bench.call("inspect", "--json", "x.sif").stdout)["data"]["attributes"]["labels"]
    assert (labels["Author"], labels["Post"], labels["from"], labels["org.label-schema.usage.singularity.deffile.from"]) == ("me and you", "label", "base", "base.tar")


def test_no_id_but_the_owners(bench):
    """Where only root's own id is to be had, giving files away seems to work, and so do device nodes and other users."""
    bench.made(HEADER + "%post\n id -u; touch /f; chown 5:6 /f; mknod /null c 1 3; mknod /fifo p; cat /proc/self/uid_map\n", "--ignore-subuid")
    assert bench.output("sh", "-c", "stat -c %F /fifo; ls /null 2>&1; true").splitlines()[0] == "fifo"


def test_device_nodes(any_bench):
    """A user namespace has none; installers that make some go on."""
    any_bench.made(HEADER + "%post\n mknod /null c 1 3; mknod /fifo p\n")
    assert any_bench.output("sh", "-c", "stat -c %F /fifo; ls /null 2>&1; true").splitlines()[0] == "fifo"


def test_surroundings_of_post(any_bench):
    """Nothing of the user's own: not the environment, not the home; and nothing that it starts outlives it."""
    any_bench.write("home/secret", "secret")
    done = any_bench.made(HEADER + f"""%post
    echo "HOST=$HOST_VARIABLE INJECTED=$INJECTED PROXY=$https_proxy"
    echo "$HOME $(pwd) $(id -u)"
    ls {any_bench.folder}/home 2>/dev/null || echo no home
    grep -c . /etc/passwd || echo no passwd
    echo 'new:x:77:77::/:/bin/sh' >> /etc/passwd
    (sleep 300; echo late > /late) &
    read line || echo no input
""", env={"HOST_VARIABLE": "x", "APPTAINERENV_INJECTED": "y", "https_proxy": "proxy"})
    assert done.stdout.splitlines()[:2] == ["HOST= INJECTED=y PROXY=proxy", "/root / 0"]
    assert "no input" in done.stdout
    assert "new:x:77:77" in any_bench.output("cat", "/etc/passwd")
    assert any_bench.call("exec", "--bind", f"{any_bench.folder}/home:/mnt/home", "x.sif", "true").returncode == 0


def test_binds_of_post(bench):
    bench.write("home/bound", "bound\n")
    done = bench.made(HEADER + "%setup\n mkdir -p $APPTAINER_ROOTFS/mnt $APPTAINER_ROOTFS/srv/in\n%post\n cat /mnt/bound /srv/in/bound; touch /at-the-top\n", "-B", f"{bench.folder}/home:/mnt", env={"APPTAINER_BIND": f"{bench.folder}/home:/srv/in:ro"})
    assert done.stdout == "bound\nbound\n"
    assert bench.output("ls", "/mnt", "/srv/in").split() == ["/mnt:", "/srv/in:"]
    missing = bench.build(HEADER + "%post\n touch /at-the-top\n", "-F", "-B", f"{bench.folder}/home:/gpfs")
    assert missing.returncode == 255 and "mount point /gpfs does not exist in the image" in missing.stderr


def mounted(bench, *words):
    """A file system over the TMPDIR while it lasts."""
    @contextlib.contextmanager
    def manager():
        subprocess.run(["mount", *words, bench.folder / "temporary"], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", bench.folder / "temporary"], check=True)

    return manager()


CHANGES = """%setup
    stat -f -c %T $APPTAINER_ROOTFS/bin
%post
    rm /bin/echo; rm -r /srv/tree; mkdir /srv/tree; echo new > /srv/tree/new; mv /srv/file /srv/moved; chmod 700 /srv/moved; ln /srv/other /srv/name; rm /bin/pwd; mkdir /bin/pwd
"""


def test_nothing_is_unpacked(root, user, sifrun, tmp_path, fuse_device):
    """A base in a file is worked on as it is: scratch space is for what changes. Where overlays are not to be had, it is unpacked, with the same result."""
    bench = Bench(user, sifrun, tmp_path)
    bench.made(HEADER + "%post\n mkdir -p /srv/tree/old; for f in file other tree/old/deep pair; do echo $f > /srv/$f; done; ln /srv/pair /srv/hard\n", target="base.sif")
    text = "Bootstrap: localimage\nFrom: base.sif\n" + CHANGES
    with mounted(bench, "-t", "tmpfs", "-o", "size=256k,mode=1777", "none"):
        assert bench.made(text, target="small.sif").stdout == "overlayfs\n"
    layers = [tmp_path / name for name in ("lower", "upper", "work")]
    for folder in layers:
        folder.mkdir()
        folder.chmod(0o777)
    with mounted(bench, "-t", "overlay", "-o", "lowerdir={},upperdir={},workdir={}".format(*layers), "none"):
        done = bench.call("--verbose", "build", "unpacked.sif", "recipe")
        assert done.returncode == 0 and "the base image is unpacked: cannot mount the overlay" in done.stderr, done.stderr
        assert bench.left() == []
    trees = []
    for name in ("small.sif", "unpacked.sif"):
        trees.append(bench.output("sh", "-c", "cd /srv; ls -lR . | grep -v total; cat hard moved name tree/new; ls /bin /; stat -c '%h %a' hard moved name; [ hard -ef pair ]", image=name))
    assert trees[0] == trees[1] and "pair\nfile\nother\nnew\n" in trees[0], trees


def test_places_to_build_in(root, user, sifrun, tmp_path, fuse_device):
    bench = Bench(user, sifrun, tmp_path)
    text = HEADER + "%setup\n cd /; touch $APPTAINER_ROOTFS/relative\n%post\n true\n"
    assert bench.build(text, env={"TMPDIR": "temporary"}).returncode == 0
    assert bench.build(text, "-s", target="box").returncode == 0 and (tmp_path / "box/relative").exists()
    assert bench.build(text, "-F", env={"TMPDIR": "/no/such", "APPTAINER_TMPDIR": tmp_path / "temporary"}).returncode == 0
    assert bench.left() == []
    missing = bench.build(text, "-F", env={"TMPDIR": "/no/such"})
    assert missing.returncode == 255 and "APPTAINER_TMPDIR names another place" in missing.stderr
    with mounted(bench, "-t", "tmpfs", "-o", "noexec,mode=1777", "none"):
        bench.made(text, "-F")
        done = bench.build("Bootstrap: localimage\nFrom: box\n%post\n true\n", "-F")  # a folder is copied
        assert done.returncode == 255 and "programs may not be executed there (noexec)" in done.stderr and bench.left() == []


def test_interpreters(bench):
    done = bench.made(HEADER + "%post -c /bin/sh -u\n echo post $0\n%setup -c /bin/cat\n no shell\n%runscript\n#!/bin/cat\n run text\n%test -c /bin/sh -e\n false\n", "--notest")
    assert done.stdout.splitlines() == [" no shell", "post /.post.script"]
    assert bench.call("run", "x.sif").stdout == "#!/bin/cat\n\n run text\n\n"
    assert bench.output("sh", "-c", "read line < /.singularity.d/test; echo $line") == "#!/bin/sh -e\n"


def test_stages(any_bench):
    any_bench.write("host.txt", "host\n")
    any_bench.made("""Bootstrap: docker-archive
From: base.tar
Stage: one
%post
    mkdir -p /out/d; echo built > /out/d/x; ln -s x /out/d/l; ln -s /out/d/x /out/absolute; echo only > /only-one
Bootstrap: docker-archive
From: base.tar
Stage: two
%files from one
    /out/d
    /out/d/l /y
    /out/abs* /z
    /out/*/x /glob/
%files
    host.txt /host
%post
    echo two >> /y
""")
    assert any_bench.output("cat", "/out/d/x", "/y", "/z", "/glob/x", "/host") == "built\nbuilt\ntwo\nbuilt\nbuilt\nhost\n"
    assert any_bench.output("readlink", "/out/d/l") == "x\n"
    assert any_bench.call("exec", "x.sif", "cat", "/only-one").returncode == 1


def test_apps(bench):
    bench.write("tool", "#!/bin/sh\necho tool\n")
    (bench.folder / "tool").chmod(0o755)
    done = bench.made(HEADER + """%appinstall b
    pwd; echo $SCIF_APPNAME; touch installed
%appfiles b
    tool bin/tool
%appenv b
    export OF_APP=1
%apprun b
    echo "app b $OF_APP $*"; tool
%applabels b
    Kind one
%apphelp b
    help of b
%apptest b
    exit 3
%apprun a-1
    echo app a
""")
    assert done.stdout == "/scif/apps/b\nb\n"
    assert bench.call("run", "--app", "b", "x.sif", "x").stdout == "app b 1 x\ntool\n"
    assert bench.call("run", "--app", "a-1", "x.sif").stdout == "app a\n"
    assert bench.call("test", "--app", "b", "x.sif").returncode == 3
    assert bench.call("inspect", "--list-apps", "x.sif").stdout == "a-1\nb\n"
    assert bench.call("inspect", "--app", "b", "-l", "-H", "x.sif").stdout.split() == ["help", "of", "b", "Kind:", "one", "SCIF_APP_NAME:", "b"]
    assert bench.output("ls", "/scif/apps/b/installed", "/scif/data/b").split()[-2:] == ["input", "output"]


def test_build_arguments(bench):
    text = "Bootstrap: docker-archive\nFrom: {{ IMAGE }}\n%arguments\n  IMAGE=base.tar\n  # of no meaning\n  WHO=\"the default\"\n%post\n  echo {{WHO}} {{ WHO }} {{ {{x. }}\n"
    text = text.replace(" {{ {{x. }}", "")
    assert bench.made(text).stdout == "the default the default\n"
    assert bench.made(text, "-F", "--build-arg", "WHO=me", "--build-arg-file", bench.write("arguments", "# x\nWHO=file\n")).stdout == "me me\n"
    assert "echo me me" in bench.call("inspect", "-d", "x.sif").stdout
    unused = bench.build(text, "-F", "--build-arg", "A=1", "--build-arg", "B=2")
    assert (unused.returncode, unused.stderr) == (255, "FATAL:   unused build args: A B. Use option --warn-unused-build-args to show a warning instead of a fatal message\n")
    assert "WARNING: Unused build args: A B\n" in bench.made(text, "-F", "--warn-unused-build-args", "--build-arg", "A=1", "--build-arg", "B=2").stderr
    missing = bench.build(HEADER + "%post\n echo {{ NAME }}\n", "-F")
    assert missing.returncode == 255 and "build var NAME is not defined" in missing.stderr
    done = bench.build(text, "-F", "--build-arg", "nothing")
    assert done.returncode == 255 and "build argument nothing: expected NAME=VALUE" in done.stderr, done.stderr


def test_sandbox_and_update(any_bench):
    any_bench.made(HEADER + "%post\n echo 1 > /one\n%environment\n export A=1\n", "--sandbox", target="box")
    assert any_bench.output("cat", "/one", image="box") == "1\n"
    refused = any_bench.build(HEADER, "--sandbox", target="box")
    assert refused.returncode == 255 and "already exists" in refused.stderr and (any_bench.folder / "box/one").exists()
    any_bench.made(HEADER + "%post\n cat /one; echo 2 > /two\n", "--sandbox", "--update", target="box")
    assert any_bench.output("sh", "-c", "cat /one /two; echo $A", image="box") == "1\n2\n1\n"
    failed = any_bench.build(HEADER + "%post\n echo lost > /one; false\n", "-s", "-u", target="box")
    assert failed.returncode == 255 and "while running %post section: exit status 1" in failed.stderr, failed.stderr
    assert (any_bench.folder / "box/one").read_text() == "1\n" and any_bench.left() == []
    any_bench.made(HEADER, "-F", "-s", target="box")
    assert not (any_bench.folder / "box/one").exists()
    for refused, said in ((any_bench.build(HEADER, "--update"), "--update goes with --sandbox: only a folder can be changed"),
                          (any_bench.call("build", "-u", "-s", "box", "base.tar"), "--update is for definition files, and base.tar is none")):
        assert refused.returncode == 255 and said in refused.stderr, refused.stderr


@pytest.mark.parametrize("form", ["SIF", "folder", "squashfs"])
def test_local_base(form, bench):
    bench.made(HEADER + "%post\n echo base > /base\n%environment\n export A=1\n%runscript\n echo first\n%test\n false\n%labels\n Kept yes\n Changed no\n",
               "--notest", *(["--sandbox"] if form == "folder" else []), target="old")
    if form == "squashfs":
        subprocess.run(["mksquashfs", bench.folder / "box", bench.folder / "old.sqfs"], capture_output=True) if (bench.folder / "box").exists() else None
        bench.call("build", "--sandbox", "box", "old")
        subprocess.run(["mksquashfs", bench.folder / "box", bench.folder / "old.sqfs", "-quiet", "-no-progress"], check=True, capture_output=True)
    name = "old.sqfs" if form == "squashfs" else "old"
    done = bench.made(f"Bootstrap: localimage\nFrom: {name}\n%environment\n export B=$A\n%labels\n Changed yes\n", target="new.sif")
    assert "Label: Changed already exists" in done.stderr
    assert bench.output("sh", "-c", "cat /base; echo $A$B; cat /.singularity.d/bootstrap_history/Apptainer0", image="new.sif").startswith("base\n11\nBootstrap: docker-archive\n")
    assert bench.call("run", "new.sif").stdout == "first\n"
    labels = bench.call("inspect", "new.sif").stdout
    assert "Kept: yes\n" in labels and "Changed: no\n" in labels
    bench.made(f"Bootstrap: localimage\nFrom: {name}\n%labels\n Changed yes\n", "-F", target="new.sif")
    assert "Changed: yes\n" in bench.call("inspect", "new.sif").stdout


def test_from_scratch(bench, busybox_tar):
    bench.call("build", "--sandbox", "box", "docker-archive:base.tar")
    bench.made("Bootstrap: scratch\n%files\n box/bin/busybox /bin/sh\n%runscript\n echo scratch\n")
    assert bench.call("run", "x.sif").stdout == "scratch\n"
    bench.made("Bootstrap: scratch\n", "-F")


def test_base_in_a_registry(bench, registry):
    """It is fetched once, with the caller's login."""
    login = {"SSL_CERT_FILE": f"{registry.folder}/ca.crt", "APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": PASSWORD}
    text = f"Bootstrap: docker\nRegistry: {registry.host}\nNamespace: bed\nFrom: busybox:1.0\n%post\n cat /srv/replaced\n"
    assert "Converting OCI blobs" in bench.made(text, env=login).stderr
    again = bench.made(text, "-F", env=login)
    assert (again.stdout, "Using cached SIF image" in again.stderr) == ("new\n", True)
    assert "cached" not in bench.made(text, "-F", "--disable-cache", env=login).stderr
    failed = bench.build(text, "-F", "--disable-cache", env={"SSL_CERT_FILE": login["SSL_CERT_FILE"]})
    assert failed.returncode == 255 and failed.stderr.count("FATAL") == 1 and bench.left() == []


@pytest.mark.parametrize("chosen, lines", [("post", ["post"]), ("setup,test", ["setup", "test"]), ("none", []), ("all", ["setup", "post", "test"]), ("files", [])])
def test_chosen_sections(chosen, lines, bench):
    bench.write("f", "x")
    text = HEADER + "%setup\n echo setup\n%files\n f /f\n%post\n echo post\n%test\n echo test\n%environment\n export E=1\n"
    assert bench.made(text, "--section", chosen).stdout.split() == lines
    assert bench.call("exec", "x.sif", "cat", "/f").returncode == (0 if chosen in ("all", "files") else 1)
    assert bench.output("sh", "-c", "echo $E").strip() == ("1" if chosen == "all" else "")


MISTAKES = {
    "": "no stages found in definition file",
    "From: base.tar\n": "no bootstrap specification found",
    "%post\n true\n": "no bootstrap specification found",
    "Bootstrap: nonsense\nFrom: x\n": "invalid build source nonsense",
    "Bootstrap: library\nFrom: alpine\n": "Bootstrap: library is not supported",
    "Bootstrap: debootstrap\nOSVersion: x\nMirrorURL: y\n": "Bootstrap: debootstrap is not supported",
    "Bootstrap: docker-archive\n": "needs a From",
    "Bootstrap: docker-archive\nFrom: absent.tar\n": "absent.tar",
    "Bootstrap: localimage\nFrom: absent.sif\n": "absent.sif",
    HEADER + "Foo: bar\n": "invalid header keyword found: foo",
    HEADER + "%nonsense\n": "invalid section(s) specified: nonsense",
    HEADER + "%post\n  %environment\n": "invalid section(s) specified",
    HEADER + "%files\n absent /x\n": "while copying absent: No such file or directory",
    HEADER + "%files\n /dev/null /x\n": "neither a file nor a folder nor a link",
    HEADER + "%files\n x-cycle /x\n": "Too many levels of symbolic links",
    HEADER + "%files from nowhere\n /x\n": "stage nowhere was not found",
    HEADER + "Stage: a\n" + HEADER + "%files from a\n /absent\n": "while copying /absent: No such file or directory",
    HEADER + "%setup\n exit 3\n": "failed to run %setup script: exit status 3",
    HEADER + "%pre\n kill -9 $$\n": "failed to run %pre script: signal: Killed",
    HEADER + "%post\n echo before\n false\n echo after\n": "while running %post section: exit status 1",
    HEADER + "%post -c /no/such\n true\n": "while running %post section",
    HEADER + "%setup -c /no/such\n true\n": "cannot start /no/such",
    HEADER + "%test\n exit 7\n": "failed to execute %test script: exit status 7",
    "Bootstrap: scratch\n%post\n true\n": "/bin/sh",
}


@pytest.mark.parametrize("target", ["x.sif", "box"])
def test_mistakes(target, bench):
    """The reason is told; nothing is left, and what was there stays."""
    bench.write("file", "")
    (bench.folder / "x-cycle").mkdir()
    (bench.folder / "x-cycle/again").symlink_to(".")
    sandbox = ["--sandbox"] if target == "box" else []
    bench.made(HEADER + "%post\n echo good > /good\n", *sandbox, target=target)
    for text, said in MISTAKES.items():
        done = bench.build(text, "--force", *sandbox, target=target)
        assert (done.returncode, said in done.stderr, "after" in done.stdout) == (255, True, False), (text, done.stderr)
        assert bench.left() == [], text
    for place in ("no-such/x.sif", "/dev/null", "", "file/x"):
        done = bench.build(HEADER + "%post\n echo after\n", "--force", *sandbox, target=place)
        assert done.returncode in (1, 255) and "after" not in done.stdout and bench.left() == [], (place, done.stderr)
    assert bench.output("cat", "/good", image=target) == "good\n"


def test_a_hostile_base_stays_in_its_folder(any_bench):
    """Its links lead to places of the host; nothing is written or read there."""
    outside = any_bench.folder / "home/outside"
    outside.mkdir()
    os.chmod(outside, 0o777)
    any_bench.write("home/outside/secret", "secret")
    any_bench.write("f", "mine\n")
    layer = busybox_layer("ls")
    for name in ("opt", "scif", ".singularity.d/bootstrap_history", "mnt"):
        layer.symlink(name, str(outside))
    for name in ("etc/target", ".post.script", ".build.labels"):
        layer.symlink(name, str(outside / "secret"))
    write_docker20(any_bench.folder / "hostile.tar", [layer.bytes()], "bed/hostile:1", Env=["PATH=/bin"])
    any_bench.made("""Bootstrap: docker-archive
From: hostile.tar
Stage: one

Bootstrap: docker-archive
From: hostile.tar
%files
    f /opt/
    f /etc/target
    f /mnt/new/f
%post
    true
%apprun a
    true
%labels
    A b
""")
    assert sorted(path.name for path in outside.iterdir()) == ["secret"] and (outside / "secret").read_text() == "secret"
    stolen = any_bench.build("Bootstrap: docker-archive\nFrom: hostile.tar\nStage: one\n\n" + HEADER + "%files from one\n /opt/* /x/\n", "-F")
    assert stolen.returncode == 255 and "while copying /opt/*" in stolen.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("where", ["setup", "post", "test", "files", "sandbox"])
def test_interrupted(where, name, bench):
    """The scripts end with it, nothing is left, and the signal is what the caller sees."""
    nap = f"sleep 100.{os.getpid()}"  # nobody else's
    script = f"echo begun > {bench.folder}/temporary/begun; {nap}"
    text = HEADER + {"setup": f"%setup\n {script}\n", "test": f"%test\n {script}\n", "files": f"%setup\n echo begun > {bench.folder}/temporary/begun\n%files\n many /many\n"}.get(
        where, f"%post\n {script}\n")
    if where == "files":
        (bench.folder / "many").mkdir()
        for number in range(2000):
            (bench.folder / f"many/{number}").touch()

    def expect_signals():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    target = ["--sandbox", "x"] if where == "sandbox" else ["x.sif"]
    environment = bench.environment({"APPTAINER_BIND": f"{bench.folder}/temporary"})
    process = bench.identity.popen([bench.sifrun, "build", *target, bench.write("recipe", text)], cwd=bench.folder, env=environment, preexec_fn=expect_signals,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    begun = bench.folder / "temporary/begun"
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    assert begun.exists(), process.communicate()
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -getattr(signal, name), said
    begun.unlink()
    assert bench.left() == [] and not (bench.folder / "x.sif").exists() and not (bench.folder / "x").exists()
    assert nap not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_script_that_will_not_end(bench):
    """Asked once, it is killed soon; the build's own death takes it along at once."""
    sleep = 100000 + os.getpid()
    for number, code in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        begun = bench.folder / "temporary/begun"
        text = HEADER + f"%post\n trap '' TERM INT HUP; echo x > {begun}; while true; do sleep {sleep}; done\n"
        process = bench.identity.popen([bench.sifrun, "build", "x.sif", bench.write("recipe", text)], cwd=bench.folder,
                                       env=bench.environment({"APPTAINER_BIND": f"{bench.folder}/temporary"}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(begun.exists)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        wait_until(lambda: f"sleep {sleep}" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout)
        begun.unlink()
    assert bench.left() != []  # SIGKILL allows no cleaning


def test_odd_folder_to_build_in(bench):
    place = bench.folder / 'temporary/a, b"c:d'
    place.mkdir()
    place.chmod(0o777)
    assert bench.build(HEADER + "%post\n cat /etc/hosts > /h\n", env={"TMPDIR": place}).returncode == 0
    assert list(place.iterdir()) == []


def test_files_of_the_network_can_be_written(bench):
    """They are the host's, or copies of those, so nothing of it stays."""
    bench.made(HEADER + "%post\n echo 'nameserver 1.2.3.4' > /etc/resolv.conf; echo '1.2.3.4 x' >> /etc/hosts; chmod 600 /etc/resolv.conf; grep -q 1.2.3.4 /etc/hosts\n")
    assert "1.2.3.4" not in pathlib.Path("/etc/resolv.conf").read_text()
    done = bench.made(HEADER + "%post\n cat /etc/resolv.conf /etc/hosts\n", "-F")
    assert done.stdout == "".join(pathlib.Path(f"/etc/{name}").read_text() for name in ("resolv.conf", "hosts"))
    listing = subprocess.run(["unsquashfs", "-lln", "-o", str((bench.folder / "x.sif").read_bytes().index(b"hsqs")), bench.folder / "x.sif"], capture_output=True, text=True).stdout
    assert {name: size for size, name in re.findall(r" (\d+) \S+ \S+ \S*/etc/(resolv.conf|hosts)$", listing, re.M)} == {"resolv.conf": "0", "hosts": "0"}


def test_scripts_cannot_reach_the_build(any_bench):
    """Its folder lies where the container sees the host's files; another link there would be followed by what comes next."""
    outside = any_bench.folder / "home/outside"
    outside.write_text("mine")
    outside.chmod(0o666)
    place = f"{any_bench.folder}/temporary/build-temp-*"
    text = HEADER + "Stage: one\n%post\n true\n" + HEADER + f"""%post
    ls -la {any_bench.folder}/temporary; id
    umount {place} 2>/dev/null && echo uncovered; ls -A {place}
    for name in hosts resolv.conf setup stage-0 stage-1; do ln -s {outside} {place}/$name 2>/dev/null && echo planted; done
    mv {place} {any_bench.folder}/temporary/moved 2>/dev/null && echo moved
    true
%test
    echo evil > /etc/hosts
"""
    for target in ([], ["--sandbox"]):
        done = any_bench.made(text, *target, target=f"x{len(target)}")
        assert not {"uncovered", "planted", "moved"} & set(done.stdout.split()) and "base-0.sif" not in done.stdout, done.stdout
    assert outside.read_text() == "mine"
    hidden = any_bench.build(HEADER + f"%post\n ls -A {any_bench.folder}/.sandbox* 2>/dev/null; true\n", "--sandbox", target="y")
    assert hidden.returncode == 0 and hidden.stdout == ""


def test_image_that_is_made_meanwhile(bench):
    """By another build of it, say: the last one stays."""
    bench.made(f"Bootstrap: docker-archive\nFrom: base.tar\n%setup\necho other > {bench.folder}/x.sif\n%post\necho kept > /kept\n")
    assert bench.output("cat", "/kept") == "kept\n"


def test_base_that_changes_meanwhile(bench):
    bench.made(HEADER + "%post\n echo a > /which\n", target="base.sif")
    bench.made(HEADER + "%post\n echo b > /which\n", target="other.sif")
    text = f"Bootstrap: localimage\nFrom: base.sif\n%setup\n mv other.sif base.sif\n%post\n cat /which\n"
    done = bench.build(text)
    assert (done.returncode, done.stdout, bench.left()) == (255, "a\n", []) and "was changed meanwhile" in done.stderr


def test_copy_of_the_folder_that_is_built_in(bench):
    bench.write("one", "1")
    for target in ([], ["--sandbox"]):
        bench.made(HEADER + "%files\n . /copied\n", *target, target=f"x{len(target)}")
        assert bench.output("ls", "-A", "/copied/temporary", "/copied/one", image=f"x{len(target)}") == "/copied/one\n\n/copied/temporary:\n"
    assert ".sandbox" not in bench.output("ls", "-A", "/copied", image="x1")


def test_mode_of_the_root(bench):
    bench.made(HEADER + "%post\n chmod 711 /\n")
    assert bench.output("stat", "-c", "%a", "/") == "711\n"
    bench.made("Bootstrap: localimage\nFrom: x.sif\n%post\n stat -c %a /\n", target="y.sif")
    assert bench.output("stat", "-c", "%a", "/", image="y.sif") == "711\n"


def test_full_disk(root, user, sifrun, tmp_path, fuse_device):
    bench = Bench(user, sifrun, tmp_path)
    with mounted(bench, "-t", "tmpfs", "-o", f"size=512k,uid={user.uid},mode=755", "none"):
        done = bench.build(HEADER)
        assert done.returncode == 255 and "No space left on device" in done.stderr and bench.left() == []


def test_sources_that_are_no_definitions(bench):
    """Archives, images and folders are converted as before, whatever they are called."""
    os.rename(bench.folder / "base.tar", bench.folder / "base.def")
    assert bench.call("build", "x.sif", "base.def").returncode == 0
    assert bench.call("build", "y.sif", "x.sif").returncode == 0 and bench.output("echo", "y", image="y.sif") == "y\n"
    subprocess.run(["gzip", "-k", bench.folder / "base.def"], check=True)
    assert bench.call("build", "z.sif", "base.def.gz").returncode == 0
    done = bench.build("just some text\n", "-F")
    assert done.returncode == 255 and "header key just some text had no val" in done.stderr


def test_modes_of_what_is_made(any_bench):
    any_bench.made(HEADER + "%post\n umask; mkdir -m 1777 /shared; echo x > /f; chmod 4711 /f\n")
    assert any_bench.output("stat", "-c", "%a %u %n", "/shared", "/f", "/bin/busybox") == f"1777 {USER_INSIDE(any_bench)} /shared\n4711 {USER_INSIDE(any_bench)} /f\n755 {USER_INSIDE(any_bench)} /bin/busybox\n"


def USER_INSIDE(bench):
    """Whom files of root belong to, as the runner's user sees them."""
    return bench.output("stat", "-c", "%u", "/").strip()
