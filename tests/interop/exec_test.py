# SPDX-License-Identifier: Apache-2.0
"""Command lines side by side: the same account in the same tree runs each under Apptainer and under sifrun, in a folder of its home.

Exit status and standard output are the same, but for DIFFERENT, which names every intended difference and its reason.
"""
import pathlib

import pytest

from beds.servers import wait_until
from differences import EXEC as DIFFERENT

PREPARE = """rm -rf "$HOME/w" "$HOME/made" /tmp/cw && mkdir -p "$HOME/w/one/nest" "$HOME/w/two" "$HOME/w/sp ace" /tmp/cw && cd "$HOME/w" && echo host > file
ln -s one link && echo 1 > one/1 && echo 2 > two/2 && echo text > /tmp/cw/text
printf 'A=1\\nB="two words"\\nC=$HOME\\nexport D=$A-x\\n' > env1; printf 'A=9\\nE=e\\n' > env2; printf 'cd /tmp\\nP=$PWD\\n' > env3"""

LIST = "ls -A /mnt /new/deep /srv 2>&1; cat /srv/replaced /newfile 2>&1; touch /mnt/written 2>&1"
WHERE = "pwd; echo $PWD $HOME; ls -A ."
SHOW = "echo $A,$B,$C,$D,$E; echo $GREETING; echo $PATH; echo $LD_LIBRARY_PATH"
W = "/home/user/w"

