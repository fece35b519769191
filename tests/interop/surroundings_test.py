# SPDX-License-Identifier: Apache-2.0
"""Careless and odd callers side by side: each script runs with one program, then with the other, and says the same but for those in differences.py.

P is the program, I an image, T an archive. What each has to say on standard error differs; that a failure says something is checked.
"""
import re
import subprocess

import pytest

from differences import SURROUNDINGS as DIFFERENT

CONVERTING = {
    "pull": "P pull docker-archive:a.tar; P pull docker-archive:a.tar; echo $?; P pull --force docker-archive:a.tar; echo $?; ls",
    "pull into a folder": "mkdir d; P pull --dir d docker-archive:a.tar; P pull --dir d y.sif docker-archive:a.tar; P pull --dir no/such docker-archive:a.tar; echo $?; find . | sort",
    "pull of a name": "P pull --name x.sif docker-archive:a.tar; P pull --name '' docker-archive:a.tar; echo $?; P pull '' docker-archive:a.tar; echo $?; ls",
    "pull over a folder": "mkdir d; for f in '' --force; do P pull $f d docker-archive:a.tar; echo $?; done; find . | sort",
    "pull of absolute paths": "mkdir d; P pull $PWD/x.sif docker-archive:$PWD/a.tar; echo $?; P pull --dir d $PWD/y.sif docker-archive:a.tar; echo $?; find . | sort",
    "pull by environment": "mkdir p q; APPTAINER_PULLDIR=p SINGULARITY_PULLDIR=q P pull x.sif docker-archive:a.tar; APPTAINER_FORCE=1 P pull --dir p x.sif docker-archive:a.tar; echo $?; "
                           "find . | sort",
    "pull from nothing": "for s in docker-archive: docker-archive:/no/such docker-archive:$PWD docker-archive:/etc/passwd '' bogus://x oci: oci:/no/such; do P pull $s; echo $?; done; ls",
    "build": "P build x.sif docker-archive:a.tar; P build x.sif docker-archive:a.tar; echo $?; P build --force x.sif docker-archive:a.tar; echo $?; ls",
    "build nowhere": "mkdir ro; chmod 555 ro; for f in no/such/x.sif ro/x.sif '' /; do P build \"$f\" docker-archive:a.tar; echo $?; done; P build x.sif ''; echo $?; ls -A . ro",
    "build over a folder": "mkdir d; echo mine > d/file; for f in '' --force; do P build $f d docker-archive:a.tar; echo $?; done; ls -ld d | cut -c1",
    "build of a closed folder": "d=$(mktemp -d); mkdir $d/bin; P build x.sif $d; P build -s y x.sif; stat -c %a y; rm -r $d",
    "build over links": "echo text > real; ln -s real x; P build x docker-archive:a.tar; echo $?; P build -F x docker-archive:a.tar; echo $?; cat real; ls",
    "build over a dangling link": "ln -s nowhere x; P build x docker-archive:a.tar; echo $?",
    "build of folders": "P build -s d docker-archive:a.tar; P build -s d docker-archive:a.tar; echo $?; P build -F -s d docker-archive:a.tar; echo $?; touch f; P build -s f docker-archive:a.tar; echo $?; "
                        "P build z.sif d; echo $?; P build z2.sif no-such; echo $?; P exec z.sif cat /srv/replaced; ls",
    "build of images": "cp $I in.sif; P build out.sif ./in.sif; echo $?; P build out2.sif file:in.sif; echo $?; P build in.sif in.sif; echo $?; P exec out.sif cat /srv/replaced; ls",
    "build in place": "cp $I in.sif; P build -F in.sif in.sif; echo $?",
    "blanks": "mv a.tar 'a b.tar'; P build 'x y.sif' 'docker-archive:a b.tar'; P exec 'x y.sif' echo hi; P exec 'docker-archive:a b.tar' echo there; ls",
    "modes": "for u in 022 077; do umask $u; P pull $u.sif docker-archive:a.tar; P build b$u.sif docker-archive:a.tar; P build -s d$u docker-archive:a.tar; done; stat -c '%a %n' *",
    "cache elsewhere": "APPTAINER_CACHEDIR=rel P exec docker-archive:a.tar echo hi; export APPTAINER_CACHEDIR=$PWD/abs SINGULARITY_CACHEDIR=$PWD/other; P exec docker-archive:a.tar echo hi; ls; "
                       "unset APPTAINER_CACHEDIR; P exec docker-archive:a.tar echo hi; ls; APPTAINER_DISABLE_CACHE=1 APPTAINER_CACHEDIR=$PWD/none P exec docker-archive:a.tar echo hi; ls",
    "cache in a read-only home": "export HOME=$PWD/home; mkdir home; chmod 555 home; P exec docker-archive:a.tar echo hi; echo $?; P exec $I echo hi; echo $?; "
                                 "P pull x.sif docker-archive:a.tar; echo $?; ls -A home .",
    "cache that may not be entered": "export HOME=$PWD/home; mkdir -p home/.apptainer; chmod 0 home/.apptainer; P exec docker-archive:a.tar echo hi; echo $?; P exec $I echo hi; echo $?; ls -A home",
    "temporary folder missing": "TMPDIR=/no/such P exec $I echo hi; echo $?; APPTAINER_TMPDIR=/no/such P exec --disable-cache docker-archive:a.tar echo hi; echo $?",
}
RUNNING = {
    "closed input": "P exec $I echo hi <&-; echo $?",
    "closed output": "P exec $I true >&-; echo $?; P exec $I sh -c 'echo hi; exit 3' <&- >&- 2>&-; echo $?",
    "closed output that is written to": "P exec $I echo hi >&-; echo $?",
    "full output": "P exec $I echo hi >/dev/full || echo failed; P --version >/dev/full || echo failed; P sif dump 4 $I >/dev/full || echo failed; P exec --help >/dev/null; echo $?",
    "full output of a list": "P sif list $I >/dev/full || echo failed; P inspect $I >/dev/full || echo failed",
    "pipes": "yes | P exec $I sh -c 'read a; echo $a'; P exec $I sh -c 'while echo y; do :; done' 2>/dev/null | head -1; P sif dump 4 $I 2>/dev/null | head -c 10 | wc -c",
    "no HOME": "for d in . /; do cd $d; (unset HOME; P exec $I sh -c 'echo $HOME; pwd'); for h in '' /no/such relative; do HOME=$h P exec $I sh -c 'echo $HOME; pwd'; done; done",
    "no PATH": "p=$(command -v $PROGRAM); PATH= $p --silent exec $I /bin/echo hi; (unset PATH; $p --silent exec $I echo hi); env -i $p --silent exec $I /bin/sh -c 'echo $PATH; echo $HOME; pwd'",
    "large environment": "A=$(head -c 100000 /dev/zero | tr '\\0' a); export A; for i in $(seq 3000); do export V$i=value$i; done; P exec $I sh -c 'echo ${#A} $V3000'; echo $?",
    "odd environment": "env 'BASH_FUNC_f%%=() { echo f; }' 'a.b=c' 'x y=z' $PROGRAM --silent exec $I env | grep -E '^(BASH_FUNC|a.b|x y)'; "
                       "env APPTAINERENV_=x APPTAINERENV_1A=b APPTAINERENV_A-B=c $PROGRAM --silent exec $I echo ok",
    "folder that is gone": "mkdir gone; cd gone; rmdir ../gone; P exec $I pwd; P exec $I sh -c 'echo $HOME'; P build x.sif docker-archive:$T; echo $?; P inspect $I | wc -l",
    "folder that is gone, another one chosen": "mkdir gone; cd gone; rmdir ../gone; P exec --pwd /bin $I pwd",
    "folder behind a closed one": "mkdir -p a/b; cd a/b; chmod 0 ..; P exec $I pwd; echo $?; cd ../..; chmod 755 a",
    "folder that is closed": "mkdir a; cd a; chmod 0 .; P exec $I pwd; echo $?; cd ..; chmod 755 a",
    "folder below another bind": "mkdir -p d/wd /tmp/wd; echo host >/tmp/wd/host; echo d >d/wd/d; cd /tmp/wd; P exec -B ~/ws/d:/tmp $I sh -c 'pwd; ls'; P exec --pwd /tmp/wd -B ~/ws/d:/tmp $I sh -c 'pwd; ls'; "
                                 "rm -r ~/ws/d/wd; P exec -B ~/ws/d:/tmp $I sh -c 'pwd; ls'; ls ~/ws/d; rm -r /tmp/wd",
    "folder inside another bind": "mkdir -p x /tmp/wd/sub /tmp/big/sub/x other; cd /tmp/wd/sub; P exec -B ~/ws/x:/tmp/wd $I sh -c 'pwd; ls'; cd /tmp/big/sub/x; P exec -B ~/ws/other:/tmp/big/sub $I sh -c 'pwd; ls ..'; "
                                  "cd /tmp/wd/sub; P exec -H ~/ws/x:/tmp/wd $I sh -c 'pwd; ls; echo $HOME'; rm -r /tmp/wd /tmp/big",
    "home below a bind": "mkdir -p x sub; touch sub/f; for c in . sub; do cd $c; for b in /home ~ ~/ws; do P exec -B ~/ws/x:$b $I sh -c 'pwd; ls -a; ls -a /home/user | grep -v [.]; echo $HOME'; find ~/ws/x; rm -r ~/ws/x; mkdir ~/ws/x; done; done; "
                         "cd /tmp; P exec -B ~/ws/x:/home $I sh -c 'pwd; ls -a /home /home/user; echo $HOME'; find ~/ws/x",
    "several mounts in one value": "mkdir one two; touch one/1 two/2; APPTAINER_MOUNT=$'type=bind,src=one,dst=/mnt\ntype=bind,src=two,dst=/srv' P exec $I ls /mnt /srv; "
                                   "P exec --mount $'type=bind,src=one,dst=/mnt\r\n\ntype=bind,src=two,dst=/srv\n' $I ls /mnt /srv; P exec --mount 'type=bind,src=one,dst=\"/mnt\"' $I true; echo $?; "
                                   "mkdir 'a\"b,c'; touch 'a\"b,c/3'; P exec --mount 'type=bind,\"src=a\"\"b,c\",dst=/mnt' $I ls /mnt",
    "blanks around values": "mkdir one two; touch one/1 two/2; P exec -B 'one:/mnt, two:/srv' $I ls /mnt /srv; APPTAINER_BIND='one:/mnt ,two:/srv' P exec $I ls /mnt /srv; APPTAINER_BINDPATH=', ' P exec $I true; echo $?; "
                            "P exec -B 'one: /mnt' -B $'two:/srv: ro\t' $I ls /mnt /srv; for e in 'A=1, B=2' ' A=1' 'A= 1'; do P exec --env \"$e\" $I sh -c 'echo \"[$A][$B]\"'; done",
    "scripts without a first line": ": > e; echo 'echo script' > s; chmod +x e s; P exec $I ./e; echo $?; P exec $I ./s; P run $I no-such; echo $?",
    "options of a site": "for v in APPTAINER_CPUS=1 APPTAINER_BOOT=1 SINGULARITY_DMTCP_LAUNCH=x; do env $v $PROGRAM --silent exec $I echo hi; done",
    "name of the terminal": "script -qec \"$PROGRAM --silent exec -c $I sh -c 'stat -c %t:%T /dev/console; stat -L -c %t:%T /dev/stdin; ls /dev/pts'\" /dev/null",
    "limits": "ulimit -n 20; P exec $I sh -c 'ulimit -n'; ulimit -v 4000000; P exec $I sh -c 'ulimit -v'; ulimit -c 0; P exec $I sh -c 'ulimit -c'; ulimit -n 8; P exec $I true; echo $?",
    "limits too small for Go": "ulimit -f 0; P exec $I echo hi; echo $?; ulimit -v 100000; P exec $I echo hi; echo $?",
    "odd names": "cp $I 'a\nb.sif'; cp $I ' lead.sif'; cp $I ./-x.sif; cp $I 'q\"$(id)`x`.sif'; P exec 'a\nb.sif' sh -c 'echo \"$APPTAINER_NAME\"; echo \"$APPTAINER_CONTAINER\"'; P exec ' lead.sif' echo lead; "
                 "P exec -- -x.sif echo dash; P exec ./-x.sif echo dash; P exec 'q\"$(id)`x`.sif' sh -c 'echo \"$APPTAINER_NAME\"'",
    "quoting": r"""P exec $I echo '' "a  b" '$(id)' '`id`' '"' "'" '\' '\n' 'new
line' -- -x --bind; P exec $I sh -c 'for a; do echo "[$a]"; done' sh '' ' ' '*' '~' '$HOME'; P exec $I ''; echo $?""",
    "options after the image": "P exec $I echo --bind -c --; P exec $I --bind; echo $?; P exec $I -- echo hi; echo $?; P exec --bind; echo $?; P test $I --help; echo $?",
    **{f"empty {option}": f"P exec {option} '' $I sh -c 'echo ran'; echo $?" for option in (
        "--bind", "--mount", "--overlay", "--env", "--env-file", "--workdir", "--scratch", "--app", "--hostname", "--no-mount", "--security", "--network", "--dns", "--add-caps", "--pwd",
        "--home")},
    "empty image": "P exec '' true; echo $?; P run ''; echo $?; P inspect ''; echo $?; P instance start '' name; echo $?; P instance list",
    "environment of options": "SINGULARITY_CONTAIN=TRUE P exec $I pwd; APPTAINER_CONTAIN=0 SINGULARITY_CONTAIN=1 P exec $I pwd; APPTAINER_CONTAIN=1 P exec --contain=false $I pwd; APPTAINER_PWD=/bin APPTAINER_CWD=/etc P exec $I pwd; "
                              "SINGULARITY_TARGET_PWD=/bin P exec $I pwd; APPTAINER_ENV_FILE=/no/such P exec $I true; echo $?; APPTAINER_HOME=$PWD:/hh P exec $I sh -c 'echo $HOME'; APPTAINER_BIND= SINGULARITY_BIND=$PWD:/mnt P exec $I ls /mnt; "
                              "APPTAINER_BIND=$PWD:/mnt APPTAINER_BINDPATH=/etc:/opt P exec $I ls -d /mnt/a.tar /opt/passwd; APPTAINER_MOUNT=type=bind,src=$PWD,dst=/mnt P exec $I ls /mnt",
    "values of --env": "P exec --env 'A=x y' --env \"B=it's\" --env 'C=a\nb' --env 'D=\\\\' --env '\"E=1,2\"' --env '\"F=1\",G=2' $I sh -c 'echo \"$A|$B|$C|$D|$E|$F|$G\"'",
    "quotes in a value of --env": "P exec --env 'A=\"q\"' $I sh -c 'echo \"$A\"'",
}
OVERLAYS = {
    "overlay kept": "mkdir o; P exec -o o $I sh -c 'echo x > /new'; ls o o/upper; P exec -o o:ro $I cat /new; P exec -o $PWD/o $I cat /new; cd o; P exec -o . $I cat /new; P exec -o ../o:rw $I cat /new; find . ! -path '*/upper*' 2>/dev/null | sort",
    "overlay of names": "mkdir 'o b' o,c o:d; P exec -o 'o b' $I true; echo $?; P exec -o o,c $I true; echo $?; P exec -o '\"o,c\"' $I true; echo $?; P exec -o o:d $I true; echo $?; find . | sort | grep -v work/",
    "overlay twice": "mkdir o; P exec -o o $I touch /x; P exec -o o -o o:ro $I true; echo $?; P exec -o o -o o $I true; echo $?; P exec -o o:ro --writable-tmpfs $I ls /x; P exec -o o --compat $I true; echo $?; P exec -o o -C $I ls /x; P exec -o o -w $I true; echo $?",
    "overlay by environment": "mkdir o p; APPTAINER_OVERLAY=$PWD/o P exec $I touch /e; APPTAINER_OVERLAY=$PWD/o P exec -o p $I touch /p; SINGULARITY_OVERLAYIMAGE=p P exec $I ls /p; ls o/upper p/upper",
    "overlay that may not be written to": "mkdir -p o/upper/etc p; echo x > o/upper/etc/x; chmod 555 o p; P exec -o o $I cat /etc/x; echo $?; P exec -o p $I ls /srv/replaced; P exec -o o $I touch /y 2>/dev/null; echo $?; find . | sort",
    "overlay that is none": "mkdir -p o/upper; touch o/work f; P exec -o o $I true; echo $?; rm o/work; ln -s /tmp o/work; P exec -o o $I true; echo $?; P exec -o f $I true; echo $?",
    "working directory under another home": "mkdir -p w/h/w; touch w/real w/h/w/fake; cd w; for o in \"-B $PWD/h:$HOME\" \"-B $PWD/h:/home\" \"--no-home -B $PWD/h:/home\" \"--no-mount home -B $PWD/h:$HOME\" \"-H $PWD/h\"; do "
                                           "P exec $o $I sh -c 'pwd; ls' 2>/dev/null; ls h; rm -rf h/user h/ucp; done",
    "working directory of the system": "cd /bin; P exec $I /bin/sh -c \"grep -c ' /usr/bin ' /proc/self/mountinfo\"; cd /sbin; P exec $I /bin/sh -c \"grep -c ' /usr/sbin ' /proc/self/mountinfo\"",
    "overlay through a link": "mkdir real; ln -s real l; P exec -o l $I touch /x; find . -name x",
    "overlay of a bind's mount point": "mkdir o; P exec -o o -B $PWD:/mnt/x/y $I ls /mnt/x/y; ls -A o/upper",
    "overlay of two at once": "mkdir -p o/upper o/work; P exec -o o $I sh -c 'echo a > /a; sleep 1.5' & sleep 0.5; P exec -o o $I sh -c 'echo b > /b'; wait; ls o/upper",
    "overlay of an instance": "mkdir o; P instance start -o o $I ov; P exec instance://ov sh -c 'echo inst > /inst'; P instance stop ov; P exec -o o $I cat /inst",
}
# With a range of ids of its own for the user.
FAKEROOT = {
    "fakeroot": "P exec -f $I sh -c 'cat /proc/self/uid_map; id; touch /tmp/f && chown 5:6 /tmp/f && ls -ln /tmp/f | cut -c1-40; rm /tmp/f; echo $HOME; pwd'; echo $?",
    "fakeroot and an overlay": "mkdir o; P exec -f -o o $I sh -c 'touch /f && chown 7:8 /f; mkdir -m 700 /d; chown 9 /d; touch /d/in'; stat -c '%u %g %a %n' o/upper/*; P exec -f -o o $I sh -c 'stat -c \"%u %g\" /f /d/in; rm -r /d'; "
                               "P exec -o o $I stat -c '%u %g' /f; P exec -f -B $PWD:/mnt $I rm -rf /mnt/o/upper; ls o",
    "fakeroot of a folder": "P build -s d $I; P exec -f -w d sh -c 'touch /mine; chown 3:3 /mine'; stat -c '%u %g' d/mine",
    "fakeroot by environment": "SINGULARITY_FAKEROOT=1 P exec $I id -u; P exec -f --ignore-subuid $I cat /proc/self/uid_map; P exec -f --security uid:5 $I id; P exec -f --no-privs $I grep CapEff /proc/self/status; "
                               "P exec -f --net --network none $I wc -l < /proc/self/status | wc -l",
    "fakeroot in an instance": "P instance start -f $I fr; P exec instance://fr id; P exec -f instance://fr id; P instance stop fr; echo $?",
}
SIF_FILES = {
    "sif header": "for f in '' /no/such . /etc/passwd $I; do P sif header \"$f\" >/dev/null; echo $?; done; P sif header $I | grep -v -e At -e ID; P sif header; echo $?; P sif header a b; echo $?",
    "sif info": "for i in x 0 -1 0x1 010 ' 1' +1 4294967297 99 ''; do P sif info \"$i\" $I; echo $?; done; P sif info -- -1 $I; echo $?; P sif info 1; echo $?; P sif info 1 $I | grep -v At",
    "sif dump": "P sif dump 1 $I; P sif dump 99 $I; echo $?; P sif dump 1; echo $?",
    "sif new": "mkdir d; for f in d no/such/x ''; do P sif new \"$f\"; echo $?; done; P sif new a b; echo $?; echo text > f; P sif new f; echo $?; P sif list f",
    "sif add": "cp $I x; chmod 644 x; echo data > data; for a in '--datatype 0x7' '--datatype 07' '--datatype -1' '--datatype 7 --groupid 0x10' '--datatype 7 --groupid -1' '--datatype 7 --link 77' '--datatype 7 --alignment 3' "
               "'--datatype 7 --filename'; do P sif add $a x data >/dev/null; echo $?; done; P sif list x; P sif info 7 x | grep -v At",
    "sif add of odd files": "cp $I x; chmod 644 x; : > empty; P sif add --datatype 7 x .; echo $?; P sif add --datatype 7 x empty; echo $?; P sif add --datatype 7 x -; echo $?; echo in | P sif add --datatype 7 x /dev/stdin; echo $?; "
                            "P sif add --datatype 7 x /dev/null; echo $?; P sif list x; chmod 444 x; P sif add --datatype 7 x empty; echo $?; P sif del 1 x; echo $?; P sif setprim 1 x; echo $?",
    "sif del": "cp $I x; chmod 644 x; P sif del 4 x; P exec x true; echo $?; P inspect x; echo $?; for i in 1 2 3 3; do P sif del $i x; echo $?; done; P sif list x; P inspect x; echo $?",
    "no truth in the environment": "APPTAINER_CONTAIN=no P exec $I true; echo $?",
    "inspect": "mkdir -p d; : > e; for f in d e '' /no/such /etc/passwd docker-archive:$T; do P inspect \"$f\"; echo $?; done; P inspect --app '' $I; P inspect --list-apps $I; P run-help d; echo $?; P run-help e; echo $?",
    "inspect of odd labels": r"""mkdir -p d/.singularity.d/env; for t in '{"a":"b"' '[]' '{"b":"x","a":"line\nnew","é":""}'; do echo "$t" > d/.singularity.d/labels.json; P inspect d; P inspect --json d; done
rm d/.singularity.d/labels.json; mkdir d/.singularity.d/labels.json; P inspect d; P inspect -e d; echo $?""",
}
INSTANCES = {
    "instance of odd names": "for n in 'a b' ../x '*' 'a\nb'; do P instance start $I \"$n\"; echo $?; done; P instance list",
    "instance of an address": "P instance start docker-archive:a.tar ua; echo $?; P exec instance://ua cat /srv/replaced; P instance list | tr -s ' ' | sed 's/ [0-9][0-9]* / N /; s#/[^ ]*/#DIR/#; s/[0-9a-f]\\{64\\}/HASH/'; P instance stop ua",
    "instance of a bad address": "P instance start docker-archive:/no/such ua; echo $?; P instance list",
    "instance and its number": "P instance start --pid-file /no/such/pid $I pf; echo $?; P instance stop pf; touch ro; chmod 444 ro; P instance start --pid-file '' $I pf; echo $?; P instance stop pf; APPTAINER_PID_FILE=$PWD/pid P instance start $I pf; wc -l < pid; P instance stop pf",
    "instance stopped oddly": "P instance start $I so; for t in x 1.5; do P instance stop -t $t so; echo $?; done; P instance stop --signal 99 so; echo $?; P instance stop --signal NO so; echo $?; P instance stop -t 0x5 -s '' so; echo $?; P instance stop so; echo $?",
    "instance killed": "P instance start --pid-file pid $I k1; kill -9 $(cat pid); while kill -0 $(cat pid) 2>/dev/null; do :; done; sleep 1; P instance list; P exec instance://k1 true; echo $?; P instance start $I k1; echo $?; P instance stop k1; echo $?",
    "instance of another home": "export HOME=$PWD/h; mkdir h; P instance start $I q1; echo $?; P exec instance://q1 echo hi; ls -A h; P instance list | wc -l; P instance stop q1; HOME=/home/user P instance list | wc -l",
    "instances at once": "for n in 1 2 3 4; do P instance start $I p$n & done; wait; P instance list | wc -l; P instance stop 'p?'; echo $?; P instance list",
    "instance of another configuration": "APPTAINER_CONFIGDIR=$PWD/cfg P instance start $I cf; P instance list; APPTAINER_CONFIGDIR=$PWD/cfg P instance list | wc -l; ls cfg; APPTAINER_CONFIGDIR=$PWD/cfg P instance stop cf; echo $?",
}
SCRIPTS = {**CONVERTING, **RUNNING, **OVERLAYS, **FAKEROOT, **SIF_FILES, **INSTANCES}
PREPARE = """chmod -R u+rwX ~/ws 2>/dev/null; rm -rf ~/ws; mkdir ~/ws; cd ~/ws; ln -s $T a.tar; P() { $PROGRAM --silent "$@"; }
"""


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Both mount images through it."""


@pytest.fixture
def script(apptainer, sifrun, busybox_sif, busybox_tar, tmp_path):
    """Runs a script under a program."""
    ids = tmp_path / "subuid"
    ids.write_text("user:100000:65536\n")

    def run(text, program, binds=()):
        environment = {"PROGRAM": program, "I": busybox_sif, "T": busybox_tar}
        return apptainer.command(["bash", "-c", PREPARE + text], env=environment, cwd="/home/user", binds=binds, stdin=subprocess.DEVNULL)

    run.ids = [f"{ids}:/etc/subuid", f"{ids}:/etc/subgid"]
    return run


def said(text):
    """Without the pages that Apptainer prints for mistakes, and what a program printed for --help or as its version."""
    text = re.sub(r"^(Usage:|Options for ).*?for more detailed usage information\.\n", "", text, flags=re.M | re.S)
    return re.sub(r"^(apptainer|sifrun) version .*\n", "", text, flags=re.M)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, apptainer, sifrun, script):
    binds = script.ids if name in FAKEROOT else ()
    reference, done = (script(SCRIPTS[name], program, binds) for program in ("apptainer", sifrun))
    same = (done.returncode, said(done.stdout)) == (reference.returncode, said(reference.stdout))
    assert same == (name not in DIFFERENT), (done.stdout, done.stderr, reference.stdout, reference.stderr)
    failures = len(re.findall(r"^255$", done.stdout, re.M))
    assert len(re.findall("^FATAL:", done.stderr, re.M)) >= failures, (done.stdout, done.stderr)
    assert "unexpected failure" not in done.stderr


def test_image_that_may_not_be_entered(script, sifrun):
    done = script("mkdir -p d/bin; chmod 0 d; P exec d true; echo $?; chmod 755 d", sifrun)
    assert (done.stdout, done.stderr) == ("255\n", "FATAL:   cannot enter the folder /home/user/ws/d: Permission denied\n")


MESSAGES = ["", "APPTAINER_DEBUG=1", "SINGULARITY_DEBUG=1", "APPTAINER_VERBOSE=true", "APPTAINER_QUIET=1", "APPTAINER_SILENT=1", "APPTAINER_MESSAGELEVEL=5",
            "APPTAINER_MESSAGELEVEL=2", "APPTAINER_MESSAGELEVEL=-4", "APPTAINER_MESSAGELEVEL=x", "SINGULARITY_MESSAGELEVEL=5", "APPTAINER_DEBUG=1 --debug=false",
            "APPTAINER_QUIET=1 --verbose", "APPTAINER_VERBOSE=1 --quiet", "APPTAINER_NOCOLOR=1", "APPTAINER_DEBUG=0"]


@pytest.mark.parametrize("words", MESSAGES)
def test_messages(words, apptainer, sifrun, script):
    """The kinds of messages that a failure comes with, as the environment asks for them. With a virtual environment sifrun has something to be verbose about."""
    variables, options = ([word for word in words.split() if word.startswith("-") == option] for option in (False, True))
    text = f"""mkdir -p venv/bin; echo 'home = /usr/bin' > venv/pyvenv.cfg; touch venv/bin/python; chmod 755 venv/bin/python
P exec docker-archive:$T true; env VIRTUAL_ENV=$PWD/venv PATH=$PWD/venv/bin:$PATH {' '.join(variables)} $PROGRAM {' '.join(options)} exec docker-archive:$T no-such-program"""
    kinds = []
    for program in ("apptainer", sifrun):
        done = script(text, program)
        assert done.returncode == 255
        kinds.append({kind for kind in ("DEBUG", "VERBOSE", "INFO", "FATAL") if re.search(rf"^(\x1b\[\d*m)*{kind}", done.stderr, re.M)})
    assert kinds[1] == kinds[0] and "FATAL" in kinds[1], kinds
