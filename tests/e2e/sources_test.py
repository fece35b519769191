# SPDX-License-Identifier: Apache-2.0
"""sifconv on what is no archive: OCI layout folders, a Docker engine, a SIF, a bare squashfs, a folder. Each gives the tree that the archive gives."""
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

from beds.archive import Archive, OciArchive, one_file_layer
from beds.images import Layer, write_docker20

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def offset_of(sif):
    return sif.read_bytes().index(b"hsqs", 32176)


def squashfs(sif):
    return sif.read_bytes()[offset_of(sif):]


def listing(sif):
    """Mode, owner, size, time, path and target of everything, without the generated folder that names its source."""
    text = subprocess.run(["unsquashfs", "-lln", "-o", str(offset_of(sif)), sif], capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if ".singularity.d" not in line]


@pytest.fixture
def convert(user, sifconv, tmp_path):
    def run(source, *options, name="out.sif", who=user, **more):
        done = who.run([sifconv, *options, source, tmp_path / name], cwd=tmp_path, **more)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return run


@pytest.fixture
def layers():
    first = Layer().folder("srv").file("srv/a", "a\n" * 5000).file("srv/b", os.urandom(300000)).hardlink("srv/c", "srv/b")
    first.symlink("srv/d", "a").file("srv/own", "x", uid=123, gid=70000, mode=0o4750).folder("srv/t", mode=0o1777)
    return [first.bytes(), Layer().file("srv/e", "c\n").file("srv/.wh.a", "").bytes()]


def write_layout(folder, *archives):
    """The files of `archives` (OciArchive) in one layout folder, each under its tag."""
    entries = []
    for tag, archive in archives:
        for name, data in archive.blobs.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        entries.append({**archive.entry, "annotations": {"org.opencontainers.image.ref.name": tag}})
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return folder


def test_layout_folder(convert, tmp_path, layers, user, sifconv):
    expected = listing(convert(OciArchive(layers).write(tmp_path / "in.tar"), name="archive.sif"))
    folder = write_layout(tmp_path / "lay", ("one", OciArchive(layers)), ("two", OciArchive([one_file_layer()])))
    for number, source in enumerate([f"oci:{folder}:one", f"oci://{folder}:one", "oci:lay:one"]):
        assert listing(convert(source, name=f"{number}.sif")) == expected
    assert "srv/file" in "".join(listing(convert("oci:lay:two", name="two.sif")))
    single = write_layout(tmp_path / "single", ("one", OciArchive(layers)))
    assert listing(convert(str(single), name="single.sif")) == expected
    for source, said in (("oci:lay", "holds 2 images: one, two"), ("lay", "holds 2 images: one, two"), ("oci:lay:three", "holds no image three"), ("oci:absent", "No such file")):
        done = user.run([sifconv, source, "x.sif"], cwd=tmp_path)
        assert done.returncode == 255 and said in done.stderr


def test_layouts_as_docker_writes_them(convert, tmp_path):
    """manifest.json has names of images, index.json tags."""
    one, two = OciArchive([one_file_layer("srv/one")]), OciArchive([one_file_layer("srv/two")])
    folder = write_layout(tmp_path / "lay", ("1", one), ("2", two))
    entries = []
    for name, archive in (("aa:1", one), ("aa:2", two)):
        manifest = json.loads(archive.blobs["blobs/sha256/" + archive.entry["digest"].split(":")[1]])
        path = {key: f"blobs/sha256/{value['digest'].split(':')[1]}" for key, value in (("config", manifest["config"]), ("layer", manifest["layers"][0]))}
        entries.append({"Config": path["config"], "RepoTags": [name], "Layers": [path["layer"]]})
    (folder / "manifest.json").write_text(json.dumps(entries))
    subprocess.run(["tar", "cf", "lay.tar", "-C", "lay", "."], cwd=tmp_path, check=True)
    for number, source in enumerate(["oci:lay:2", "oci:lay:aa:2", "oci-archive:lay.tar:2", "docker-archive:lay.tar:aa:2"]):
        assert "srv/two" in "".join(listing(convert(source, name=f"{number}.sif"))), source


