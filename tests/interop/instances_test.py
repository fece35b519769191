# SPDX-License-Identifier: Apache-2.0
"""Instances of both programs side by side: each script runs with one, then with the other, and says the same."""
import re

import pytest

# P is the program, I the image. Everything that a script starts it stops. A shell that starts a program is two processes of one name for a moment.
SCRIPTS = {
    "life": "P instance list; P instance start $I web1 a b 'c d'; echo $?; P instance list | sed 's/[0-9][0-9]* */N /'; P instance stop web1; echo $?; P instance list",
    "logs": "P instance start $I web1 a 'b c'; P instance list -l | tr -s ' '; begun; P instance stop web1; cat ~/.apptainer/instances/logs/*/*/web1.out",
    "json": "P instance list --json; P instance start $I web1; P instance list --json; P instance list --json no; P instance list --json 'w*1'; P instance stop -a",
    "names": "for n in ok-1 ok_2 ok.3 bad/name 'bad name' bad:x; do P instance start $I \"$n\"; echo $?; done; P instance list | tr -s ' '; P instance stop -a; echo $?",
    "all and one": "P instance start $I one; P instance start $I two; P instance stop -a one; echo $?; P instance list | wc -l; P instance stop -a; echo $?",
    "twice": "P instance start $I web1; P instance start $I web1; echo $?; P instance stop web1; P instance stop web1; echo $?; P instance stop -a; echo $?",
    "patterns": "for n in a1 a2 b1; do P instance start $I $n; done; P instance stop 'a*'; echo $?; P instance list | tr -s ' '; P instance stop '?1'; P instance list",
    "usage": "P instance start $I; echo $?; P instance stop; echo $?; P instance list one two; echo $?; P instance list --json --logs; echo $?; P instance list -u root; echo $?",
    "run": "P instance run $I web1 x y; begun; P instance list | tr -s ' '; P instance stop web1; cat ~/.apptainer/instances/logs/*/*/web1.out",
    "stop by INT": "P instance start $I web1; begun; P instance stop web1; cat ~/.apptainer/instances/logs/*/*/web1.out",
    "stop by TERM": "P instance start $I web1; begun; P instance stop -s SIGTERM web1; cat ~/.apptainer/instances/logs/*/*/web1.out",
    "stop by number": "P instance start $I web1; begun; P instance stop -s 15 web1; cat ~/.apptainer/instances/logs/*/*/web1.out",
    "stop by force": "P instance start $I web1; begun; P instance stop -F web1; echo $?; cat ~/.apptainer/instances/logs/*/*/web1.out; P instance list",
    "stop that takes too long": "P instance start $I web1; begun; P instance stop -s USR1 -t 1 web1; echo $?; cat ~/.apptainer/instances/logs/*/*/web1.out; sleep 0.2; P instance list",
    "bad signal": "P instance start $I web1; P instance stop -s NOPE web1; echo $?; P instance stop web1",
    "pid file": "P instance start --pid-file $HOME/pid $I web1; P instance list --json | grep -c $(cat $HOME/pid); P instance stop web1",
    "exec": "P instance start $I web1; P exec instance://web1 sh -c 'echo $$ | wc -l; exit 7'; echo $?; P exec instance://web1 no-such; echo $?; P exec instance://web1; echo $?; P instance stop web1",
    "processes": "P instance start $I web1; P exec instance://web1 sh -c 'while ! ps -o args | grep -q [s]tartscript; do :; done; ps -o args | grep [s]tartscript | sort -u | wc -l; [ $$ -lt 100 ] && echo few'; P instance stop web1",
    "environment": "P instance start --env B=2 $I web1; A=1 P exec --env C=3 instance://web1 sh -c 'echo $A,$B,$C,$FOO,$GREETING,$HOME,$PATH; env | grep -E \"^(APPTAINER|SINGULARITY)_\" | grep -v ENVIRONMENT= | sort'; P instance stop web1",
    "clean environment": "P instance start $I web1; A=1 P exec -e instance://web1 sh -c 'echo $A,$FOO,$LANG'; P instance stop web1",
    "folders": "P instance start $I web1; P exec instance://web1 pwd; cd /tmp; P exec instance://web1 pwd; P exec --pwd /bin instance://web1 pwd; P exec --pwd /no/such instance://web1 pwd; echo $?; P instance stop web1",
    "binds": "mkdir -p ~/wi/x; P instance start --bind ~/wi:/mnt $I web1; P exec instance://web1 sh -c 'ls /mnt; echo $APPTAINER_BIND'; P exec --bind /tmp:/opt instance://web1 ls /opt; echo $?; P instance stop web1",
    "run and shell and test": "P instance start $I web1; P run instance://web1 x 'y z'; echo 'echo in shell; exit 5' | P shell instance://web1; echo $?; P test instance://web1; echo $?; P instance stop web1",
    "host name": "P instance start --hostname other $I web1; P exec instance://web1 hostname; P instance stop web1",
    "contained": "P instance start --containall --writable-tmpfs $I web1; P exec instance://web1 sh -c 'touch /x && ls /x; echo kept > /tmp/kept'; P exec instance://web1 cat /tmp/kept; P instance stop web1",
    "no such": "P exec instance://nope true; echo $?; P shell instance:// ; echo $?; P exec instance://bad/name true; echo $?; P instance start /no/such web1; echo $?; P instance list",
    "stats": "P instance start $I web1; P instance stats web1; echo $?; P instance stop web1",
}

# Until the image's script, which `start` and `run` do not wait for, has said its first words; both write to one file, half a minute at most.
WAIT = r"""begun() { n=0; while ! grep -qsE '^(start|run)' ~/.apptainer/instances/logs/*/*/web1.out; do n=$((n+1)); [ $n -lt 300 ] || return; sleep 0.1; done; };"""

# Why sifrun does otherwise, of exactly these.
DIFFERENT = {}


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Both mount images through it."""


def without_numbers(text, image):
    text = re.sub(r'"pid": \d+', '"pid": N', text)
    return re.sub(r"^(\S+) \d+ ", r"\1 N ", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_instance(name, apptainer, sifrun, scripted_sif):
    outcomes = []
    for program in ("apptainer", sifrun):
        script = f'P() {{ {program} --silent "$@"; }}; I={scripted_sif}; rm -rf ~/wi ~/pid ~/.apptainer/instances/logs; {WAIT} mkdir -p ~/wi; cd ~/wi; ' + SCRIPTS[name]
        done = apptainer.command(["sh", "-c", script], timeout=120)
        outcomes.append((done.returncode, without_numbers(done.stdout, scripted_sif), done.stderr))
    usage = re.compile(r"^Usage:.*?(?=^\d+$)", re.MULTILINE | re.DOTALL)  # pages of help that come with Apptainer's usage errors
    theirs, ours = ((code, usage.sub("", text)) for code, text, _ in outcomes)
    assert (ours == theirs) == (name not in DIFFERENT), (ours, theirs, outcomes[1][2], outcomes[0][2])
