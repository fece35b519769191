# SPDX-License-Identifier: Apache-2.0
"""ext3 images side by side with Apptainer, which has fuse2fs, fuse-overlayfs or the kernel use them: each goes on with what the other has written,
and the same command lines do the same."""
import os
import subprocess

import pytest

from beds import images
from conftest import convert

# Command lines, in a folder with images: x.img and y.img (empty), full.img (changes to an image), root.img (an image's files), x.sif (with an overlay).
DIFFERENT = {
    "exec --overlay rootowned.img IMAGE sh -c 'echo new > /new; cat /new'": "who may write to the file may change what is in it; Apptainer needs folders that belong to the user",
    "exec --overlay rootowned.img:ro IMAGE ls /srv": "an image without the folder upper is laid over as it is; Apptainer's fuse-overlayfs wants that folder",
    "exec --writable root.img sh -c 'touch /x && ls /x'": "who may write to the file may change what is in it; Apptainer needs a root folder that belongs to the user",
    "exec --fakeroot --overlay full.img IMAGE sh -c 'cat /kept'": "the same for an image that was not made for --fakeroot",
    "exec -B full.img:/a:image-src=/upper -B full.img:/b:image-src=/upper/srv IMAGE sh -c 'cat /a/kept /b/replaced'": "two binds of an image do not shut each other out",
}
# Made once, and copied for each line.
IMAGES = """
mkdir "$HOME/made" && cd "$HOME/made"
blank() { truncate -s 16M "$1"; mkfs.ext3 -q -F -E root_owner=1000:1000 ${2:+-d "$2"} "$1"; }
mkdir -p empty/upper empty/work full/upper/srv/sub full/work
echo kept > full/upper/kept; echo replaced > full/upper/srv/replaced; echo deep > full/upper/srv/sub/deep; ln -s /srv/sub full/upper/link
blank x.img empty; blank y.img empty; blank full.img full; truncate -s 16M rootowned.img; mkfs.ext3 -q -F rootowned.img
cp full.img readonly.img; chmod 444 readonly.img
unsquashfs -q -n -d root IMAGE.squashfs >/dev/null && truncate -s 32M root.img && mkfs.ext3 -q -F -E root_owner=1000:1000 -d root root.img
cp IMAGE x.sif; chmod 755 x.sif; cp full.img part; siftool add --datatype 4 --partfs 2 --parttype 4 --partarch ARCH --groupid 1 x.sif part
cp x.sif readonly.sif; chmod 444 readonly.sif
"""
PREPARE = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
rm -rf "$HOME/we" && cp -r --preserve=mode "$HOME/made" "$HOME/we" && cd "$HOME/we"
sound() { for each in *.img; do e2fsck -fn $each >/dev/null 2>&1 || echo "$each is damaged"; done; siftool dump 5 x.sif > part; e2fsck -fn part >/dev/null 2>&1 || echo x.sif is damaged; }
"""
SHOW = "cat /kept /srv/replaced /srv/sub/deep /link/deep; touch /x 2>/dev/null && echo written; ls -A / /srv"
LINES = [
    f"exec --overlay full.img IMAGE sh -c '{SHOW}'", f"exec --overlay full.img:ro IMAGE sh -c '{SHOW}'", f"exec --overlay x.img IMAGE sh -c '{SHOW}'",
    "exec --overlay x.img IMAGE sh -c 'echo new > /new; rm -r /srv; mkdir /srv; ls -A /srv; rm /bin/no; cat /new'",
    "exec --overlay full.img --overlay x.img IMAGE true", f"exec --overlay full.img:ro --overlay x.img IMAGE sh -c '{SHOW}'",
    f"exec --overlay x.img --overlay full.img:ro IMAGE sh -c '{SHOW}'", f"exec --overlay x.img:ro --overlay full.img:ro IMAGE sh -c '{SHOW}'",
    "exec --overlay missing.img IMAGE true", "exec --overlay missing.img:ro IMAGE true", "exec --overlay full.img:rw IMAGE true", "exec --overlay full.img:bad IMAGE true",
    "exec --overlay rootowned.img IMAGE sh -c 'echo new > /new; cat /new'", "exec --overlay rootowned.img:ro IMAGE ls /srv",
    "exec --overlay readonly.img IMAGE sh -c 'cat /kept; touch /x'", "exec --overlay readonly.img:ro IMAGE sh -c 'cat /kept; touch /x'",
    f"exec --writable-tmpfs --overlay full.img:ro IMAGE sh -c '{SHOW}'", "exec --overlay x.img --writable-tmpfs IMAGE sh -c 'echo new > /new'",
    "exec --fakeroot --overlay full.img IMAGE sh -c 'cat /kept'", f"exec --fakeroot --overlay full.img:ro IMAGE sh -c '{SHOW}'",
    "exec --overlay full.img IMAGE sh -c 'exit 37'", "exec --overlay full.img IMAGE no-such", "exec --overlay full.img -p IMAGE sh -c 'exit 3'",
    "exec --overlay full.img IMAGE /link/none", "exec --overlay $PWD/full.img IMAGE cat /kept", "exec --overlay=full.img:ro IMAGE cat /kept",
    f"exec x.sif sh -c '{SHOW}'", f"exec --writable x.sif sh -c '{SHOW}'", f"exec --writable-tmpfs x.sif sh -c '{SHOW}'",
    f"exec --overlay x.img x.sif sh -c '{SHOW}'", f"exec --overlay full.img:ro x.sif sh -c '{SHOW}'", "exec --writable --overlay x.img x.sif true",
    "exec readonly.sif cat /kept", "exec --writable IMAGE true", "exec --overlay x.sif IMAGE sh -c 'cat /kept'", "exec --overlay x.sif:ro IMAGE sh -c 'cat /kept'",
    "exec -B full.img:/data:image-src=/ IMAGE sh -c 'ls -A /data /data/upper; echo w > /data/w; cat /data/w'",
    "exec -B full.img:/data:image-src=/upper IMAGE sh -c 'cat /data/kept; echo w > /data/w; cat /data/w'",
    "exec -B full.img:/data:image-src=/upper,ro IMAGE sh -c 'cat /data/kept; echo w > /data/w'", "exec -B full.img:/data:ro,image-src=/upper IMAGE sh -c 'touch /data/w'",
    "exec -B full.img:/data:image-src=/no IMAGE true", "exec -B missing.img:/data:image-src=/ IMAGE true", "exec -B full.img:/data:image-src=/upper/kept IMAGE cat /data",
    "exec -B full.img:/a:image-src=/upper -B full.img:/b:image-src=/upper/srv IMAGE sh -c 'cat /a/kept /b/replaced'",
    "exec --mount type=bind,src=full.img,dst=/data,image-src=/upper IMAGE cat /data/kept", "exec -B readonly.img:/data:image-src=/upper,ro IMAGE cat /data/kept",
    "exec -B x.sif:/data:id=5,image-src=/upper IMAGE cat /data/kept", "exec -B x.sif:/data:id=5,image-src=/upper,ro IMAGE sh -c 'cat /data/kept; touch /data/x'",
    "exec root.img sh -c 'ls -A /srv; touch /x'", "exec --writable root.img sh -c 'touch /x && ls /x'", "exec --overlay x.img root.img sh -c 'touch /x && ls /x; ls -A /srv'",
    "exec --writable-tmpfs root.img sh -c 'touch /x && ls /x'", "exec root.img no-such", "run root.img true", "exec y.img true",
]


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Both mount images through it."""