def test_same_layer_twice_in_a_layout_folder(convert, tmp_path):
    convert(f"oci:{write_layout(tmp_path / 'lay', ('t', OciArchive([one_file_layer(), one_file_layer()])))}")


def test_hostile_layout_folder(user, sifconv, tmp_path):
    archive = OciArchive()
    folder = write_layout(tmp_path / "lay", ("t", archive))
    blob = folder / next(name for name, data in archive.blobs.items() if data[:2] == b"\x1f\x8b")
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    assert "cannot decompress layer 1" in user.run([sifconv, "oci:lay:t", "x.sif"], cwd=tmp_path).stderr
    blob.unlink()
    os.mkfifo(blob)
    assert "not a regular file" in user.run([sifconv, "oci:lay:t", "x.sif"], cwd=tmp_path, timeout=20).stderr
    blob.unlink()
    assert "is missing in the folder" in user.run([sifconv, "oci:lay:t", "x.sif"], cwd=tmp_path).stderr
    assert not (tmp_path / "x.sif").exists()


@pytest.mark.parametrize("index_is", ["nested", "flat"])
def test_architecture_of_several(convert, tmp_path, user, sifconv, index_is):
    ours, other = OciArchive([one_file_layer("srv/ours")]), OciArchive([one_file_layer("srv/s390x")], architecture="s390x")
    other.entry["platform"] = {"os": "linux", "architecture": "s390x"}
    ours.entry["platform"] = {"os": "linux", "architecture": MACHINE}
    if index_is == "flat":
        write_layout(tmp_path / "lay", ("t", other), ("t", ours))
    else:
        index = {"schemaVersion": 2, "manifests": [other.entry, ours.entry]}
        ours.blobs.update(other.blobs)
        ours.entry = ours.blob(json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
        write_layout(tmp_path / "lay", ("t", ours))
    assert "srv/ours" in "".join(listing(convert("oci:lay:t")))
    assert "srv/s390x" in "".join(listing(convert("oci:lay:t", "--arch", "s390x", name="other.sif")))
    assert "--arch x86_64 is no architecture" in user.run([sifconv, "--arch", "x86_64", "oci:lay:t", "x.sif"], cwd=tmp_path).stderr
    done = user.run([sifconv, "--arch", "arm", "oci:lay:t", "x.sif"], cwd=tmp_path)
    assert done.returncode == 255 and "for linux/arm, only for linux/s390x" in done.stderr


def test_sif_and_squashfs(convert, tmp_path, layers):
    first = convert(write_docker20(tmp_path / "in.tar", layers), name="first.sif")
    again = convert(first, name="again.sif")
    assert squashfs(again) == squashfs(first)
    assert convert(first, name="third.sif").read_bytes() == again.read_bytes()
    gzip = convert(first, "--compression", "gzip", name="gzip.sif")
    assert squashfs(gzip) != squashfs(first) and listing(gzip) == listing(first)
    (tmp_path / "bare.sqfs").write_bytes(squashfs(first))
    assert squashfs(convert(tmp_path / "bare.sqfs", name="bare.sif")) == squashfs(first)
    (tmp_path / "old.img").write_bytes(b"#!/usr/bin/env run-singularity\n" + squashfs(first))  # of Singularity 2.4 to 2.6
    assert squashfs(convert(tmp_path / "old.img", name="new.sif")) == squashfs(first)


def test_text_objects_of_a_sif_are_kept(convert, tmp_path, layers, user, sifrun):
    first = convert(write_docker20(tmp_path / "in.tar", layers, Labels={"maintainer": "me"}), name="first.sif")
    again = convert(first, name="again.sif")
    for option in ("--labels", "--runscript", "--deffile"):
        one, other = (user.run([sifrun, "inspect", option, image]) for image in (first, again))
        assert (one.returncode, one.stdout) == (other.returncode, other.stdout) and one.stdout


def test_sparse_file_of_a_folder_is_not_read_through(convert, tmp_path, user, sifrun, fuse_device):
    """As lastlog is where user ids are large: the holes are more than could be read in the time."""
    folder = tmp_path / "folder"
    (folder / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    with open(folder / "lastlog", "wb") as file:
        file.truncate(100 << 30)
        for place in (3 << 20, 99 << 30):
            file.seek(place)
            file.write(b"here" * 100_000)
    image = convert(folder, timeout=20)
    script = "/bin/busybox cmp /lastlog /same/lastlog -n 8000000 && for at in 101376 101375; do /bin/busybox dd if=/lastlog bs=1M skip=$at count=1 2>/dev/null | /bin/busybox md5sum; done; /bin/busybox stat -c %s /lastlog"
    done = user.run([sifrun, "exec", "-B", f"{folder}:/same", image, "/bin/busybox", "sh", "-c", script], cwd=tmp_path)
    sums = [hashlib.md5(data.ljust(1 << 20, b"\0")).hexdigest() for data in (b"here" * 100_000, b"")]
    assert done.stdout.split() == [sums[0], "-", sums[1], "-", str(100 << 30)], done.stderr


def test_folder_keeps_everything(convert, root, tmp_path, layers):
    first = convert(write_docker20(tmp_path / "in.tar", layers, Labels={"maintainer": "me"}), name="first.sif")
    tree = tmp_path / "tree"
    subprocess.run(["unsquashfs", "-no-progress", "-quiet", "-o", str(offset_of(first)), "-d", tree, first], check=True, stdout=subprocess.DEVNULL)
    os.setxattr(tree / "srv/e", "user.note", b"kept")
    os.setxattr(tree / "srv/own", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    sif = convert(tree, name="folder.sif", who=root)
    assert listing(sif) == listing(first)
    shutil.rmtree(tree)
    subprocess.run(["unsquashfs", "-no-progress", "-quiet", "-o", str(offset_of(sif)), "-d", tree, sif], check=True, stdout=subprocess.DEVNULL)
    assert os.getxattr(tree / "srv/e", "user.note") == b"kept" and os.getxattr(tree / "srv/own", "security.capability")
    assert b'"maintainer":"me"' in sif.read_bytes()


def test_a_sandbox_keeps_attributes_of_what_is_not_opened(convert, root, tmp_path):
    tree, names = tmp_path / "tree", ("link", "pipe", "null")
    tree.mkdir()
    (tree / "link").symlink_to("pipe")
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for name in names:
        os.setxattr(tree / name, "trusted.note", b"kept", follow_symlinks=False)
    sandbox = convert(convert(tree, name="folder.sif", who=root), "--sandbox", name="sandbox", who=root)
    assert [os.getxattr(sandbox / name, "trusted.note", follow_symlinks=False) for name in names] == [b"kept"] * 3


def test_folder_of_a_user_that_is_no_sandbox(convert, user, sifconv, tmp_path):
    user.run(["sh", "-c", "mkdir -p tree/bin; echo text > tree/bin/file; ln tree/bin/file tree/two; mkfifo tree/pipe"], cwd=tmp_path)
    lines = listing(convert("tree/"))
    assert any(line.startswith("prw") for line in lines) and any(line.endswith("root/proc") for line in lines)
    # What is the user's is root's, who may read it.
    user.run(["sh", "-c", "chmod 000 tree/bin/file; mkdir -m 0 tree/shut"], cwd=tmp_path)
    lines = listing(convert("tree", name="shut.sif"))
    assert all(re.match(r"\S+ 0/0 ", line) for line in lines) and any(re.match(r"d--------- .*root/shut$", line) for line in lines)
    if os.geteuid() == 0:
        (tmp_path / "tree/others").write_text("closed")
        (tmp_path / "tree/others").chmod(0o600)
        done = user.run([sifconv, "tree", "x.sif"], cwd=tmp_path)
        (tmp_path / "tree/others").unlink()
        assert done.returncode == 255 and "Permission denied" in done.stderr and "tree/others" in done.stderr, done.stderr
        assert not (tmp_path / "x.sif").exists()


def test_corrupt_image_files(user, sifconv, tmp_path, convert):
    whole = squashfs(convert(Archive().write(tmp_path / "in.tar"), "--compression", "gzip"))  # what is stored as it is has no checksum
    (tmp_path / "cut.sqfs").write_bytes(whole[:-4096])
    (tmp_path / "bad.sqfs").write_bytes(whole[:96] + bytes(64) + whole[160:])
    for name in ("cut.sqfs", "bad.sqfs"):
        done = user.run([sifconv, name, "x.sif"], cwd=tmp_path)
        assert done.returncode == 255 and "FATAL:" in done.stderr and "unexpected" not in done.stderr
        assert not (tmp_path / "x.sif").exists()


def test_skopeo_layouts(convert, user_tar, tmp_path, user):
    """What skopeo makes of a real image: gzip layers in a folder and in an archive."""
    expected = listing(convert(user_tar, name="docker.sif"))
    folder, archive = f"oci:{tmp_path}/lay:1.0", f"oci-archive:{tmp_path}/lay.tar:1.0"
    for target in (folder, archive):
        done = user.run(["skopeo", "copy", "--quiet", "--insecure-policy", f"docker-archive:{user_tar}", target], timeout=300)
        assert done.returncode == 0, done.stderr
        assert listing(convert(target, "--force", timeout=300)) == expected


def test_docker_engine(convert, docker, root, user_tar, sifconv, tmp_path):
    docker.run("load", "--input", user_tar)
    expected = convert(user_tar, name="archive.sif").read_bytes()
    where = {"DOCKER_HOST": docker.socket}
    for number, name in enumerate(("docker-daemon:bed/user:1.0", "docker-daemon://bed/user:1.0")):
        assert convert(name, name=f"{number}.sif", who=root, env=where, timeout=300).read_bytes() == expected
    done = root.run([sifconv, "docker-daemon:bed/user:1.0"], env=where, cwd=tmp_path, timeout=300)
    assert done.returncode == 0 and (tmp_path / "user_1.0.sif").exists()
    for name, host, said in (("no/such:1", docker.socket, "does not give the image no/such:1"), ("bed/user:1.0", "unix:///no/socket", "is the engine running?"),
                             ("bed/user:1.0", "ssh://host", "is not supported"), ("bed/user:1.0", "tcp://127.0.0.1:1", "Connection refused")):
        done = root.run([sifconv, f"docker-daemon:{name}", "x.sif"], env={"DOCKER_HOST": host}, cwd=tmp_path)
        assert done.returncode == 255 and said in done.stderr, done.stderr
    assert not (tmp_path / "x.sif").exists()


def test_podman_service(convert, podman, root, sifconv, sifrun, layers, tmp_path):
    """The same interface from another engine, which names what has no registry localhost/."""
    expected = listing(convert(Archive(layers).write(tmp_path / "in.tar"), name="archive.sif"))
    podman.load(tmp_path / "in.tar")
    where = {"DOCKER_HOST": podman.socket}
    for number, name in enumerate(("docker-daemon:bed/test:1", "docker-daemon://localhost/bed/test:1")):
        assert listing(convert(name, name=f"{number}.sif", who=root, env=where)) == expected
    done = root.run([sifrun, "build", tmp_path / "built.sif", "docker-daemon://bed/test:1"], env=where, cwd=tmp_path)
    assert done.returncode == 0 and listing(tmp_path / "built.sif") == expected, done.stderr
    done = root.run([sifconv, "docker-daemon:no/such:1", "x.sif"], env=where, cwd=tmp_path)
    assert done.returncode == 255 and "does not give the image no/such:1" in done.stderr and not (tmp_path / "x.sif").exists()
