# SPDX-License-Identifier: Apache-2.0
"""`overlay create` side by side: Apptainer has mkfs.ext3 fill an image, of which ours is to be the same to dumpe2fs, to debugfs and to Apptainer."""
import pytest

from differences import OVERLAYS as DIFFERENT

# What was made, but for times and what is by chance: the groups of the file system, and each folder with its mode and owner.
LAYOUT = r"""
walk() {
  debugfs -R "ls -p \"$2\"" "$1" 2>/dev/null | while IFS=/ read -r _ inode mode uid gid name size; do
    case "$name" in ''|.|..) ;; *) echo "$mode $uid $gid $2/$name"; walk "$1" "$2/$name";; esac
  done
}
filesystem() {
  e2fsck -fn "$1" >/dev/null 2>&1; echo "e2fsck $?"
  dumpe2fs "$1" 2>/dev/null | grep -v -e UUID -e Seed -e created -e written -e 'write time' -e checked
  walk "$1" '' | sort
}
layout() {
  if siftool header "$1" >/dev/null 2>&1; then
    siftool list "$1"
    for id in $(seq 8); do
      siftool info $id "$1" 2>/dev/null | grep -v At
      siftool info $id "$1" 2>/dev/null | grep -q Overlay && siftool dump $id "$1" > ../part && filesystem ../part
    done
  elif [ -f "$1" ]; then stat -c '%a %s' "$1"; filesystem "$1"; fi
}
create() { $P --silent overlay create "$@" >/dev/null; status=$?; echo $status; [ $status != 0 ] || { for made in "$@"; do :; done; layout "$made"; }; ls -A | tr '\n' ' '; }
rm -rf "$HOME/wo"; mkdir "$HOME/wo"; cd "$HOME/wo"; echo text > file; mkdir folder; ln -s nowhere dangling
umask 027
"""
LINES = ["create x.img", "create --size 64 x.img", "create -s 512 -S x.img", "create --sparse --size=0x80 x.img", "create -s 4100 -S x.img", "create --size 63 x.img",
         "create --size 0 x.img", "create -s -5 x.img", "create --size x x.img", "create --size 1e3 x.img", "create --size 99999999999999999999 x.img",
         "create --size 1000000000 -S x.img", "create --size '' x.img",
         "create -f x.img", "create -f --create-dir a/b x.img", "create --create-dir /x x.img", "create --create-dir a/b,/c --create-dir d x.img",
         "create --create-dir '' x.img", "create --create-dir / --create-dir . x.img", "create --create-dir a//./b/ x.img", "create --create-dir .. x.img",
         "create --create-dir /../x x.img", "create --create-dir a/../b x.img", "create --create-dir 'sp ace' x.img", "create --create-dir '\"a,b\"' x.img",
         "create --create-dir $(printf %256s | tr ' ' x) x.img", "create file", "create folder", "create ''", "create no/such/x.img",
         "create", "create a b", "create --bogus x.img", "create x.img; create x.img", "create 'sp ace'", "create x.img/", "create --help",
         "create $PWD/x.img", "create dangling", "touch empty; create empty", "create /dev/null", "umask 0; create x.img", "touch x.img; chmod 0 x.img; create x.img"]