@pytest.fixture(scope="module")
def base(sifconv, user, scratch, sif_folder):
    """An image whose files its user can read and change."""
    layer = images.busybox_layer("cksum", "cut", "find", "grep", "ln", "mkdir", "chmod", "mv", "rm", "rmdir", "seq", "sort").folder("etc/profile.d").file("etc/profile.d/x", "x\n")
    layer.folder("tmp", mode=0o1777).folder("srv").file("srv/replaced", "old\n").folder("srv/deep").file("srv/deep/file", "deep\n").folder("usr/share/gone").file("usr/share/gone/file", "gone\n")
    archive = images.write_docker20(scratch / "ext3-base.tar", [layer.bytes()], "bed/ext3:1.0", Env=["PATH=/bin"], Cmd=["sh"])
    return convert(sifconv, user, archive, sif_folder / "ext3-base.sif")


@pytest.fixture(scope="module")
def made(apptainer_ext3, base, sifrun):
    """Sees that the images are there."""
    path = base.with_name("ext3-base.squashfs")
    listing = subprocess.run([sifrun, "sif", "list", base], capture_output=True, text=True, check=True).stdout
    number = next(line.split("|")[0].strip() for line in listing.splitlines() if "Squashfs/*System" in line)
    with open(path, "wb") as out:
        subprocess.run([sifrun, "sif", "dump", number, base], stdout=out, check=True)
    path.chmod(0o644)
    architecture = {"x86_64": "2", "aarch64": "4"}[os.uname().machine]
    script = "set -e; export PATH=/usr/sbin:/usr/bin:/sbin:/bin" + IMAGES
    script = script.replace("IMAGE.squashfs", str(path)).replace("IMAGE", str(base)).replace("ARCH", architecture)
    done = apptainer_ext3.command(["sh", "-c", script], cwd="/home/user")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def sh(apptainer_ext3, made, sifrun, base):
    """Runs a script in a folder of fresh images; $A is Apptainer, $S is sifrun."""

    def run(script, **env):
        return apptainer_ext3.command(["sh", "-c", PREPARE + script.replace("IMAGE", str(base))], cwd="/home/user", timeout=120,
                                      env={"A": "apptainer --silent", "S": f"{sifrun} --silent", **env})

    return run


