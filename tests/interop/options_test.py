# SPDX-License-Identifier: Apache-2.0
"""Whole command lines of exec, run and test side by side with Apptainer: same exit status, same standard output, but for those in differences.py."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

from differences import OPTIONS as DIFFERENT

FOLDERS = "etc tmp home proc sys dev var/tmp root usr/lib mnt srv opt bin"
DEFINITION = r"""Bootstrap: localimage
From: {tree}

%runscript
    echo "main run $@"
%environment
    export TOP=top
%apprun foo
    echo "foo runs $@ $FOO $SCIF_APPNAME $SCIF_APPROOT"
%appenv foo
    export FOO=foovalue
%appinstall foo
    mkdir -p bin; printf '#!/bin/sh\necho hello from foo\n' > bin/hello; chmod +x bin/hello
%apptest foo
    echo foo test "$@"
%appinstall bar
    touch x
"""
# The working folder of each line, made anew.
PREPARE = r"""chmod -R u+rwX "$HOME/wo" 2>/dev/null; rm -rf "$HOME/wo" && mkdir -p "$HOME/wo/one/nest" "$HOME/wo/two" "$HOME/wo/d/sub/deep" "$HOME/wo/written/upper/etc" && cd "$HOME/wo"
echo host > file; echo 1 > one/1; echo 2 > two/2; echo one > d/one; echo two > d/sub/two; echo up > written/upper/etc/up
ln -s one link; ln -s link link2; ln -s file flink; mkdir layer plain; mkdir plain/etc; echo plain > plain/etc/plain
case "$*" in *sandbox*) cp -r SHARED/sandbox . ;; esac
for action in KILL ERRNO; do
  echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_'$action'"}]}' > $action.json