# Of a SIF in x.sif, and a squashfs and an ext3 to add to it.
CONTAINERS = {
    "bare": "create x.sif",
    "options": "create -s 100 --create-dir a/b,c x.sif", "for fakeroot": "create --fakeroot x.sif", "sparse": "create --sparse -s 600 x.sif",
    "twice": "create x.sif; create x.sif", "removed and again": "create x.sif; $P --silent sif del 5 x.sif; create -s 65 x.sif",
    "through a link": "ln -s x.sif link; create link; layout x.sif",
    "with a squashfs overlay": "siftool add --datatype 4 --partfs 1 --parttype 4 --partarch 2 --groupid 1 x.sif sqfs; create x.sif",
    "with ext3 data": "siftool add --datatype 4 --partfs 2 --parttype 3 --partarch 2 --groupid 1 x.sif ext3; create x.sif",
    "with an ext3 overlay": "siftool add --datatype 4 --partfs 2 --parttype 4 --partarch 2 --groupid 1 x.sif ext3; create x.sif",
    "with another group's overlay": "siftool add --datatype 4 --partfs 2 --parttype 4 --partarch 2 --groupid 2 x.sif ext3; create x.sif",
    "signed": "siftool add --datatype 5 --signhash 1 --signentity $(printf %040d 1) --groupid 1 --link 4 x.sif file; create x.sif",
    "signed elsewhere": "siftool add --datatype 7 --groupid 2 x.sif file; siftool add --datatype 5 --signhash 1 --signentity $(printf %040d 1) --groupid 2 --link 5 x.sif file; create x.sif",
    "behind another object": "siftool add --datatype 7 x.sif file; create x.sif",
    "empty": "rm x.sif; siftool new x.sif; create x.sif",
    "without a primary partition": "rm x.sif; siftool new x.sif; siftool add --datatype 4 --partfs 1 --parttype 1 --partarch 2 --groupid 1 x.sif sqfs; create x.sif",
    "without a group": "rm x.sif; siftool new x.sif; siftool add --datatype 4 --partfs 1 --parttype 2 --partarch 2 x.sif sqfs; create x.sif",
    "of another group": "rm x.sif; siftool new x.sif; siftool add --datatype 4 --partfs 1 --parttype 2 --partarch 2 --groupid 7 x.sif sqfs; create x.sif",
    "of 32 bits": "rm x.sif; siftool new x.sif; siftool add --datatype 4 --partfs 1 --parttype 2 --partarch 1 --groupid 1 x.sif sqfs; create x.sif",
    "of another machine": "rm x.sif; siftool new x.sif; siftool add --datatype 4 --partfs 1 --parttype 2 --partarch 4 --groupid 1 x.sif sqfs; create x.sif",
    "encrypted": "rm x.sif; siftool new x.sif; siftool add --datatype 4 --partfs 5 --parttype 2 --partarch 2 --groupid 1 x.sif sqfs; create x.sif",
    "full": "for n in $(seq 44); do siftool add --datatype 7 x.sif file; done; create x.sif",
    "cut": "head -c 100000 x.sif > y; mv y x.sif; create x.sif",
    "that may not be written to": "chmod 444 x.sif; create x.sif",
}
PREPARE_CONTAINER = "cp IMAGE x.sif; chmod 755 x.sif; mkdir d; echo text > d/f; mksquashfs d sqfs -quiet >/dev/null; truncate -s 4M ext3; mkfs.ext3 -q ext3 2>/dev/null;"


@pytest.fixture
def both(apptainer_ext3, sifrun):
    """Runs a script under each program."""

    def run(script):
        return [apptainer_ext3.command(["sh", "-c", LAYOUT + script], env={"P": program}, cwd="/home/user") for program in ("apptainer", sifrun)]

    return run


def compare(reference, done, is_different):
    same = done.stdout == reference.stdout
    assert same != is_different, (done.stdout, done.stderr, reference.stdout, reference.stderr)


@pytest.mark.parametrize("line", LINES)
def test_a_file(line, both):
    """The same status, and the same file system with the same folders, whatever the umask."""
    reference, done = both(line)
    compare(reference, done, line in DIFFERENT)


@pytest.mark.parametrize("name", CONTAINERS)
def test_in_a_container(name, both, busybox_sif):
    """The same objects, of which the new one is the same file system."""
    reference, done = both(PREPARE_CONTAINER.replace("IMAGE", str(busybox_sif)) + CONTAINERS[name])
    compare(reference, done, f"SIF {name}" in DIFFERENT)


USES = {
    "file": ("create --create-dir /data x.img", "--overlay x.img", "--overlay x.img:ro"),
    "file for fakeroot": ("create -f x.img", "--fakeroot --overlay x.img", "--fakeroot --overlay x.img:ro"),
    "large sparse file": ("create --size 20000 --sparse x.img", "--overlay x.img", "--overlay x.img:ro"),
    "container": ("cp IMAGE x.sif; create x.sif", "--writable", ""),
    "sparse container": ("cp IMAGE x.sif; create --sparse --size 600 x.sif", "--writable", ""),
}


@pytest.mark.parametrize("name", USES)
def test_apptainer_uses_it(name, both, busybox_sif, fuse_device):
    """What a container wrote into ours is there the next time, and the file system is whole."""
    make, writing, reading = (part.replace("IMAGE", str(busybox_sif)) for part in USES[name])
    image = "x.sif" if "container" in name else busybox_sif
    for done in both(f"""{make} >/dev/null
apptainer --silent exec {writing} {image} sh -c 'mkdir -p /data; echo kept > /data/file; seq 100000 > /many'; echo $?
apptainer --silent exec {reading} {image} sh -c 'cat /data/file; tail -n 1 /many'; echo $?
[ -f x.img ] || siftool dump 5 x.sif > x.img; e2fsck -fn x.img >/dev/null 2>&1; echo $?; walk x.img '' | grep -c -e upper/many -e upper/data/file"""):
        assert done.stdout.split() == ["0", "kept", "100000", "0", "0", "2"], (done.stdout, done.stderr)
