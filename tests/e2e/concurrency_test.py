# SPDX-License-Identifier: Apache-2.0
"""One mount under many: sixteen processes of several containers that share it read the whole tree, each in another order, while others
list and stat; all find what the kernel's own mount shows. Images of every codec, and of every program that writes them.
With SIFCONV_BUILD=build/tsan or build/asan-ubsan (after `scripts/build PRESET sifconv sifrun`) the sanitizers' words count, too."""
import contextlib
import hashlib
import os
import random
import shutil
import subprocess

import pytest

from beds.images import Layer, write_docker20
from beds.servers import LINGER, servers, wait_until
from conftest import absent

PLACES = ("first", "second", "third", "fourth")  # containers; in the first others list and stat
READERS = 4  # of each container
MKSQUASHFS = {codec: ["-comp", codec] for codec in ("gzip", "zstd", "lz4", "xz", "lzo")} | {"none": ["-noI", "-noD", "-noF", "-noX"]}
IMAGES = [("mksquashfs", codec) for codec in MKSQUASHFS]
IMAGES += [("tar2sqfs", codec) for codec in ("gzip", "zstd", "xz")]
IMAGES += [("sifconv", codec) for codec in ("gzip", "zstd", "lz4")]

# One line that sums up contents, sizes, modes, link counts and times; "$1" is the order of reading.
SUM = r"""
cd / && sum() {
  { find bin data -type f | sort $1 | xargs md5sum; find bin data | sort $1 | xargs stat -c '%n %f %h %s %Y'; readlink data/link; } | sort | md5sum
}
"""
ONE_SUM = SUM + "sum -r"
MANY_SUMS = SUM + f"""
others=
if [ "$1" = first ]; then
  while :; do ls -lR data; done >/dev/null & others=$!
  while :; do find data -size +1; done >/dev/null & others="$others $!"
fi
for order in $(seq {READERS}); do
  case $order in 1) set -- -r;; 2) set -- -n;; *) set -- -t- -k$order;; esac
  sum "$*" & readers="$readers $!"
done
wait $readers
[ -z "$others" ] || kill $others
"""


def content(seed, size):
    """Compressible, and different everywhere."""
    words = [hashlib.sha256(bytes([seed % 251, number])).digest() for number in range(64)]
    picks = random.Random(seed)
    return b"".join(picks.choices(words, k=size // 32 + 1))[:size]


@pytest.fixture(scope="module")
def layer(scratch):
    """Files of several blocks, of fragments, of holes, stored as they are, and empty; a folder of many names; links."""
    layer = Layer()
    for folder in ("bin", "data", "data/small", "data/many", "dev", "etc", "proc", "sys", "tmp", "root"):
        layer.folder(folder)
    program = shutil.which("busybox") or absent("busybox-static is not installed")
    with open(program, "rb") as file:
        layer.file("bin/busybox", file.read(), mode=0o755)
    for name in ("sh", "find", "kill", "ls", "md5sum", "readlink", "seq", "sort", "stat", "xargs"):
        layer.symlink(f"bin/{name}", "busybox")
    for number in range(8):
        layer.file(f"data/blocks-{number}", content(number, 100_000 * number + number))
        layer.file(f"data/random-{number}", random.Random(number).randbytes(50_000 + number * 20_000))
    for number in range(120):
        layer.file(f"data/small/of-{number}", content(number, 90 * number))
        layer.file(f"data/many/a-rather-long-name-of-an-empty-file-{number:04}", b"")
    layer.file("data/zeros", bytes(1_000_000)).symlink("data/link", "blocks-3").hardlink("data/hard", "data/blocks-7")
    path = scratch / "concurrency-layer.tar"
    path.write_bytes(layer.bytes())
    return path


@pytest.fixture(scope="module")
def tree(root, scratch, layer):
    folder = scratch / "concurrency-tree"
    folder.mkdir()
    subprocess.run(["tar", "-C", folder, "-xf", layer], check=True)
    return folder


@pytest.fixture(scope="module")
def archive(scratch, layer):
    return write_docker20(scratch / "concurrency.tar", [layer.read_bytes()], Env=["PATH=/bin"])


def partition(image):
    """Where the squashfs begins: at 0, or where a SIF's descriptor says."""
    with open(image, "rb") as file:
        head = file.read(4096 + 48 * 585)
    if head[:4] == b"hsqs":
        return 0
    found = [head[at:at + 585] for at in range(4096, len(head) - 584, 585) if head[at:at + 5] == b"\x04\x40\0\0\1"]
    return int.from_bytes(found[0][17:25], "little")


@contextlib.contextmanager
def mounted_by_kernel(image, folder):
    """Yields None where this kernel lacks loop devices or the codec."""
    folder.mkdir()
    done = subprocess.run(["mount", "-o", f"loop,ro,offset={partition(image)}", image, folder], capture_output=True)
    try:
        yield folder if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)


def sum_of(root):
    done = subprocess.run(["chroot", root, "/bin/sh", "-c", "export PATH=/bin\n" + ONE_SUM], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def compare(user, sifrun, tree, tmp_path, fuse_device):
    """Reads an image from all sides, and insists on no word of a sanitizer's."""
    reports = tmp_path / "reports"
    reports.mkdir()
    reports.chmod(0o777)
    words = f"log_path={reports}/found:halt_on_error=0:detect_leaks=0"

    def read(image):
        with mounted_by_kernel(image, tmp_path / "kernel") as root:
            expected = sum_of(root or tree)
        sanitizers = {name: words for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")}
        started = [user.popen([sifrun, "exec", "--no-home", "--share=concurrency", image, "sh", "-c", MANY_SUMS, "sh", place],
                              env=sanitizers, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for place in PLACES]
        ended = [(*process.communicate(timeout=600), process.returncode) for process in started]
        assert ended == [(expected * READERS, "", 0)] * len(PLACES)
        wait_until(lambda: not servers(image), LINGER + 60)
        found = [file.read_text(errors="replace") for file in reports.iterdir()]
        # What ASan says of any process that leaves a stack of its own by _exit, as the one that starts the server does.
        found = [text for text in found if "is ignoring requested __asan_handle_no_return" not in text or "ERROR" in text]
        assert not found, found[0][:6000]
    return read


def make(writer, codec, tree, layer, archive, image, sifconv, user):
    if writer == "sifconv":
        done = user.run([sifconv, "--quiet", "--compression", codec, archive, image])
        assert done.returncode == 0, done.stderr
        return image
    command = ["mksquashfs", tree, image, "-noappend", "-quiet", "-no-progress", *MKSQUASHFS[codec]]
    if writer == "tar2sqfs":
        command = ["tar2sqfs", "-q", "-c", codec, image]
    with open(layer, "rb") as tar:
        done = subprocess.run(command, stdin=tar, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    os.chmod(image, 0o644)
    return image


@pytest.mark.parametrize("writer, codec", IMAGES)
def test_sixteen_readers_of_a_shared_mount(writer, codec, tree, layer, archive, tmp_path, sifconv, user, compare):
    compare(make(writer, codec, tree, layer, archive, tmp_path / "image", sifconv, user))


def test_sixteen_readers_of_an_image_of_apptainer(apptainer, archive, sif_folder, compare):
    image = sif_folder / "concurrency.sif"
    done = apptainer.run("build", "--force", image, f"docker-archive:{archive}")
    assert done.returncode == 0, done.stderr
    compare(image)