@pytest.mark.parametrize("line", LINES)
def test_lines(line, sh):
    """The same status and output, and every image is sound."""
    reference, done = [sh(f"${program} {line}; echo status $?; sound") for program in "AS"]
    same = done.stdout == reference.stdout
    assert "damaged" not in done.stdout
    assert same == (line not in DIFFERENT), (done.stdout, done.stderr, reference.stdout, reference.stderr)


CHANGE = """
cd /srv; mkdir -p /w/a/b; echo one > /w/a/one; ln -s a/one /w/link; ln /w/a/one /w/hard; seq 20000 > /w/seq; rm replaced; echo new > new; chmod 600 new; mkdir /w/closed; chmod 700 /w/closed
rm -r /usr/share/gone; mkdir /usr/share/gone; echo again > /usr/share/gone/new; rm -r /etc/profile.d; mv /srv/deep /srv/moved
"""
MORE = """
cat /w/link /w/hard; echo two >> /w/a/one; cat /w/hard; rm /w/seq; mv /w/a /w/moved; rm -r /srv; mkdir /srv; echo again > /srv/replaced; mkdir /etc/profile.d; echo y > /etc/profile.d/y
rm /usr/share/gone/new; rmdir /usr/share/gone
"""
SHOWN = """find /srv /w /usr /etc/profile.d | sort | while read -r path; do [ -d "$path" ] && stat -c "%A %n" "$path" || stat -c "%A %h %s %n" "$path"; done
find /srv /w /usr /etc/profile.d -type f -exec cksum {} + | sort"""


@pytest.mark.parametrize("how", ["", "--fakeroot"])
@pytest.mark.parametrize("first, second", ["AS", "SA", "SS"])
def test_each_goes_on_with_the_others(first, second, how, sh):
    """Deleted files and folders, folders made again, links, modes: what one has written the other shows and changes further.

    Apptainer must look with a writable overlay: read-only it shows deleted files of its own again.
    """
    done = sh(f"""
apptainer --silent overlay create --size 64 {how} z.img >/dev/null
check() {{
  $A exec {how} --overlay z.img IMAGE sh -c '{SHOWN}' > ../one 2>&1; $S exec {how} --overlay z.img IMAGE sh -c '{SHOWN}' > ../other 2>&1; $S exec {how} --overlay z.img:ro IMAGE sh -c '{SHOWN}' > ../third 2>&1
  cmp ../other ../third && diff ../one ../other && grep -c -v '^d' ../one; e2fsck -fn z.img >/dev/null 2>&1; echo e2fsck $?
}}
${first} exec {how} --overlay z.img IMAGE sh -c '{CHANGE}'; echo $?; check
${second} exec {how} --overlay z.img IMAGE sh -c '{MORE}'; echo $?; check
""")
    assert done.stdout.split("\n") == ["0", "10", "e2fsck 0", "one", "one", "one", "two", "0", "6", "e2fsck 0", ""], (done.stdout, done.stderr)


@pytest.mark.parametrize("writer, reader", ["AS", "SA"])
def test_locks_are_the_same(writer, reader, sh):
    """While one writes the other is refused."""
    done = sh(f"""
mkfifo ../fifo.$$; ${writer} exec --overlay x.img IMAGE sh -c 'echo started; read end' < ../fifo.$$ > ../started & exec 3> ../fifo.$$
for turn in $(seq 300); do grep -q started ../started && break; sleep 0.1; done; cat ../started
for how in x.img x.img:ro; do ${reader} exec --overlay $how IMAGE true; echo $?; done
echo end >&3; exec 3>&-; wait; rm ../fifo.$$
${reader} exec --overlay x.img IMAGE true; echo $?; e2fsck -fn x.img >/dev/null 2>&1; echo $?""")
    assert done.stdout.split() == ["started", "255", "255", "0", "0"], (done.stdout, done.stderr)