# Options, and a command for `sh -c` or as a list.
LINES = {
    "bind": (["-B", f"{W}/one:/mnt"], LIST),
    "bind, relative source": (["-Bone:/mnt:ro"], LIST),
    "bind, same path": (["--bind", f"{W}/one"], f"ls {W}/one"),
    "bind list": (["--bind=one:/mnt,two:/new/deep"], LIST),
    "bind, repeated": (["-B", "one:/mnt", "-B", "two:/new/deep"], LIST),
    "bind of a file on a file": (["-B", "file:/srv/replaced"], LIST),
    "bind of a file on nothing": (["-B", "file:/newfile"], LIST),
    "bind of a folder on a file": (["-B", "one:/srv/replaced"], LIST),
    "bind of a file on a folder": (["-B", "file:/srv"], LIST),
    "bind over a link": (["-B", "file:/srv/link"], LIST),
    "bind of a link": (["-B", "link:/mnt"], LIST),
    "bind with a blank": (["-B", "sp ace:/mnt"], LIST),
    "bind without source": (["-B", "/no/such:/mnt"], LIST),
    "bind, relative target": (["-B", "one:mnt"], LIST),
    "bind, unknown option": (["-B", "one:/mnt:bad"], LIST),
    "bind, empty": (["-B", ""], LIST),
    "bind within a bind": (["-B", "one:/mnt", "-B", "two:/mnt/nest"], LIST + "; ls /mnt/nest"),
    "bind within a bind, in the other order": (["-B", "two:/mnt/nest", "-B", "one:/mnt"], LIST + "; ls /mnt/nest"),
    "bind on nothing within a bind": (["-B", "one:/mnt", "-B", "two:/mnt/a/b", "-B", "file:/mnt/f"], LIST + "; ls -R /mnt"),
    "bind on nothing in the home": (["-B", "one:/home/user/made"], "ls /home/user/made"),
    "bind on nothing within a read-only bind": (["-B", "one:/mnt:ro", "-B", "two:/mnt/a"], LIST),
    "bind twice": (["-B", "one:/mnt", "-B", "two:/mnt"], LIST),
    "bind twice the same": (["-B", "one:/mnt", "-B", "one:/mnt"], LIST),
    "bind over the root": (["-B", "one:/"], LIST),
    "bind by environment": ([], LIST + "; echo $APPTAINER_BIND $SINGULARITY_BIND", {"SINGULARITY_BIND": f"{W}/one:/mnt"}),
    "bind by both": (["-B", "one:/mnt"], LIST + "; echo $APPTAINER_BIND", {"APPTAINER_BIND": f"{W}/two:/new/deep"}),
    "mount": (["--mount", f"type=bind,source={W}/one,target=/mnt,ro"], LIST),
    "mount of another type": (["--mount", "type=tmpfs,dst=/mnt"], LIST),
    "home": (["-H", f"{W}/one:/hh"], WHERE + "; ls -A /hh; cat /etc/passwd"),
    "home, one path": (["-H", f"{W}/one"], WHERE),
    "home, contained": (["-c", "-H", f"{W}/one:/hh"], WHERE),
    "home over the working folder": (["-H", f"{W}/one:/home/user"], WHERE),
    "home that is not there": (["-H", "/no/such"], WHERE),
    "no home": (["--no-home"], WHERE),
    "contained": (["-c"], WHERE + "; ls -A /tmp /var/tmp; touch /tmp/x /var/tmp/x ~/x && ls /tmp"),
    "containall": (["-C"], WHERE + "; ls -A /tmp /var/tmp"),
    "working folder": (["--pwd", "/srv"], WHERE),
    "working folder, empty": (["--pwd", ""], WHERE),
    "working folder, relative": (["--pwd", "one"], WHERE),
    "working folder, missing": (["--pwd", "/no/such"], WHERE),
    "working folder, a file": (["--cwd", "/srv/replaced"], WHERE),
    "workdir": (["-c", "-W", f"{W}/two"], "touch /tmp/a /var/tmp/b ~/c; ls -A ~ /tmp /var/tmp"),
    "workdir that cannot be": (["-c", "-W", "/no/such"], "echo started"),
    "scratch": (["-S", "/scr,/a/b"], "touch /scr/x /a/b/y; ls -A /scr /a/b"),
    "scratch, relative": (["-S", "rel"], "ls -d /rel"),
    "writable": (["--writable-tmpfs"], "touch /x /etc/z; echo new > /srv/replaced; cat /srv/replaced; ls -d /x /etc/z"),
    "read-only": ([], "touch /x /srv/x 2>&1"),
    **{f"no mount of {word}": (["--no-mount", word], "ls -d ~; cat /tmp/cw/text; [ -s /etc/hosts ] && echo hosts; [ -e /sys/kernel ] && echo sys")
       for word in ("home", "tmp", "sys", "cwd", "home,cwd", "bind-paths", "/etc/hosts", "no-such-word")},
    "env": (["--env", "A=1,B=two words", "--env", "C=$GREETING"], SHOW),
    "env, literal": (["--no-eval", "--env", "C=$GREETING"], SHOW),
    "env, no assignment": (["--env", "A"], []),
    "env of three sources": (["--env-file", "env1", "--env", "A=2"], SHOW, {"APPTAINERENV_A": "3", "SINGULARITYENV_E": "4"}),
    "env files": (["--env-file", "env1", "--env-file", "env2"], SHOW),
    "env file that goes elsewhere": (["--env-file", "env3"], 'echo "$P"; pwd'),
    "env file missing": (["--env-file", "no-such"], SHOW),
    "env of both prefixes": ([], SHOW, {"SINGULARITYENV_A": "s", "APPTAINERENV_A": "a", "SINGULARITYENV_B": "b"}),
    "env of the host": ([], SHOW, {"A": "h", "GREETING": "host", "LD_LIBRARY_PATH": "/h"}),
    "env clean": (["-e"], SHOW + "; echo $LANG $TERM", {"A": "h", "SINGULARITYENV_B": "b", "TERM": "t"}),
    "path of the host": ([], "echo ${USER_PATH%%:*}", {"PATH": "/first:/usr/bin"}),
    "path of the host, clean": (["-e"], "echo ${USER_PATH-none}", {"PATH": "/first:/usr/bin"}),
    "path": ([], SHOW, {"SINGULARITYENV_PREPEND_PATH": "/pre", "APPTAINERENV_APPEND_PATH": "/app"}),
    "option by environment": ([], WHERE, {"SINGULARITY_CONTAIN": "true"}),
    "flag with a value": (["--contain=false"], WHERE),
    "glued flags": (["-ceB", "one:/mnt"], LIST),
    "end of options": (["--no-home", "--"], ["echo", "--", "-x"]),
    "unknown option": (["--no-such"], ["true"]),
    "account": ([], "id; id -un; cat /etc/group"),
    "umask": (["--no-umask"], "umask"),
    "processes": (["--pid"], "[ $$ -lt 100 ] && cat /proc/1/cmdline > /tmp/cw/null && echo few"),
    "exit status": (["-p"], "exit 42"),
    "killed": ([], "kill -9 $$"),
    "aborted": ([], "kill -ABRT $$"),
    "killed in an own PID namespace": (["-p"], "kill -9 $$"),
    "program missing": ([], ["no-such"]),
    "program is a folder": ([], ["/srv"]),
    "program is no program": ([], ["/srv/replaced"]),
    "program without a name": ([], [""]),
}

