# SPDX-License-Identifier: Apache-2.0
"""Starts of one image in one job share a user namespace and a mount: who does, who may not, and what is left when any of them is killed."""
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from beds.servers import LINGER, open_files, servers, wait_until
from conftest import Identity
from sifrun_test import make_tree, squash

SQUATTER = r"""
import array, os, socket, sys
name, answer = b"\0" + sys.argv[1].encode(), sys.argv[2] == "answer"
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.bind(name)
door.listen()
print("ready", flush=True)
while True:
    client, _ = door.accept()
    client.recv(65536)
    if answer:
        fds = [os.pidfd_open(os.getpid()), *(os.open(f"/proc/self/ns/{n}", os.O_RDONLY) for n in ("user", "mnt"))]
        try:
            client.sendmsg([b"welcome"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        except BrokenPipeError:  # not even asked
            pass
    print("asked", flush=True)
"""


@pytest.fixture(scope="module")
def image(scratch, fuse_device):
    tree = make_tree(scratch / "share-tree")
    (tree / "content").write_text("of the image\n")
    return squash(tree, scratch / "share.squashfs")


@pytest.fixture
def own_image(image, tmp_path):
    """An image that no earlier test has used: nobody lingers."""
    copy = tmp_path / "own.squashfs"
    copy.write_bytes(image.read_bytes())
    return copy


