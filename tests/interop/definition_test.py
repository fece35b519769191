# SPDX-License-Identifier: Apache-2.0
"""The same definition files built by Apptainer and by us: the same names, modes and texts, the same answers of inspect, the same failures."""
import json
import os
import re
import subprocess

import pytest

from beds.images import busybox_layer, write_docker20

HEADER = "Bootstrap: docker-archive\nFrom: base.tar\n"
FIRST = HEADER + r"""
%setup
    touch $APPTAINER_ROOTFS/setup ${SINGULARITY_ROOTFS}/other
%files
    a.txt
    a.txt /opt/
    a.txt /opt/b.txt
    "sp ace.txt" /opt/sp.txt
    {a,g[12]}.txt /braces/
    dir /opt/dir
    dir /opt/dir
    dir/ /opt/k
    dir/* /opt/l/
    dir/. /opt/content
    dir/sub/link /linked
    g*.txt /globs/
    $PLACE/f ${PLACE}-copy
    a.txt etc
    a.txt /opt/commented # not a word
    modes /opt/modes
    f{1..2} /numbers/
    ${NO_SUCH_NAME:-a.txt} /otherwise
%post
    echo "post in $(pwd), umask $(umask), $HOME, $LANG, $FOO"
    echo "export ADDED=1" >> $APPTAINER_ENVIRONMENT
    echo "Lab el" >> $SINGULARITY_LABELS
    echo second >> "$APPTAINER_LABELS"
    mkdir /made; touch /made/f; chmod 1750 /made; ln -s f /made/l; ln /made/f /made/hard
%environment
    export FOO="b a r"
%runscript
    echo running "$@" "$FOO" $ADDED
%startscript
    echo started
%labels
    Author me  and you
    # a comment
    Version 1.0
    Empty
    Twice 1
    Twice 2
%help
    Help text
      indented

    and more
%test
    echo "test in $(pwd) with $FOO"
"""
SECOND = HEADER + r"""Stage: one
%post
    mkdir -m 755 /out /out/d; echo built > /out/d/x; ln -s x /out/d/l; chmod 700 /out/d/x
    mkdir -m 1777 /out/shared; mkdir -m 2775 /out/group; cp /bin/busybox /out/setuid; chmod 4755 /out/setuid; touch /out/w; chmod 666 /out/w; ln /out/w /out/w2

bootstrap: localimage
FROM: first.sif
stage: two
%files from one
    /out/d
    /out/d/x /y
    /out/d/l /z
%files FROM one
    /out /copied
%files
    a.txt /second
%post -c /bin/sh -e
    echo $0 "$@"
%environment
    export SECOND=2
%environment
    export THIRD=3
%labels
    Author another
    Stage final
%runscript
#!/bin/cat -n
    second "$@"
%appinstall foo
    pwd; echo $SCIF_APPNAME; touch installed
%apprun foo
    echo foo $FOOENV "$@"
%appenv foo
    export FOOENV=1
%appfiles foo
    dir
    a.txt aa.txt
    a.txt /bin/a
%applabels foo
    L v
%apphelp foo
    help foo
%apptest foo
    exit 4
%appstart bar
    echo bar
"""
ARGUMENTS = "Bootstrap: {{ AGENT }}\nFrom: {{ FILE }}.tar\n%arguments\n  FILE=base\n  WORD=\"two words\"\n%post\n  echo {{WORD}} {{ OTHER }} > /words\n"
INSPECT = ["-d", "-r", "-H", "-t", "-l", "--list-apps", "--app foo -r -H -t -e -l", "--app bar -s"]
# What is known to be another's in either image.
OWN = re.compile(r"^/\.singularity\.d/(env/(01|10|90|94|95|99)-.*|labels\.json|startscript|runscript|actions.*|env)$|^/(root|tmp|var/tmp)$")


