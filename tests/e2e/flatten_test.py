# SPDX-License-Identifier: Apache-2.0
"""Flattening compared with a real Docker engine: what it exports of an image is what the SIF's squashfs holds, as the kernel mounts it.

Docker's times of unpacking (folders that a layer has only as parents) are no property of the image and are not compared. Where
Docker's loader refuses what its unpacker would do, or the meaning is plain, a case names layers that mean the same."""
import json
import os
import struct
import subprocess
import time

import pytest

import layer_random
import tar_builder
import tree_compare
from beds import images
from beds.docker import Docker
from layer_cases import CASES

# Put into each container (or its root) by the engine, or by us for `singularity exec`.
ENGINES = {b"", b".dockerenv", b"dev", b"dev/console", b"dev/pts", b"dev/shm", b"proc", b"sys", b"etc", b"etc/hosts", b"etc/hostname",
           b"etc/resolv.conf", b"etc/mtab"}
OURS = {b".singularity.d", b".exec", b".run", b".shell", b".test", b"environment", b"singularity", b"home", b"root", b"tmp", b"var",
        b"var/tmp", b"mnt", b"opt", b"srv"}
PARTITION, PRIMARY = 0x4004, 2
RANDOM_SEQUENCES = 150

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts images with the kernel's squashfs and starts dockerd: needs root")


@pytest.fixture(scope="module")
def docker(scratch):
    """With storage of its own: others need not wait until all is done here."""
    with Docker(scratch / "docker") as engine:
        yield engine


def partition_offset(sif):
    with open(sif, "rb") as file:
        file.seek(4096)
        for _ in range(48):
            descriptor = file.read(585)
            kind, used = struct.unpack_from("<i?", descriptor)
            (offset,) = struct.unpack_from("<q", descriptor, 17)
            if used and kind == PARTITION and struct.unpack_from("<i", descriptor, 201 + 4)[0] == PRIMARY:
                return offset
    raise AssertionError("no primary partition")


class Mounted:
    def __init__(self, options, folder, source, kind, cwd=None):
        folder.mkdir()
        subprocess.run(["mount", "-t", kind, "-o", options, source, folder], check=True, cwd=cwd)
        self.folder = folder

    def __enter__(self):
        return self.folder

    def __exit__(self, *_):
        subprocess.run(["umount", self.folder], check=True)


def converted_tree(sifconv, archive, folder):
    """What our image of the archive holds."""
    sif = folder / "image.sif"
    done = subprocess.run([sifconv, "--quiet", "--force", archive, sif], capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stderr
    with Mounted(f"ro,loop,offset={partition_offset(sif)}", folder / "sif", sif, "squashfs") as mounted:
        return tree_compare.from_folder(mounted)


def load(docker, archive):
    with open(archive, "rb") as body:
        docker.api("POST", "/images/load?quiet=1", body, {"Content-Type": "application/x-tar"})


def docker_trees(docker, archive, folder, tag):
    """What the engine exports, and its layers as overlayfs unites them (export leaves out most xattrs)."""
    load(docker, archive)
    body = json.dumps({"Image": tag, "Cmd": ["/x"]})
    container = "/containers/" + docker.api("POST", "/containers/create", body, {"Content-Type": "application/json"})[0]["Id"]
    try:
        docker.api("GET", f"{container}/export", to=folder / "export.tar")
        with open(folder / "export.tar", "rb") as stream:
            exported = tree_compare.from_tar(stream)
        layers = docker.api("GET", f"{container}/json")[0]["GraphDriver"]["Data"]["LowerDir"].split(":")[1:]
        store = os.path.dirname(os.path.dirname(layers[0]))
        # Mount options are limited to a page: the engine keeps short links for that reason.
        names = ["l/" + open(os.path.join(os.path.dirname(layer), "link")).read() for layer in layers]
        (folder / "empty").mkdir()
        options = "ro,lowerdir=" + ":".join([*names, str(folder / "empty")])
        with Mounted(options, folder / "overlay", "overlay", "overlay", cwd=store) as mounted:
            united = tree_compare.from_folder(mounted)
    finally:
        docker.api("DELETE", container)
        docker.api("DELETE", f"/images/{tag}?force=1")
    return exported, united


def compare(expected, actual, since, check_xattrs):
    def skip(path, field):
        if path in ENGINES or path in OURS or path.startswith(b".singularity.d/"):
            return True
        unpacked = path in expected and expected[path].kind == "folder" and expected[path].mtime >= since
        return (field == "mtime" and unpacked) or (field == "xattrs" and not check_xattrs)

    return tree_compare.differences(expected, actual, skip)


def assert_same(docker, sifconv, folder, name, given, reference):
    tag = f"bed/flatten-{name}:1"
    since = int(time.time()) - 60
    (folder / "reference").mkdir()
    theirs = images.write_docker20(folder / "reference.tar", reference, tag, Cmd=["/x"])
    exported, united = docker_trees(docker, theirs, folder / "reference", tag)
    ours = {}
    for layout, write in (("docker20", images.write_docker20), ("docker25", images.write_docker25)):
        (folder / layout).mkdir()
        ours[layout] = converted_tree(sifconv, write(folder / f"{layout}.tar", given, tag, Cmd=["/x"]), folder / layout)
    assert compare(exported, ours["docker20"], since, check_xattrs=False) == []
    assert compare(united, ours["docker20"], since, check_xattrs=True) == []
    assert ours["docker25"] == ours["docker20"]


def archives(layers):
    return [layer if isinstance(layer, bytes) else tar_builder.archive(layer) for layer in layers]


@pytest.mark.parametrize("case", [case for case in CASES if not case.error], ids=lambda case: case.name)
def test_same_as_docker(case, docker, sifconv, tmp_path):
    assert_same(docker, sifconv, tmp_path, case.name, archives(case.layers), archives(case.reference or case.layers))


@pytest.mark.parametrize("case", [case for case in CASES if case.refused], ids=lambda case: case.name)
def test_docker_refuses(case, docker, tmp_path):
    """Why such a case has a reference: if an engine accepts it, its own result counts."""
    archive = images.write_docker20(tmp_path / "image.tar", archives(case.layers), "bed/refused:1")
    with pytest.raises(RuntimeError, match="/images/load"):
        load(docker, archive)


@pytest.mark.parametrize("case", [case for case in CASES if case.error], ids=lambda case: case.name)
def test_one_clear_error(case, sifconv, tmp_path):
    archive = images.write_docker20(tmp_path / "image.tar", archives(case.layers), "bed/error:1")
    done = subprocess.run([sifconv, archive, tmp_path / "image.sif"], capture_output=True, text=True, errors="replace")
    assert done.returncode in (1, 255)
    assert case.error in done.stderr
    assert not (tmp_path / "image.sif").exists()


@pytest.mark.parametrize("seed", os.environ.get("SIFCONV_SEEDS", "1,2").split(","))
def test_random_sequences_same_as_docker(seed, docker, sifconv, tmp_path):
    layers = archives(layer_random.random_layers(int(seed), RANDOM_SEQUENCES))
    assert_same(docker, sifconv, tmp_path, f"random-{seed}", layers, layers)