DIRECTORIES = ["/", "/home/user", "/tmp/cw", "/etc", "/usr", "/usr/share", "/srv", "/proc", "/dev/shm", "/home/user/w/link", "/run"]


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Both mount images through it."""


@pytest.fixture
def both(apptainer, sifrun):
    """Runs a command line under each program, in a fresh folder, and gives both results."""

    def run(line, cwd=W, **options):
        results = []
        for program in ("apptainer", sifrun):
            results.append(apptainer.prepared(PREPARE, [program, "--silent", *line], cwd, **options))
        return results

    return run


def outcome(done):
    """Usage errors print a page of help on standard output with Apptainer only."""
    return done.returncode, "" if done.returncode == 1 and "--help' for more" in done.stdout else done.stdout


@pytest.mark.parametrize("name", LINES)
def test_exec(name, both, busybox_sif):
    options, command, *environment = LINES[name]
    words = command if isinstance(command, list) else ["sh", "-c", command]
    reference, done = both(["exec", *options, str(busybox_sif), *words], env=dict(*environment))
    same = outcome(done) == outcome(reference)
    assert same == (name not in DIFFERENT), (outcome(done), done.stderr, outcome(reference), reference.stderr)


# TYPE and command of --fusemount, and other options.
FUSE_PROGRAMS = {
    "of the host": ("host:squashfuse_ll FILE /mnt", []),
    "told to stay": ("host:squashfuse_ll -f FILE /mnt", []),
    "with blanks": ("host:  squashfuse_ll   FILE  /mnt ", []),
    "own processes": ("host:squashfuse_ll FILE /mnt", ["-p"]),
    "contained": ("host:squashfuse_ll FILE /mnt", ["-C"]),
    "by environment": ("", []),
    "on nothing": ("host:squashfuse_ll FILE /no/such", []),
    "in a bind": ("host:squashfuse_ll FILE /srv/nest", ["-B", "one:/srv"]),
    "in the background": ("host-daemon:squashfuse_ll FILE /mnt", []),
    "of the image": ("container:squashfuse_ll FILE /mnt", []),
    "of the image, own processes": ("container:squashfuse_ll FILE /mnt", ["-p"]),
    "of the image, in the background": ("container-daemon:squashfuse_ll FILE /mnt", []),
    "that is not there": ("host:/no/such /mnt", []),
    "that the image lacks": ("container:no-such /mnt", []),
    "that fails": ("host:false /mnt", []),
    "that fails in the background": ("host-daemon:false /mnt", []),
    "of an unknown type": ("guest:true /mnt", []),
    "without a path": ("host:true", []),
    "on the root": ("host:squashfuse_ll FILE /", []),
    "on a relative path": ("host:squashfuse_ll FILE mnt", []),
}


@pytest.mark.parametrize("name", FUSE_PROGRAMS)
def test_fuse_programs(name, both, apptainer, busybox_sif, fuse_device):
    """Programs that serve a folder inside, of the host or of the image, which has the host's here."""
    assert apptainer.command(["sh", "-c", "mkdir -p ~/q && echo served > ~/q/file && mksquashfs ~/q ~/q.sqf -noappend -quiet"]).returncode == 0
    spec, options = FUSE_PROGRAMS[name]
    spec = spec.replace("FILE", "/home/user/q.sqf")
    environment = {} if spec else {"APPTAINER_FUSESPEC": "host:squashfuse_ll /home/user/q.sqf /mnt"}
    options = [*options, "-B", "/usr,/lib,/lib64,/home/user", *(["--fusemount", spec] if spec else [])]
    where = (spec or "/mnt").split()[-1]
    script = f"for i in 1 2 3 4 5 6 7 8 9; do cat {where}/file 2>/dev/null && break; sleep 0.1; done; sed -n 's/.* - fuse fuse/fuse/p' /proc/self/mountinfo"
    reference, done = both(["exec", *options, str(busybox_sif), "sh", "-c", script], env=environment)
    same = outcome(done) == outcome(reference)
    assert same == (f"fuse program {name}" not in DIFFERENT), (outcome(done), done.stderr, outcome(reference), reference.stderr)
    wait_until(lambda: not programs_of("/home/user/q.sqf"), 10)  # they end with the container


def programs_of(file):
    found = []
    for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [line] if file.encode() in line.read_bytes() else []
        except OSError:
            pass  # it has ended
    return found


@pytest.mark.parametrize("options", [[], ["--contain"], ["--no-home"]], ids=["plain", "contained", "no home"])
@pytest.mark.parametrize("cwd", DIRECTORIES)
def test_start_folder(cwd, options, both, busybox_sif):
    reference, done = both(["exec", *options, str(busybox_sif), "sh", "-c", "pwd; echo $PWD $HOME"], cwd=cwd)
    assert outcome(done) == outcome(reference), (done.stderr, reference.stderr)


@pytest.mark.parametrize("line", ["shell IMAGE", "shell --shell /bin/sh IMAGE", "shell -s /no/such IMAGE", "shell IMAGE ignored", "run -e IMAGE", "test IMAGE"])
def test_input(line, both, busybox_sif):
    words = line.replace("IMAGE", str(busybox_sif)).split()
    reference, done = both(words, input="echo at $PWD; no-such 2>/dev/null; exit 5\n")
    assert outcome(done) == outcome(reference), (done.stderr, reference.stderr)


def test_mount_point_in_a_host_folder_stays(both, apptainer, busybox_sif):
    """It is made in the folder that the user bound, as Apptainer does."""
    both(["exec", "-B", "one:/mnt", "-B", "two:/mnt/made", str(busybox_sif), "true"])
    assert apptainer.command(["ls", f"{W}/one"]).stdout.split() == ["1", "made", "nest"]