done"""

# IMAGE: a SIF with two apps. DATA, WITH_OVERLAY: SIFs with a data and an overlay partition. SQUASHFS: a bare one.
LINES = """
exec --security seccomp:KILL.json IMAGE mkdir /tmp/zz
exec --security seccomp:ERRNO.json IMAGE mkdir /tmp/zz
exec --security seccomp:/nosuch IMAGE true
exec --security foo:bar IMAGE true
exec --security uid:99 IMAGE id -u
exec --security gid:99 IMAGE id -g
exec -B one:/mnt -B file:/mnt/1 IMAGE cat /mnt/1
exec -B link2:/mnt IMAGE ls /mnt
exec -B flink:/srv/f IMAGE cat /srv/f
exec -B one:/opt/a/b/c IMAGE ls /opt/a/b/c
exec -B one:/mnt,two:/srv IMAGE ls /mnt /srv
exec -c -B one:/tmp IMAGE ls /tmp
exec -c -B one:/var/tmp IMAGE ls /var/tmp
exec -c -B one:/home/user IMAGE ls /home/user
exec -c -B one:/home/user/x IMAGE ls /home/user
exec -c -B one:/tmp/x IMAGE ls /tmp
exec -c -B one IMAGE ls /home/user
exec -c -B /dev/full IMAGE ls /dev/full
exec -B one:/mnt:rw IMAGE touch /mnt/t
exec -B one:/mnt:ro IMAGE touch /mnt/t
exec -B one:/mnt:ro,two:/srv:ro IMAGE touch /srv/t
exec --mount type=bind,source=one,target=/mnt,readonly IMAGE touch /mnt/x
exec --mount type=bind,source=one,destination=/mnt IMAGE ls /mnt
exec --mount type=bind,src=one IMAGE true
exec --mount dst=/mnt,src=one IMAGE ls /mnt
exec --mount type=bind,src=one,dst=/mnt,foo=1 IMAGE true
exec --mount type=bind,src=one,dst=/mnt,bind-propagation=slave IMAGE true
exec --mount type=bind,src=/nosuch,dst=/mnt IMAGE true
exec --mount type=bind,src=one,dst=mnt IMAGE true
exec -B SQUASHFS:/mnt:image-src=/ IMAGE ls /mnt
exec -B SQUASHFS:/mnt:image-src=/sub IMAGE ls /mnt
exec -B SQUASHFS:/new/one:image-src=/one IMAGE cat /new/one
exec -B SQUASHFS:/mnt:image-src=/nosuch IMAGE ls /mnt
exec -B SQUASHFS:/mnt:image-src=/,rw IMAGE touch /mnt/x
exec -B SQUASHFS:/mnt:image-src=/sub -B SQUASHFS:/srv:image-src=/ IMAGE ls /mnt /srv
exec -B SQUASHFS:/mnt IMAGE ls /mnt
exec --overlay SQUASHFS --overlay layer IMAGE sh -c 'touch /made; ls /made /one'
exec --writable-tmpfs --overlay SQUASHFS IMAGE sh -c 'touch /made; ls /made /one'
exec --pwd /etc/../tmp/ IMAGE sh -c 'echo $PWD'
exec -C --pwd //etc/./ IMAGE sh -c 'echo $PWD'
exec -B DATA:/mnt:image-src=/ IMAGE ls /mnt
exec -B DATA:/mnt:id=1 IMAGE ls /mnt
exec -B DATA:/mnt:id=9 IMAGE ls /mnt
exec -B d:/mnt:image-src=/sub IMAGE ls /mnt
exec -B IMAGE:/mnt:image-src=/srv IMAGE ls /mnt
exec --mount type=bind,src=SQUASHFS,dst=/mnt,image-src=/sub IMAGE ls /mnt
exec --mount type=bind,src=DATA,dst=/mnt,id=1 IMAGE ls /mnt
exec -o layer IMAGE sh -c 'echo x > /etc/x; mkdir /made; cat /etc/x; ls -d /made'
exec -o layer:ro IMAGE touch /x
exec -o layer IMAGE sh -c 'rm -r /srv && ls -d /srv'
exec -o plain:ro IMAGE sh -c 'cat /etc/plain; touch /x'
exec -o written:ro IMAGE sh -c 'cat /etc/up; ls /'
exec -o written:ro -o plain:ro -o layer -B one:/deep/er IMAGE sh -c 'cat /etc/up /etc/plain; ls /deep/er; touch /x && ls /x'
exec -o written:ro,plain:ro IMAGE cat /etc/up /etc/plain
exec -o layer -o two IMAGE true
exec -o layer --writable-tmpfs IMAGE true
exec -o plain:ro --writable-tmpfs IMAGE sh -c 'cat /etc/plain; touch /x && ls /x'
exec -o /nosuch IMAGE true
exec -o layer:bad IMAGE true
exec -o SQUASHFS IMAGE ls /
exec -o SQUASHFS:ro IMAGE cat /sub/two
exec -o WITH_OVERLAY:ro IMAGE ls /
exec WITH_OVERLAY ls /
exec -w WITH_OVERLAY true
exec -w IMAGE true
exec -w SQUASHFS true
exec -w sandbox sh -c 'touch /made; ls /; ls -A /home'
exec -w -B one:/no/such sandbox true
exec -w -B one:/mnt sandbox ls /mnt
exec -w --pwd /opt sandbox pwd
exec -w --writable-tmpfs sandbox touch /x
exec -w -o layer sandbox true
exec -o layer sandbox sh -c 'touch /x && ls /x'
exec -f IMAGE sh -c 'id -u; pwd; echo $HOME'
exec -f --ignore-subuid IMAGE sh -c 'id; cat /proc/self/uid_map'
exec -f --ignore-subuid IMAGE grep NoNewPrivs /proc/self/status
exec IMAGE grep NoNewPrivs /proc/self/status
exec --fakeroot --writable-tmpfs IMAGE sh -c 'echo x >> /etc/passwd; tail -1 /etc/passwd'
exec --fakeroot --writable-tmpfs IMAGE sh -c 'mv /etc/passwd /etc/p && mv /etc/group /etc/g && echo moved; cat /etc/p /etc/g'
exec --writable-tmpfs IMAGE sh -c 'mv /etc/passwd /etc/p; tail -1 /etc/passwd'
exec --fakeroot IMAGE sh -c 'whoami; echo $HOME; ls -n /etc/passwd | cut -c1-30'
exec --fakeroot --home one IMAGE sh -c 'whoami; echo $HOME'
exec --fakeroot -c IMAGE sh -c 'whoami; echo $HOME; ls -A ~'
exec --fakeroot --no-home IMAGE sh -c 'echo $HOME; pwd'
exec --no-mount tmp,home,cwd IMAGE sh -c 'ls /tmp; pwd'
exec --no-mount dev IMAGE ls /dev
exec --no-mount proc IMAGE ls /proc
exec --no-mount devpts -c IMAGE ls /dev
exec -c IMAGE sh -c 'ls /dev | grep -v fd'
exec -C IMAGE sh -c 'ps | wc -l; echo $LANG; pwd'
exec -C --no-init IMAGE sh -c 'echo $$'
exec -C --no-pid IMAGE sh -c '[ $$ -gt 10 ] && echo host'
exec -p --no-init IMAGE sh -c 'echo $$'
exec -p IMAGE sh -c '[ $$ -gt 1 ] && echo below'
exec --compat IMAGE sh -c 'touch /x && umask; ls ~; echo $$; pwd'
exec --compat --env A='$HOME' IMAGE sh -c 'echo $A'
exec --ipc --uts IMAGE hostname
exec -W /tmp -c IMAGE ls /home/user
exec -W two -c -S /scr IMAGE sh -c 'touch /scr/f; ls /scr'
exec -S /a -S /b/c IMAGE ls -d /a /b/c
exec -c -W two --home /tmp IMAGE sh -c 'echo $HOME; pwd; touch /tmp/made; ls /tmp'
exec -c -W two --home one:/var/tmp IMAGE sh -c 'echo $HOME; ls /var/tmp'
exec -c --home one:/tmp IMAGE sh -c 'echo $HOME; pwd; ls -A /tmp'
exec -C --home one:/var/tmp IMAGE sh -c 'echo $HOME; pwd; ls -A /var/tmp'
exec -c --home /tmp IMAGE sh -c 'echo $HOME; touch /tmp/made; ls -d /tmp/made; rm /tmp/made'
exec --home one:/hh --no-home IMAGE sh -c 'echo $HOME; ls /hh'
exec --home /home/user/wo/one IMAGE sh -c 'echo $HOME; pwd; ls'
exec --cwd /nosuch IMAGE pwd
exec --pwd /tmp IMAGE pwd
exec --pwd /tmp --cwd /srv IMAGE pwd
exec --writable-tmpfs IMAGE sh -c 'mkdir /n /opt/n && rmdir /n && rm -r /opt && ls /'
exec --writable-tmpfs -B one:/new IMAGE sh -c 'touch /new/w && ls /new'
exec -u IMAGE id -u
exec --no-privs IMAGE id -u
exec --sharens IMAGE echo shared
exec --underlay -B one:/new IMAGE ls /new
exec --no-https --disable-cache --authfile x --docker-host x IMAGE true
exec --add-caps all IMAGE grep CapEff /proc/self/status
exec --add-caps CAP_NET_RAW,chown IMAGE grep Cap /proc/self/status
exec --add-caps bad IMAGE grep CapEff /proc/self/status
exec --add-caps CAP_CHOWN,CAP_KILL --drop-caps CAP_KILL IMAGE grep CapEff /proc/self/status
exec --drop-caps all IMAGE grep CapEff /proc/self/status
exec --net --network none IMAGE ls /sys/class/net
exec --network none IMAGE sh -c 'grep -c : /proc/net/dev'
exec --net IMAGE true
exec --network bogus IMAGE true
exec --hostname h IMAGE sh -c 'hostname; cat /etc/hostname'
exec --dns 1.2.3.4 IMAGE cat /etc/resolv.conf
exec --dns '1.2.3.4, 5.6.7.8' IMAGE cat /etc/resolv.conf
exec --dns foo IMAGE true
exec --env A=1 --env A=2 IMAGE sh -c 'echo $A'
exec --env A=a=b IMAGE sh -c 'echo $A'
exec --env '"A=1,2",B=3' IMAGE sh -c 'echo $A $B'
exec --env A= IMAGE sh -c 'echo ${A-unset}'
exec --env PATH=/x IMAGE true
exec --env APPEND_PATH=/y IMAGE sh -c 'echo $PATH'
exec --env PREPEND_PATH=/y IMAGE sh -c 'echo $PATH'
exec --env LD_LIBRARY_PATH=/y IMAGE sh -c 'echo $LD_LIBRARY_PATH'
exec --env 'A=$(echo hi)' IMAGE sh -c 'echo $A'
exec --env 'A=\\$HOME' IMAGE sh -c 'echo $A'
exec --env 'A=`echo x`' IMAGE sh -c 'echo $A'
exec --env "A='q'" IMAGE sh -c 'echo $A'
exec --no-eval --env 'A=$(echo hi)\\' IMAGE sh -c 'echo $A'
exec --app foo IMAGE hello
exec --app foo --cleanenv IMAGE sh -c 'echo $FOO $TOP'
exec --app nosuch IMAGE true
exec --app '' IMAGE true
run IMAGE a 'b c' '$HOME'
run --app foo IMAGE a b
run --app bar IMAGE
run --app nosuch IMAGE
test IMAGE
test --app foo IMAGE x
test --app bar IMAGE
exec
run
shell
exec IMAGE
exec -Z IMAGE true
exec --bind
exec --contain=maybe IMAGE true
exec --contain=F IMAGE pwd
exec -ec IMAGE pwd
exec -Bone:/mnt IMAGE ls /mnt
exec -B=one:/mnt IMAGE ls /mnt
exec --bind=one:/mnt IMAGE ls /mnt
exec IMAGE ls --contain /
exec -- IMAGE true
exec IMAGE -- true
exec --debug IMAGE true
exec IMAGE sh -c 'kill -TERM $$'
exec IMAGE sh -c 'kill -HUP $$'
exec IMAGE sh -c 'exit 255'
exec IMAGE sh -c 'exit 134'
exec IMAGE false
exec IMAGE ./nosuch
exec /nosuch true
exec /etc/passwd true
exec d ls /
exec SQUASHFS ls /
exec sandbox sh -c 'echo $APPTAINER_NAME; touch /x'
exec --unsquash IMAGE ls /
exec DATA true
exec --no-home IMAGE sh -c 'ls -d $HOME; pwd'
exec --no-home --no-mount cwd IMAGE sh -c 'ls -d $HOME; pwd'
exec --keep-privs IMAGE true
exec --allow-setuid IMAGE true
exec --apply-cgroups /nosuch IMAGE true
exec --netns-path /proc/self/ns/net IMAGE true
exec --nv IMAGE true
exec --rocm IMAGE true
exec --nvccli IMAGE true
exec --passphrase IMAGE true
exec --pem-path /nosuch IMAGE true
""".strip().splitlines()


@pytest.fixture(scope="module")
def files(apptainer, sif_folder, fuse_device):
    """The images of the lines, made by the peers, and the sandbox that each line gets a copy of."""
    tree = sif_folder / "sandbox"
    for name in FOLDERS.split():
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    data = sif_folder / "data"
    (data / "sub/deep").mkdir(parents=True)
    (data / "one").write_text("one\n")
    (data / "sub/two").write_text("two\n")
    (sif_folder / "app.def").write_text(DEFINITION.format(tree=tree))
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "1000:1000", tree], check=True)
    partition = "siftool add --datatype 4 --parttype {} --partfs 1 --partarch 2 --groupid 1 {} data.squashfs"
    script = " && ".join(["mksquashfs data data.squashfs -noappend -quiet -no-progress", "apptainer build app.sif app.def",
                          "siftool new data.sif", partition.format(3, "data.sif"), "cp app.sif overlay.sif", partition.format(4, "overlay.sif")])
    done = apptainer.command(["sh", "-c", script], cwd=sif_folder)
    assert done.returncode == 0, done.stderr
    return {"IMAGE": sif_folder / "app.sif", "DATA": sif_folder / "data.sif", "WITH_OVERLAY": sif_folder / "overlay.sif",
            "SQUASHFS": sif_folder / "data.squashfs", "SHARED": sif_folder}


def named(text, files):
    return re.sub("|".join(files), lambda match: str(files[match[0]]), text)


def outcome(done):
    """Usage errors print a page of help on standard output with Apptainer only."""
    return done.returncode, "" if done.returncode == 1 and "--help' for more" in done.stdout else done.stdout


@pytest.mark.parametrize("line", LINES)
def test_options(line, files, apptainer, sifrun):
    results = []
    for program in ("apptainer", sifrun):
        words = [named(word, files) for word in shlex.split(line)]
        results.append(apptainer.prepared(named(PREPARE, files), [program, "--silent", *words], "/home/user/wo", stdin=subprocess.DEVNULL))
    reference, done = results
    assert (outcome(done) == outcome(reference)) == (line not in DIFFERENT), (outcome(done), done.stderr, outcome(reference), reference.stderr)