class Member:
    """A started program that waits for a line, and where it is."""

    def __init__(self, identity, sifrun, image, *options, **where):
        script = "readlink /proc/self/ns/user; readlink /proc/self/ns/mnt; stat -c %d /; read go; cat /content"
        self.process = identity.popen([sifrun, "exec", *options, image, "sh", "-c", script], **where, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def where(self):
        self.user, self.mount, self.device = (self.process.stdout.readline().strip() for _ in range(3))
        assert self.user, self.process.stderr.read()
        return self

    def finish(self):
        output, errors = self.process.communicate("go\n", timeout=30)
        assert (output, self.process.returncode) == ("of the image\n", 0), errors


@pytest.fixture
def start(sifrun, own_image, request):
    members = []

    def begin(identity, *options, wait=True, **where):
        members.append(Member(identity, sifrun, own_image, *options, **where))
        return members[-1].where() if wait else members[-1]
    yield begin
    for member in members:
        member.process.kill()
        member.process.wait()
    wait_until(lambda: not servers(own_image), LINGER + 10)


def names():
    return set(re.findall(r"@(sifrun-\w+)", pathlib.Path("/proc/net/unix").read_text()))


def test_two_starts_share_the_mount(identity, start, own_image):
    first, second, other = start(identity), start(identity), start(identity, "--bind", "/opt:/usr/lib")
    assert first.user == second.user == other.user and first.device == second.device == other.device
    # The root, too, where it would be the same.
    assert first.mount == second.mount != other.mount
    assert len(servers(own_image)) == 1
    for member in (first, second, other):
        member.finish()


def test_sixteen_starts_at_once_share_one_mount(user, start, own_image):
    members = [start(user, wait=False) for _ in range(16)]
    assert len({member.where().user for member in members}) == 1
    assert len(servers(own_image)) == 1
    for member in members:
        member.finish()


@pytest.mark.parametrize("options, env", [
    (["--share=off"], None),
    ([], {"SIFRUN_SHARE": "off"}),
    ([], {"SLURM_JOB_ID": "7"}),
    ([], {"PMIX_NAMESPACE": "step"}),
    (["--share=mine"], None),
    (["--contain"], None),
    (["--no-home"], None),
    (["--contain"], {"PMI_SIZE": "2"}),
])
def test_others_have_a_mount_of_their_own(user, start, options, env):
    first, other = start(user), start(user, *options, env=env)
    assert first.user != other.user and first.device != other.device
    other.finish()
    first.finish()


def test_who_says_so_shares(user, start):
    assert start(user, "--share=mine", env={"SLURM_JOB_ID": "1"}).user == start(user, "--share=mine", env={"SLURM_JOB_ID": "2"}).user
    ranks = {"PMI_SIZE": "2"}
    assert start(user, "--contain", env=ranks).user == start(user, "--contain", env=ranks).user
    assert start(user, "--sharens", env={"SIFRUN_SHARE": "off"}).user == start(user).user


def test_own_binds_stay_private(user, sifrun, own_image, tmp_path, start):
    (tmp_path / "data").mkdir()
    (tmp_path / "note").write_text("bound\n")
    start(user, "--bind", f"{tmp_path}/data:/new/place")
    look = ["ls", "/new/place"]
    done = user.run([sifrun, "exec", own_image, *look])
    assert done.returncode != 0 and "ls: /new/place: No such file or directory" in done.stderr, done.stderr
    # A file where the earlier start had a folder.
    done = user.run([sifrun, "exec", "--bind", f"{tmp_path}/note:/new/place", own_image, "cat", "/new/place"])
    assert done.stdout == "bound\n", done.stderr
    assert len(servers(own_image)) == 1


def test_the_place_of_one_start_is_not_in_the_root_of_another(user, sifrun, own_image, start, unbound):
    first = start(user, cwd=unbound)
    script = f"readlink /proc/self/ns/user; test -e {unbound} && echo seen || pwd"
    assert user.run([sifrun, "exec", own_image, "sh", "-c", script], cwd="/tmp").stdout.split() == [first.user, "/tmp"]
    assert user.run([sifrun, "exec", own_image, "pwd"], cwd=unbound).stdout == f"{unbound}\n"
    first.finish()


def test_an_image_that_is_written_over_is_another_one(user, sifrun, tmp_path, scratch):
    """Were it in place, of the same size and with the same time."""
    versions = []
    for number in (1, 2):
        tree = make_tree(scratch / f"version-{number}")
        (tree / "content").write_text(f"{number}\n")
        versions.append(squash(tree, scratch / f"version-{number}.squashfs").read_bytes())
    assert len(versions[0]) == len(versions[1])
    image = tmp_path / "image"
    for number, data in enumerate(versions, 1):
        with open(image, "r+b" if image.exists() else "wb") as file:
            file.write(data)
        os.utime(image, (1e9, 1e9))
        assert user.run([sifrun, "exec", image, "cat", "/content"]).stdout == f"{number}\n"


def test_the_server_runs_where_its_members_may(user, sifrun, own_image):
    """Launchers bind ranks to a CPU each; the first one's is not for all of them."""
    cpus = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    members = [user.popen(["taskset", "-c", str(cpus[0]), sifrun, "exec", own_image, "sh", "-c", "echo there; read go"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)]
    assert members[0].stdout.readline() == "there\n"
    (server,) = servers(own_image)
    assert os.sched_getaffinity(server) == {cpus[0]}
    members.append(user.popen(["taskset", "-c", str(cpus[1]), sifrun, "exec", own_image, "sh", "-c", "echo there; read go"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    assert members[1].stdout.readline() == "there\n"
    assert len(servers(own_image)) == 1
    assert [os.sched_getaffinity(int(thread)) for thread in os.listdir(f"/proc/{server}/task")] == [set(cpus)] * len(os.listdir(f"/proc/{server}/task"))
    for member in members:
        member.communicate("go\n", timeout=30)


def test_a_limit_of_processor_time_is_not_shared(user, sifrun, own_image, start):
    limited = user.popen(["sh", "-c", 'ulimit -t 9; exec "$@"', "sh", sifrun, "exec", own_image, "sh", "-c", "readlink /proc/self/ns/user; read go"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert limited.stdout.readline().strip() != start(user).user
    limited.communicate("go\n", timeout=30)


def test_a_root_is_entered_only_while_the_host_is_as_it_was(user, sifrun, own_image, tmp_path, start):
    note = tmp_path / "note"
    note.write_text("old\n")
    bind = ["--bind", f"{note}:/content"]
    first = start(user, *bind)
    assert start(user, *bind).mount == first.mount
    (tmp_path / "new").write_text("new\n")
    os.rename(note, tmp_path / "away")
    look = [sifrun, "exec", *bind, own_image, "cat", "/content"]
    done = user.run(look)
    assert done.returncode != 0 and f"cannot open the mount source {note}: No such file or directory" in done.stderr, done.stderr
    os.rename(tmp_path / "new", note)
    assert start(user, *bind).mount != first.mount
    assert user.run(look).stdout == "new\n"
    os.rename(tmp_path / "away", note)
    assert start(user, *bind).mount == first.mount


@pytest.mark.parametrize("change", ["rm -r {0}", "rm -r {0}; mkdir {0}", "mv {0} {0}.old; mkdir {0}"])
def test_a_mount_point_in_a_directory_of_the_host_may_go_with_its_mount(user, sifrun, own_image, tmp_path, start, change):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("")
    tmp_path.chmod(0o777)
    place = tmp_path / "made/here"
    run = [sifrun, "exec", "--bind", f"{tmp_path}:/mnt,{tmp_path}/data:/mnt/made/here", own_image, "ls", "/mnt/made/here"]
    for _ in range(2):
        done = user.run(run)
        assert done.stdout == "file\n", done.stderr
        assert user.run(["sh", "-c", change.format(place)]).returncode == 0


def test_file_systems_of_the_host_are_let_go(root, user, sifrun, own_image, tmp_path, start):
    """Before the linger is over."""
    disk, place = tmp_path / "disk", tmp_path / "place"
    place.mkdir()
    subprocess.run(["mksquashfs", "/etc/hostname", disk, "-quiet", "-no-progress"], check=True, stdout=subprocess.DEVNULL)
    run = shlex.join(map(os.fsdecode, user.command([sifrun, "exec", "--bind", f"{place}:/mnt", own_image, "ls", "/mnt"])))
    script = f"loop=$(losetup -f --show {disk}); mount -t squashfs $loop {place}; {run}; umount {place}; sleep 0.2; losetup -d $loop; losetup -j {disk}"
    done = root.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script])
    assert done.stdout == "hostname\n", done.stdout + done.stderr


def test_mounts_made_on_the_host_meanwhile_are_there(root, user, sifrun, own_image, tmp_path, start):
    """Even those that the kernel does not carry into a container that runs already."""
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    look = user.command([sifrun, "exec", "--bind", f"{data}:/data", own_image, "sh", "-c", "ls /data/deep; echo end"])
    run = shlex.join(map(os.fsdecode, look))
    script = f"{run}; {run}; mount -t tmpfs none {data}/deep; touch {data}/deep/file; {run}"
    done = root.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script])
    assert done.stdout.split() == ["end", "end", "file", "end"], done.stderr


def test_nobody_enters_a_root_whose_account_files_were_written_to(user, sifrun, own_image, start):
    """As with Apptainer they are the run's own and may be written to."""
    run = [sifrun, "exec", own_image, "sh", "-c"]
    write = user.run([*run, "echo mark >> /etc/passwd; echo mark >> /etc/group; cat /etc/passwd /etc/group"])
    assert write.stdout.count("mark") == 2, write.stderr
    assert "mark" not in user.run([*run, "cat /etc/passwd /etc/group"]).stdout
    assert len(servers(own_image)) == 1


def test_warnings_are_given_by_each_run(user, sifrun, scratch):
    tree = make_tree(scratch / "no-sys-tree")
    shutil.rmtree(tree / "sys", ignore_errors=True)
    (tree / "sys").write_text("")  # no mount point for a directory
    command = [sifrun, "exec", squash(tree, scratch / "no-sys.squashfs"), "true"]
    first, second = user.run(command), user.run(command)
    assert first.returncode == second.returncode == 0
    assert first.stderr == second.stderr and "skipping mount" in first.stderr


def test_other_namespaces_of_a_member_are_its_own(user, sifrun, own_image, start):
    first = start(user)
    for options in (["--pid"], ["--ipc"], ["--uts", "--hostname", "elsewhere"], ["--net", "--network", "none"], ["--writable-tmpfs"]):
        done = user.run([sifrun, "exec", *options, own_image, "sh", "-c", "readlink /proc/self/ns/user; echo x > /written; cat /content"])
        assert done.stdout.splitlines() == [first.user, "of the image"], done.stderr
        assert ("Read-only" in done.stderr) == ("--writable-tmpfs" not in options)
    assert first.process.poll() is None


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_member_disturbs_nobody(identity, start, own_image, victim):
    members = [start(identity), start(identity), start(identity)]
    members[victim].process.send_signal(signal.SIGKILL)
    os.kill(members[victim].process.pid, signal.SIGKILL)
    members[victim].process.wait()
    time.sleep(0.2)
    late = start(identity)
    assert late.user == members[2].user
    for member in [*members[:victim], *members[victim + 1:], late]:
        member.finish()


def test_a_killed_server_is_replaced(user, start, own_image):
    first = start(user)
    server, = servers(own_image)
    os.kill(server, signal.SIGKILL)
    second = start(user)
    assert second.user != first.user
    assert [server] != servers(own_image) and len(servers(own_image)) == 1
    second.finish()


def test_the_mount_lingers_for_the_next_start_and_then_nothing_is_left(user, start, own_image):
    before = names()
    first = start(user)
    ours = names() - before  # and those of starts beside this test, which end as well
    first.finish()
    second = start(user)
    assert second.user == first.user
    second.finish()
    assert len(servers(own_image)) == 1 and ours
    wait_until(lambda: not servers(own_image), LINGER + 5)
    wait_until(lambda: not ours & names(), 60)


def test_a_background_program_keeps_the_mount_beyond_the_linger(user, sifrun, own_image):
    go = user.home / "go"
    done = user.run([sifrun, "exec", own_image, "sh", "-c", "(while ! test -e $HOME/go; do sleep 0.1; done; cat /content) > $HOME/late 2>&1 &"])
    assert done.returncode == 0
    time.sleep(LINGER + 1)
    assert len(servers(own_image)) == 1
    go.touch()
    wait_until(lambda: (user.home / "late").read_text() == "of the image\n")
    wait_until(lambda: not servers(own_image))


def test_a_stopped_server_holds_up_nobody_for_ever(user, start, own_image):
    first = start(user)
    server, = servers(own_image)
    os.kill(server, signal.SIGSTOP)
    try:
        second = start(user)
        assert second.user != first.user
        second.finish()
    finally:
        os.kill(server, signal.SIGCONT)
    first.finish()


def name_of_server(image):
    """Where it listens; other tests' servers have names, too."""
    server, = servers(image)
    links = open_files(server)
    sockets = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if "@sifrun-" in line]
    name, = {fields[7][1:] for fields in sockets if f"socket:[{fields[6]}]" in links}
    return name


def name_of(user, start, own_image):
    member = start(user)
    name = name_of_server(own_image)
    member.finish()
    wait_until(lambda: name not in names(), LINGER + 5)  # an ending process may have closed its image, but not yet its socket
    return name


@pytest.mark.parametrize("who", ["another user", "a container's program"])
@pytest.mark.parametrize("manner", ["silent", "answer"])
def test_an_impostor_is_not_believed(root, user, start, own_image, who, manner):
    name = name_of(user, start, own_image)
    identity, prefix = user, ["unshare", "--user", "--mount"]  # as a payload that made namespaces: our user, but not our equal
    if who == "another user":
        identity, prefix = Identity("other", user.uid + 1, user.gid + 1, "/"), []
    squatter = identity.popen([*prefix, "/usr/bin/python3", "-c", SQUATTER, name, manner], cwd="/", stdout=subprocess.PIPE)
    try:
        assert squatter.stdout.readline() == "ready\n"
        member = start(user)
        assert squatter.stdout.readline() == "asked\n"
        assert member.user != os.readlink(f"/proc/{squatter.pid}/ns/user")
        assert len(servers(own_image)) == 1
        member.finish()
    finally:
        squatter.kill()
        squatter.wait()


def test_another_user_is_not_let_in(root, user, start, own_image):
    member = start(user)
    name = name_of_server(own_image)
    other = Identity("other", user.uid + 1, user.gid + 1, "/")
    knock = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(b'\\0' + sys.argv[1].encode())\n"
             "try: s.send(b'key')\nexcept BrokenPipeError: pass\n"
             "try: print(s.recvmsg(100, 100)[:2])\nexcept ConnectionResetError: print((b'', []))")
    for identity, answer in ((other, b""), (user, b"no")):
        done = identity.run(["/usr/bin/python3", "-c", knock, name], cwd="/")
        assert done.stdout.strip() == str((answer, [])), done.stderr
    member.finish()