@pytest.fixture
def place(apptainer, user, tmp_path, fuse_device):
    layer = busybox_layer("chmod", "cp", "ln", "mkdir", "find", "umask")
    write_docker20(tmp_path / "base.tar", [layer.bytes()], "bed/base:1", Env=["PATH=/bin", "GREETING=hello"], Cmd=["sh"], Labels={"from": "base"})
    for name in ("a.txt", "sp ace.txt", "g1.txt", "g2.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "dir/sub").mkdir(parents=True)
    (tmp_path / "dir/sub/f").write_text("deep")
    (tmp_path / "dir/sub/f").chmod(0o754)
    (tmp_path / "dir/sub/link").symlink_to("f")
    for name in ("f1", "f2"):
        (tmp_path / name).write_text(name)
    for mode in (0o664, 0o666, 0o640, 0o777, 0o775, 0o4711):
        for kind in ("file", "folder"):
            path = tmp_path / f"modes/{kind}-{mode:o}"
            path.parent.mkdir(exist_ok=True)
            path.mkdir() if kind == "folder" else path.touch()
            path.chmod(mode if kind == "file" else mode | 0o1000)
    subprocess.run(["chown", "-R", f"{user.uid}:{user.gid}", tmp_path / "modes"], check=True) if os.geteuid() == 0 else None
    return tmp_path


@pytest.fixture
def both(apptainer, sifrun, place):
    """Each in a folder of its own name, which links to the sources: (CompletedProcess of Apptainer, of ours)."""
    folders = {"apptainer": place / "theirs", sifrun: place / "ours"}
    for folder in folders.values():
        folder.mkdir()
        folder.chmod(0o777)
        for source in place.iterdir():
            if source not in folders.values():
                (folder / source.name).symlink_to(source)

    def run(*line, write=None, binds=()):
        results = []
        for program, folder in folders.items():
            for name, text in (write or {}).items():
                (folder / name).write_text(text)
            results.append(apptainer.command([program, *line], cwd=folder, env={"PLACE": "dir/sub"}, input="", binds=binds, timeout=600))
        return results

    run.folders = list(folders.values())
    return run


def entries(image):
    """Name -> type, mode, link and, of regular files, content; of one name, whatever else differs between two builders is left out."""
    data = image.read_bytes()
    listing = subprocess.run(["unsquashfs", "-lln", "-o", str(data.index(b"hsqs")), image], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in listing.splitlines():
        if match := re.match(r"^(\S+) (\S+) +(\S+) \S+ \S+ squashfs-root(\S.*|)$", line):
            name, _, link = match[4].partition(" -> ")
            if not OWN.match(name):
                found[name] = (match[1], match[2], match[3] if match[1][0] == "-" and "Singularity" not in name else "", link)
    return found


def build(both, name, text, *options, **more):
    reference, done = both("build", *options, f"{name}.sif", f"{name}.def", write={f"{name}.def": text}, **more)
    assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout), (done.stderr, reference.stderr)
    return reference, done


def test_images(both):
    for name, text in (("first", FIRST), ("second", SECOND)):
        reference, done = build(both, name, text)
        assert done.returncode == 0, done.stderr
        theirs, ours = (entries(folder / f"{name}.sif") for folder in both.folders)
        assert ours == theirs
        said = [[line for line in result.stderr.splitlines() if re.match(r"INFO:    (Running|Adding|Copying|Creating|Build)|WARNING: Label", line) and not re.search(r"\$|otherwise|-copy", line)] for result in (reference, done)]
        assert name == "second" or said[1] == said[0]  # Apptainer does not tell of %appfiles
        for options in INSPECT:
            reference, done = both("inspect", *options.split(), f"{name}.sif")
            drop = re.compile(r"^org\.label-schema\.(build-date|usage\.apptainer\.version): .*\n?", re.M)
            assert drop.sub("", done.stdout).strip() == drop.sub("", reference.stdout).strip(), options
        lines = [["run", f"{name}.sif", "one", "a b"], ["exec", f"{name}.sif", "sh", "-c", "echo $FOO,$ADDED,$SECOND,$THIRD,$GREETING"], ["test", f"{name}.sif"]]
        if name == "second":
            lines += [["run", "--app", "foo", f"{name}.sif", "x"], ["test", "--app", "foo", f"{name}.sif"]]
        for line in lines:
            reference, done = both("--silent", *line)
            assert (done.returncode, done.stdout.replace("/ours", "/theirs")) == (reference.returncode, reference.stdout), (line, done.stderr, reference.stderr)


VARIANTS = {
    "line ends of DOS": (HEADER + "%post\n echo hi > /f; ls / | grep '^f'\n%environment\n export A=1\n%runscript\n echo run $A\n%test\n true\n").replace("\n", "\r\n"),
    "empty sections": HEADER + "%runscript\n%post\n echo hi\n%help\n%test\n",
    "no line end": HEADER + "%environment\n export A=1\n%runscript\n echo run $A",
    "runscript last": HEADER + "%post\n true\n%runscript",
    "arguments of arguments": HEADER + "%arguments\n  V=1\n  W={{ V }}.2\n  nothing\n%runscript\n  echo {{ W }} # {{ UNKNOWN }}\n",
    "network": HEADER + "%post\n echo x > /etc/resolv.conf; echo y >> /etc/hosts\n",
    "upper case": HEADER.upper().replace("BASE.TAR", "base.tar").replace("DOCKER-ARCHIVE", "docker-archive") + "%POST\n echo hi > /x\n%RunScript\n cat /x\n",
    "tabs": "Bootstrap:\tdocker-archive\nFrom:\tbase.tar\n\n%post\n\techo hi > /x\n%runscript\n\tcat /x\n",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name, both):
    build(both, "x", VARIANTS[name])
    for line in (["run", "x.sif", "echo", "word"], ["inspect", "-r", "x.sif"], ["run-help", "x.sif"]):
        reference, done = both("--silent", *line)
        if "OCI_CMD" in reference.stdout:
            continue  # each builder's own text
        assert (done.returncode, done.stdout.strip()) == (reference.returncode, reference.stdout.strip()), (line, done.stderr, reference.stderr)


def test_arguments(both, place):
    (place / "arguments").write_text("# comment\nAGENT=docker-archive\nOTHER=from file\n")
    build(both, "x", ARGUMENTS, "--build-arg-file", str(place / "arguments"), "--build-arg", "OTHER=given,WORD=comma")
    for line in (["exec", "x.sif", "cat", "/words"], ["inspect", "-d", "x.sif"]):
        reference, done = both("--silent", *line)
        assert done.stdout.strip() == reference.stdout.strip() != ""


@pytest.mark.parametrize("runner", ["apptainer", "ours"])
def test_each_runs_the_others(runner, both, apptainer, sifrun):
    build(both, "first", FIRST)
    program, folder = ("apptainer", both.folders[1]) if runner == "apptainer" else (sifrun, both.folders[0])
    done = apptainer.command([program, "--silent", "run", folder / "first.sif", "x"], input="")
    assert (done.returncode, done.stdout) == (0, "running x b a r 1\n"), done.stderr


def test_subordinate_ids(both, place):
    """With the ids that /etc/subuid grants, owners in the image are what %post made them; of a sandbox, those ids own them."""
    ids = place / "subuid"
    ids.write_text("user:100000:65536\n")
    binds = [f"{ids}:/etc/subuid", f"{ids}:/etc/subgid"]
    text = HEADER + "%post\n touch /f; chown 5:6 /f; mkdir -m 700 /d; touch /d/in; chmod 4711 /d/in; chown -R 33:33 /d; chmod 4711 /d/in\n%test\n stat -c '%u %g %a' /f /d\n"
    build(both, "x", text, binds=binds)
    theirs, ours = (entries(folder / "x.sif") for folder in both.folders)
    assert ours == theirs and ours["/d/in"][:2] == ("-rws--x--x", "33/33") and ours["/f"][1] == "5/6"
    reference, done = both("build", "--sandbox", "box", "x.def", write={"x.def": text}, binds=binds)
    assert (done.returncode, reference.returncode) == (0, 0), done.stderr
    reference, done = both("build", "--fakeroot", "--sandbox", "copy", "x.sif", binds=binds)
    assert (done.returncode, reference.returncode) == (0, 0), done.stderr
    owners = {name: [((folder / name).lstat().st_uid, (folder / name).lstat().st_gid) for folder in both.folders] for name in ("box/f", "box/d", "box/d/in", "box/bin", "copy/f", "copy/bin")}
    assert all(theirs == ours for theirs, ours in owners.values()) and owners["copy/f"][1] == (100004, 100005)
    inside = (both.folders[1] / "copy/d/in").lstat()  # which Apptainer loses without a word
    assert (inside.st_uid, inside.st_gid, inside.st_mode & 0o7777) == (100032, 100032, 0o4711)
    failed = both("build", "y.sif", "y.def", write={"y.def": text + "false\n"}, binds=binds)[1]
    assert failed.returncode == 255
    assert not [path for path in both.folders[1].parent.glob("apptainer-tmp/build-temp*")]


DEBIAN = """Bootstrap: docker-archive
From: {archive}
%post
    apt-get update -q
    apt-get install -q -y --no-install-recommends cron openssh-client
    useradd -m worker
    su worker -c true
    chown -R worker: /home/worker
    install -o worker -g daemon /bin/true /usr/local/bin/mine
    dpkg --audit
%test
    dpkg -V cron openssh-client
"""


def test_packages_with_one_id(user, sifrun, user_tar, tmp_path, fuse_device):
    """What apt and useradd do needs other users; without subordinate ids and without fakeroot they work all the same."""
    (tmp_path / "x.def").write_text(DEBIAN.format(archive=user_tar))
    done = user.run([sifrun, "build", "--ignore-subuid", "x.sif", "x.def"], cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    done = user.run([sifrun, "exec", "x.sif", "sh", "-c", "ssh -V; mine && stat -c %F /home/worker /usr/bin/crontab"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "directory\nregular file\n") and "OpenSSH" in done.stderr, done.stderr


MISTAKES = [
    "", "From: base.tar\n%post\n true\n", "Bootstrap: docker-archive\n", "Bootstrap: nonsense\nFrom: x\n", HEADER + "Foo: bar\n", HEADER + "nothing\n", HEADER + "%nonsense\n%other x\n",
    HEADER + "%post\n true\n %environment\n export A=1\n", HEADER + "%files\n absent /x\n", HEADER + "%files from nope\n /x\n", HEADER + "%setup\n exit 3\n", HEADER + "%pre\n exit 3\n",
    HEADER + "%post\n echo before\n false\n echo after\n", HEADER + "%test\n exit 7\n", HEADER + "%post\n echo {{ NAME }}\n", HEADER + "%apprun\n true\n", "Bootstrap: scratch\n%post\n true\n",
    HEADER + "Stage: a\n" + HEADER + "%files from a\n /nope\n",
]
# What of Apptainer's message ours says as well.
REASONS = re.compile(r"no stages found in definition file|no bootstrap specification found|invalid build source \w+|invalid header keyword found: \w+|header key \w+ had no val|"
                     r"invalid section\(s\) specified|stage \w+ was not found|failed to run %\w+ script: exit status \d|while running %post section: exit status \d+|"
                     r"failed to execute %test script: exit status \d|build var NAME is not defined|could not be split into section name and app name", re.I)


def test_mistakes(both):
    for text in MISTAKES:
        reference, done = both("build", "--force", "x.sif", "x.def", write={"x.def": text})
        assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout), (text, done.stderr, reference.stderr)
        if wanted := REASONS.search(reference.stderr):
            assert wanted[0] in done.stderr, (text, done.stderr, reference.stderr)


STAGES = HEADER + """Stage: one
%post
    mkdir -p /out/d /out/e /usr/lib; touch /out/d/f /out/d/g /out/e/h /out/other; echo x >/out/d/f; ln /out/d/f /out/d/hard; ln -s d /out/link; echo other >/out/other
    touch -d @1000000000 /out/d/f /out/other
""" + HEADER + """Stage: two
%files from one
    /out/d/ /opt
    /out/d/ /new/
    /out/e/. /opt
    /out/{d,e}/ /braces/
    /out/*/ /globs/
    /out/link/ /linked/
    /out/d /whole/
    /out/d/f /a1
    /out/d/f /b1
    /out/other /a1
    /out/d/hard /z
%post
    echo more >>/b1
"""


def test_copies_from_stages(both):
    build(both, "x", STAGES)
    names = "a1 b1 z opt new braces globs linked whole"
    script = f"cd /; find {names} | sort; cat a1 b1 z; stat -c '%n %Y' a1 z new/f opt/f; ls -i new/f new/hard | cut -d' ' -f1 | uniq | wc -l"
    reference, done = both("--silent", "exec", "x.sif", "sh", "-c", script)
    assert done.stdout == reference.stdout and "1000000000" in done.stdout, done.stdout + reference.stdout


WAYS = {
    "pipe": "cat x.def | $P build x.sif /dev/stdin",
    "substitution": "bash -c '$P build x.sif <(cat x.def)'",
    "unknown directory": "env -u PWD $P build x.sif x.def",
    "umask": "umask 077; $P build x.sif x.def",
    "labels only": "$P build --section labels x.sif x.def; $P inspect --runscript x.sif | grep -c 'echo run'; $P inspect --helpfile x.sif",
    "help only": "$P build --section help,runscript x.sif x.def; $P inspect --runscript x.sif | grep -c 'echo run'; $P inspect --helpfile x.sif",
    "folder without mount points": "mkdir -p bare/bin; cp /bin/busybox bare/bin; ln -s busybox bare/bin/sh; sed 's/docker-archive/localimage/; s/base.tar/bare/' x.def >y.def; $P build x.sif y.def; $P exec x.sif busybox ls -d /etc/hosts /etc/resolv.conf /dev /var/tmp",
    "no sandbox to update": "$P build --update --sandbox box x.def",
    "update with force": "$P build --sandbox box x.def; touch box/more; $P build -F --update --sandbox box x.def; ls box/more",
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_build(both, apptainer, sifrun, way):
    results = []
    for program, folder in zip(("apptainer", sifrun), both.folders):
        (folder / "x.def").write_text(HEADER + "%files\n $PWD/a.txt /opt/\n%post\n echo '\a' >/dev/null\n%help\n helpful\n%runscript\n echo run\n")
        done = apptainer.command(["sh", "-c", f"P={program}; export P; {WAYS[way]}; stat -c %a x.sif"], cwd=folder, input="", timeout=600)
        results.append((done.returncode, done.stdout.replace(str(folder), "")))
    assert results[0] == results[1], done.stderr


def test_metadata_of_apps(both):
    """All that the image's JSON says, but for what names the builder."""
    build(both, "first", FIRST)
    build(both, "second", SECOND)
    attributes = [json.loads(result.stdout)["data"]["attributes"] for result in both("inspect", "--all", "second.sif")]
    for found in attributes:
        for name in ("org.label-schema.build-date", "org.label-schema.usage.apptainer.version"):
            found["labels"].pop(name, None)
        environment = found.pop("environment")
        assert set(environment) >= {"/.singularity.d/env/90-environment.sh", "/.singularity.d/env/91-environment.sh"}
        assert environment["/.singularity.d/env/90-environment.sh"].endswith("export SECOND=2\n    export THIRD=3"), environment
    theirs, ours = attributes
    assert ours["apps"] == theirs["apps"] and ours["labels"] == theirs["labels"]
    assert {key for key in ours} >= {"apps", "labels", "runscript", "test", "helpfile", "deffile", "startscript"}
