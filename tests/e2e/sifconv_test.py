# SPDX-License-Identifier: Apache-2.0
"""sifconv on archives made here: layouts, compressions, selection, determinism, atomicity, messages. Flattening has tests of its own."""
import bz2
import gzip
import json
import lzma
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import tarfile
import time

import pytest

from beds import UNDER
from beds.archive import Archive, OciArchive, one_file_layer, tar_bytes
from beds.images import CREATED, Layer, sha256, write_docker20, write_docker25
from beds.servers import wait_until

CONFIG = {"Env": ["PATH=/usr/bin:/bin", "GREETING=hello $USER `id` \"you\" \\ '}", "not a name=1", "EMPTY="],
          "Entrypoint": ["/bin/echo", "it's"], "Cmd": ["a b", "$HOME"], "WorkingDir": "/srv", "Labels": {"maintainer": "me"}}


def offset_of(sif):
    data = sif.read_bytes()
    position = data.index(b"hsqs", 32176)
    assert position % 4096 == 0
    return position


def squashfs(sif):
    return sif.read_bytes()[offset_of(sif):]


def unpack(sif, target):
    subprocess.run(["unsquashfs", "-no-progress", "-quiet", "-o", str(offset_of(sif)), "-d", str(target), str(sif)], check=True,
                   stdout=subprocess.DEVNULL)
    return target


@pytest.fixture
def convert(user, sifconv, tmp_path):
    def run(source, *options, name="out.sif", **more):
        done = user.run([sifconv, *options, source, tmp_path / name], cwd=tmp_path, **more)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return run


@pytest.fixture
def layers():
    first = Layer().folder("srv").file("srv/a", "a\n" * 5000).file("srv/b", os.urandom(300000)).folder("usr").folder("usr/bin")
    return [first.bytes(), Layer().file("srv/c", "c\n").file("srv/.wh.a", "").bytes()]


def test_default_name(user, sifconv, tmp_path):
    for name in ("cuda_image.tar", "other.tar.gz", "third.tgz", "fourth.tar.zst", "fifth", ".tar"):
        Archive().write(tmp_path / name)
        done = user.run([sifconv, tmp_path / name], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("*.sif")) == [
        ".tar.sif", "cuda_image.sif", "fifth.sif", "fourth.sif", "other.sif", "third.sif"]


def test_file(convert, tmp_path, layers):
    sif = convert(write_docker20(tmp_path / "in.tar", layers))
    assert stat.S_IMODE(sif.stat().st_mode) == 0o755
    assert sif.read_bytes().startswith(b"#!/usr/bin/env run-singularity\n")
    tree = unpack(sif, tmp_path / "tree")
    assert (tree / "srv/c").read_text() == "c\n" and not (tree / "srv/a").exists()


def test_umask_is_respected(user, sifconv, tmp_path):
    Archive().write(tmp_path / "in.tar")
    user.run(["sh", "-c", f"umask 077; {sifconv} in.tar x.sif"], cwd=tmp_path)
    assert stat.S_IMODE((tmp_path / "x.sif").stat().st_mode) == 0o700


def test_same_bytes_from_everywhere(user, sifconv, tmp_path, convert, layers):
    source = write_docker20(tmp_path / "in.tar", layers, **CONFIG)
    expected = convert(source, name="file.sif").read_bytes()
    for threads in (1, 3, 8):
        assert convert(source, "--threads", threads, name=f"t{threads}.sif").read_bytes() == expected
    assert convert("-", name="stdin.sif", stdin=source.open("rb")).read_bytes() == expected
    assert convert("-", name="pipe.sif", input=source.read_bytes(), text=False).read_bytes() == expected
    (tmp_path / "in.tar.gz").write_bytes(gzip.compress(source.read_bytes()))
    assert convert(tmp_path / "in.tar.gz", name="gz.sif").read_bytes() == expected
    other = write_docker25(tmp_path / "new.tar", layers, **CONFIG)
    assert convert(other, name="layout.sif").read_bytes() == expected
    os.utime(source, (1, 1))
    assert convert(source, name="later.sif").read_bytes() == expected
    assert str(tmp_path).encode() not in expected


def test_oci_layout_alone(convert, tmp_path, layers):
    old = convert(write_docker20(tmp_path / "in.tar", layers, **CONFIG), name="old.sif")
    new = convert(OciArchive(layers, **CONFIG).write(tmp_path / "oci.tar"), name="new.sif")
    assert old.read_bytes() == new.read_bytes()


def zstd(data):
    return subprocess.run(["zstd", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


packers = pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd], ids=lambda f: f.__module__ + f.__name__)


@packers
def test_compressed_layers_and_archives(convert, tmp_path, compress, layers):
    plain = Archive(layers)
    expected = convert(plain.write(tmp_path / "plain.tar"), name="plain.sif").read_bytes()
    packed = Archive(layers)
    packed.members = [(name, compress(layer)) for name, layer in packed.members]
    assert convert(packed.write(tmp_path / "layers.tar"), name="layers.sif").read_bytes() == expected
    (tmp_path / "whole").write_bytes(compress(plain.bytes()))
    assert convert(tmp_path / "whole", name="whole.sif").read_bytes() == expected
    assert convert("-", name="stdin.sif", input=compress(packed.bytes()), text=False).read_bytes() == expected


@packers
def test_several_streams_behind_one_another(convert, tmp_path, compress):
    """As pigz -i, pzstd and cat write them: members of gzip, frames of zstd."""
    data = Archive().bytes()
    (tmp_path / "in.packed").write_bytes(compress(data[:1000]) + compress(b"") + compress(data[1000:]))
    convert(tmp_path / "in.packed")


@pytest.mark.parametrize("padding", [4, 512])
def test_xz_streams_with_padding(convert, user, sifconv, tmp_path, padding):
    """As the format has it, in fours behind and between streams."""
    data = Archive().bytes()
    for name, packed in (("behind", lzma.compress(data) + bytes(padding)), ("between", lzma.compress(data[:999]) + bytes(padding) + lzma.compress(data[999:]))):
        (tmp_path / "in.tar.xz").write_bytes(packed)
        convert(tmp_path / "in.tar.xz", name=name)
    (tmp_path / "in.tar.xz").write_bytes(lzma.compress(data) + bytes(padding + 1))
    assert "unexpected data" in user.run([sifconv, tmp_path / "in.tar.xz", tmp_path / "x.sif"]).stderr


def test_layer_that_is_a_link(convert, tmp_path):
    archive = Archive([one_file_layer(), one_file_layer()])
    archive.members[1] = (archive.members[1][0], tarfile.SYMTYPE, "../" + archive.members[0][0])
    convert(archive.write(tmp_path / "in.tar"))


def test_layer_named_by_digest_as_podman_does(convert, tmp_path):
    archive = Archive()
    name = sha256(archive.layers[0]) + ".tar"
    archive.members = [("./" + name, archive.layers[0])]
    archive.manifest[0]["Layers"] = [name]
    convert(archive.write(tmp_path / "in.tar"))


def test_quirks_of_configurations(convert, tmp_path):
    archive = Archive(tags=[])
    archive.manifest[0]["RepoTags"] = None
    archive.config = {"config": {"Cmd": None, "Env": None, "Labels": None, "Entrypoint": "/init"}, "created": None,
                      "rootfs": archive.config["rootfs"], "history": None}
    sif = convert(archive.write(tmp_path / "in.tar"))
    assert b"from: sha256:" in sif.read_bytes()
    archive = Archive(layers=[])
    archive.config = {"config": None, "architecture": "amd64", "os": "linux"}
    convert(archive.write(tmp_path / "in2.tar"), name="empty.sif")


def test_what_go_reads_out_of_a_configuration(convert, tmp_path):
    """A null is an empty text, and a key in another case is that key."""
    archive = Archive(layers=[])
    archive.config = {"Config": {"cmd": [None, "x"], "ENV": ["A=1", None], "Labels": {"a": None}}, "architecture": "amd64", "os": "linux"}
    tree = unpack(convert(archive.write(tmp_path / "in.tar")), tmp_path / "tree")
    assert "A=" in (tree / ".singularity.d/env/10-docker2singularity.sh").read_text()
    assert json.loads((tree / ".singularity.d/labels.json").read_text())["a"] == ""
    assert "set -- '' 'x'" in (tree / ".singularity.d/runscript").read_text()


def test_images_of_crane(convert, tmp_path):
    """Which names the configuration by its digest, with a colon."""
    archive = Archive(tags=[])
    body = json.dumps(archive.config).encode()
    archive.manifest[0]["Config"] = "sha256:" + sha256(body)
    archive.members.append((archive.manifest[0]["Config"], body))
    convert(archive.write(tmp_path / "in.tar"), "--ref", sha256(body)[:12])


@pytest.mark.parametrize("what", ["folder", "archive"])
def test_a_sparse_archive_says_so(user, sifconv, tmp_path, what):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, data in Archive([one_file_layer(data=bytes(1 << 20))]).finished():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        subprocess.run(["fallocate", "--dig-holes", folder / name], check=True)
    subprocess.run(["tar", "-C", folder, "--format=posix", "-cSf", tmp_path / "in.tar", "."], check=True)
    done = user.run([sifconv, tmp_path / "in.tar", tmp_path / "x.sif"])
    assert done.returncode == 255 and "stored as a sparse file" in done.stderr and "--sparse" in done.stderr, done.stderr


def test_a_pipe_with_a_name(user, sifconv, tmp_path):
    """It is opened once: who writes would take a second look for the end."""
    data = Archive().bytes()
    os.mkfifo(tmp_path / "pipe", 0o644)
    for number in range(20):
        writer = subprocess.Popen(["sh", "-c", 'cat > "$0"', tmp_path / "pipe"], stdin=subprocess.PIPE)
        writer.stdin.write(data)
        writer.stdin.close()
        done = user.run([sifconv, tmp_path / "pipe", tmp_path / f"{number}.sif"], timeout=20)
        assert done.returncode == 0 and writer.wait() == 0, done.stderr


@pytest.mark.parametrize("limit, size, options", [("-s 256", 8 << 30, []), ("-s 8192", 9 << 30, ["--block-size", "4K"])])
def test_files_of_many_blocks(user, sifconv, tmp_path, limit, size, options):
    """More than a stack has room for."""
    with open(tmp_path / "big", "wb") as file:
        file.truncate(size)
    subprocess.run(["tar", "-C", tmp_path, "--format=posix", "-cSf", tmp_path / "layer.tar", "big"], check=True)
    Archive([(tmp_path / "layer.tar").read_bytes()]).write(tmp_path / "in.tar")
    done = user.run(["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", sifconv, *options, "in.tar", "x.sif"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(["unsquashfs", "-lln", "-o", str(offset_of(tmp_path / "x.sif")), tmp_path / "x.sif", "big"], capture_output=True, text=True)
    assert f" {size} " in listed.stdout


def test_selection(convert, tmp_path, user, sifconv):
    archive = Archive(tags=["docker.io/library/one:1", "one:latest"])
    other = Archive([one_file_layer("srv/b")])
    archive.finished()
    body, other_body = json.dumps(archive.config).encode(), json.dumps(other.config).encode()
    archive.members += [(sha256(body) + ".json", body), ("b/layer.tar", other.layers[0]), (sha256(other_body) + ".json", other_body)]
    archive.manifest.append({"Config": sha256(other_body) + ".json", "RepoTags": ["bed/two:2"], "Layers": ["b/layer.tar"]})
    source = archive.write(tmp_path / "in.tar")
    for number, (reference, said) in enumerate([("one:1", "one:1"), ("one", "one:latest"), ("docker.io/library/one", "one:latest"),
                                                ("bed/two:2", "bed/two:2"), (sha256(other_body)[:12], "bed/two:2")]):
        sif = convert(source, "--ref", reference, name=f"{number}.sif")
        assert f"from: {said}\n".encode() in sif.read_bytes()
    assert b"from: bed/two:2\n" in convert(f"docker-archive:{source}:bed/two:2", name="a.sif").read_bytes()
    assert b"from: one:1\n" in convert(f"docker-archive://{source}:one:1", name="b.sif").read_bytes()


def test_oci_index_with_attestation_and_other_platforms(convert, tmp_path):
    archive = OciArchive()
    other = OciArchive([one_file_layer("srv/arm")])
    archive.blobs.update(other.blobs)
    note = {"mediaType": archive.entry["mediaType"], "digest": archive.entry["digest"], "size": 1,
            "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    del archive.entry["annotations"], other.entry["annotations"]
    missing = {"mediaType": archive.entry["mediaType"], "digest": "sha256:" + "0" * 64, "size": 5, "platform": {"os": "linux", "architecture": "s390x"}}
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    nested = {"schemaVersion": 2, "manifests": [
        note, missing, {**other.entry, "platform": {"os": "linux", "architecture": "mips"}},
        {**archive.entry, "platform": {"os": "linux", "architecture": machine}}]}
    archive.index["manifests"] = [archive.blob(json.dumps(nested).encode(), "application/vnd.oci.image.index.v1+json")]
    archive.index["manifests"][0]["annotations"] = {"io.containerd.image.name": "docker.io/library/multi:1"}
    tree = unpack(convert(archive.write(tmp_path / "in.tar")), tmp_path / "tree")
    assert (tree / "srv/file").exists()


@pytest.mark.parametrize("architecture, variants, taken", [
    ("amd64", ["v3", "", "v2"], ""), ("amd64", ["v2", "v1"], "v1"), ("arm64", ["v9", "v8"], "v8"), ("arm", ["v5", "v7", "v6"], "v7"), ("arm", ["v6", "v5"], "v6")])
def test_the_variant_that_most_machines_run(convert, tmp_path, architecture, variants, taken):
    images = [OciArchive([one_file_layer(f"srv/{architecture}{variant}")], architecture=architecture) for variant in variants]
    archive, items = images[0], []
    for image, variant in zip(images, variants):
        archive.blobs.update(image.blobs)
        del image.entry["annotations"]
        items.append({**image.entry, "platform": {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}})
    archive.index["manifests"] = [archive.blob(json.dumps({"schemaVersion": 2, "manifests": items}).encode(), "application/vnd.oci.image.index.v1+json")]
    tree = unpack(convert(archive.write(tmp_path / "in.tar"), "--arch", architecture), tmp_path / "tree")
    assert [path.name for path in (tree / "srv").iterdir()] == [architecture + taken]


def test_an_image_is_called_by_its_tag_as_well(convert, tmp_path):
    archive = OciArchive()
    archive.index["manifests"][0]["annotations"] = {"io.containerd.image.name": "docker.io/library/foo:1.0", "org.opencontainers.image.ref.name": "1.0"}
    source = archive.write(tmp_path / "in.tar")
    for reference in ("1.0", "foo:1.0"):
        assert b"from: foo:1.0\n" in convert(f"oci-archive:{source}:{reference}", name=f"{reference}.sif").read_bytes()


def test_foreign_architecture_is_noted(user, sifconv, tmp_path):
    archive = Archive()
    archive.config["architecture"] = "s390x"
    done = user.run([sifconv, archive.write(tmp_path / "in.tar")], cwd=tmp_path)
    assert done.returncode == 0
    assert "INFO:    the image is for s390x" in done.stderr


def test_singularity_d(convert, tmp_path):
    tree = unpack(convert(Archive(**CONFIG).write(tmp_path / "in.tar")), tmp_path / "tree")
    for name in ("dev", "proc", "sys", "tmp", "root", "home", "var/tmp", "etc", ".singularity.d/libs"):
        assert (tree / name).is_dir()
    assert (tree / "etc/hosts").read_text() == "" and (tree / "etc/resolv.conf").read_text() == ""
    assert os.readlink(tree / "singularity") == ".singularity.d/runscript"
    assert os.readlink(tree / ".run") == ".singularity.d/actions/run"
    for script in [*(tree / ".singularity.d/env").iterdir(), *(tree / ".singularity.d/actions").iterdir(), tree / ".singularity.d/runscript"]:
        assert os.access(script, os.X_OK)
        subprocess.run(["dash", "-n", script], check=True)
    labels = json.loads((tree / ".singularity.d/labels.json").read_text())
    assert labels["maintainer"] == "me" and labels["org.label-schema.build-date"] == CREATED
    done = subprocess.run(["dash", "-c", '. "$0"; printf "%s|%s|%s" "$GREETING" "$PATH" "${EMPTY-unset}"',
                           tree / ".singularity.d/env/10-docker2singularity.sh"], capture_output=True, text=True, env={}, check=True)
    assert done.stdout == "hello $USER `id` \"you\" \\ '}|/usr/bin:/bin|"


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
@pytest.mark.parametrize("entrypoint, cmd, arguments, no_eval, said", [
    (["echo", "it's"], ["a b", "$HOME"], [], False, "it's a b $HOME\n"), (["echo", "e"], ["c"], ["x", "y"], False, "e x y\n"),
    (None, ["echo", "c"], [], False, "c\n"), (None, ["echo", "c"], ["echo", "x"], False, "x\n"), (["echo"], None, ["$V"], False, "value\n"),
    (["echo"], None, ["$V"], True, "$V\n"), (None, None, ["sh", "-c", 'echo "hello there"'], False, "hello\n"),
    (None, None, ["sh", "-c", 'echo "hello there"'], True, "hello there\n"), (["-n"], None, [], False, None)])
def test_runscript(convert, tmp_path, shell, entrypoint, cmd, arguments, no_eval, said):
    tree = unpack(convert(Archive(Entrypoint=entrypoint, Cmd=cmd).write(tmp_path / "in.tar")), tmp_path / "tree")
    env = {"PATH": os.environ["PATH"], "V": "value", **({"SINGULARITY_NO_EVAL": "1"} if no_eval else {})}
    done = subprocess.run([*shell.split(), tree / ".singularity.d/runscript", *arguments], capture_output=True, text=True, env=env)
    if said is None:
        assert done.returncode != 0
    else:
        assert (done.stdout, done.stderr) == (said, "")


def test_hostile_trees_get_their_singularity_d(convert, tmp_path):
    layer = tar_bytes([(".singularity.d", tarfile.SYMTYPE, "/etc"), ("dev", b"a file"), ("home", tarfile.SYMTYPE, "srv/home"),
                       ("tmp", tarfile.SYMTYPE, "tmp"), ("etc", tarfile.SYMTYPE, "usr/etc"), ("usr/etc/passwd", b"p"), ("singularity", b"mine")])
    tree = unpack(convert(Archive([layer]).write(tmp_path / "in.tar")), tmp_path / "tree")
    assert (tree / ".singularity.d/runscript").is_file() and not (tree / ".singularity.d").is_symlink()
    assert (tree / "dev").is_dir() and os.readlink(tree / "home") == "srv/home" and os.readlink(tree / "tmp") == "tmp"
    assert sorted(path.name for path in (tree / "usr/etc").iterdir()) == ["hosts", "passwd", "resolv.conf"]
    assert (tree / "singularity").read_text() == "mine"


def test_existing_destination(user, sifconv, tmp_path):
    source = Archive().write(tmp_path / "in.tar")
    (tmp_path / "x.sif").write_text("old")
    done = user.run([sifconv, source, "x.sif"], cwd=tmp_path)
    assert done.returncode == 255
    assert done.stderr == "FATAL:   cannot write x.sif: it exists already\nhint:    use --force to replace it\n"
    assert (tmp_path / "x.sif").read_text() == "old"
    bad = tmp_path / "bad.tar"
    bad.write_bytes(source.read_bytes()[:-700])
    done = user.run([sifconv, "--force", bad, "x.sif"], cwd=tmp_path)
    assert done.returncode == 255 and "bad.tar: at offset 4608: truncated: the archive ends at " in done.stderr, done.stderr
    assert (tmp_path / "x.sif").read_text() == "old"
    assert user.run([sifconv, source, "x.sif", "--force"], cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.sif").read_bytes().startswith(b"#!")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "in.tar", "x.sif"]


@pytest.mark.parametrize("destination, said", [
    (".", "is a folder"), ("sub/", "is a folder"), ("no/x.sif", "No such file or directory"), ("/dev/null", "not a regular file"),
    ("in.tar", "the same file"), ("link.tar", "the same file"), ("/proc/x.sif", "cannot write")])
def test_bad_destinations(user, sifconv, tmp_path, destination, said):
    Archive().write(tmp_path / "in.tar")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.tar").hardlink_to(tmp_path / "in.tar")
    done = user.run([sifconv, "--force", "in.tar", destination], cwd=tmp_path)
    assert done.returncode == 255 and said in done.stderr, done.stderr
    assert tarfile.is_tarfile(tmp_path / "in.tar")


CODECS = {"gzip": 1, "xz": 4, "lz4": 5, "zstd": 6, "fast": 5, "small": 6}  # numbers in the superblock


@pytest.mark.parametrize("codec, level", [("gzip", ""), ("gzip", ":12"), ("lz4", ""), ("xz", ":1"), ("zstd", ":19"), ("fast", ""), ("small", "")])
def test_compression(convert, tmp_path, layers, codec, level):
    sif = convert(write_docker20(tmp_path / "in.tar", layers), "--compression", codec + level)
    assert struct.unpack_from("<H", squashfs(sif), 20)[0] == CODECS[codec]
    assert (unpack(sif, tmp_path / "tree") / "srv/b").stat().st_size == 300000


@pytest.mark.parametrize("size, count", [("4096", 4096), ("1M", 1 << 20)])
def test_block_size(convert, tmp_path, layers, size, count):
    sif = convert(write_docker20(tmp_path / "in.tar", layers), "--block-size", size)
    assert struct.unpack_from("<I", squashfs(sif), 12)[0] == count
    assert (unpack(sif, tmp_path / "tree") / "srv/b").stat().st_size == 300000


def test_json(user, sifconv, tmp_path, layers):
    source = write_docker20(tmp_path / "in.tar", layers)
    done = user.run([sifconv, "--json", "--quiet", source, "x.sif"], cwd=tmp_path)
    record = json.loads(done.stdout)
    assert done.stderr == ""
    sif = (tmp_path / "x.sif").read_bytes()
    assert record["digest"] == "sha256:" + sha256(sif) and record["size"] == len(sif) and record["dest"] == "x.sif"
    assert record["reference"] == "bed/test:1" and record["layers"] == 2 and record["source_size"] == source.stat().st_size
    assert record["image_id"].startswith("sha256:") and record["files"] > 20 and record["seconds"] >= 0


def test_help_and_version(user, sifconv):
    done = user.run([sifconv, "--help"])
    assert done.returncode == 0 and done.stderr == ""
    assert "docker save my_image -o my_image.tar\n  sifconv my_image.tar" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert re.fullmatch(r"sifconv version \d+\.\d+\.\d+\n", user.run([sifconv, "--version"]).stdout)


def test_no_temporary_file_and_no_tree_for_plain_layers(user, sifconv, tmp_path, layers):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    source = write_docker20(tmp_path / "in.tar", layers)
    done = user.run(["strace", "-f", "-qq", "-e", "trace=open,openat,creat,mkdir,mkdirat,memfd_create,rename,renameat,renameat2,link,linkat,mknod,"
                     "mknodat,symlink,symlinkat", "-o", tmp_path / "trace", sifconv, source, "out.sif"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trace = (tmp_path / "trace").read_text()
    assert not re.search(r"mkdir|memfd|mknod|symlink", trace)
    opened = [line for line in trace.splitlines() if "/dev/null" not in line and " = -1 " not in line]
    written = [line for line in opened if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE", line)]
    assert len(written) == 1, written


def big_archive(path, megabytes, slow=False):
    """Random bytes, or such as take a compressor long."""
    layer = Layer()
    for number in range(megabytes):
        layer.file(f"srv/{number}", os.urandom(1 << 19).hex() if slow else os.urandom(1 << 20))
    return write_docker20(path, [layer.bytes()])


def expect_signals():
    """A test session in the background has some of them ignored, and children inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_for_the_program(process):
    """What is started becomes it after some others: setpriv, env, nohup."""
    wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/comm").read_text() == "sifconv\n")


def test_ignored_signals_stay_ignored(user, sifconv, tmp_path):
    source = big_archive(tmp_path / "in.tar", 5, slow=True)
    process = user.popen(["nohup", sifconv, "--compression", "xz:9", "--threads", "1", source, "x.sif"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for_the_program(process)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "x.sif").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_signals(user, sifconv, tmp_path, name):
    source = big_archive(tmp_path / "in.tar", 30, slow=True)
    (tmp_path / "x.sif").write_text("old")
    process = user.popen([sifconv, "--force", "--compression", "xz:9", "--threads", "1", source, "x.sif"], cwd=tmp_path,
                         preexec_fn=expect_signals)
    wait_for_the_program(process)
    time.sleep(0.5)  # somewhere in the middle
    process.send_signal(getattr(signal, name))
    assert process.wait(timeout=60) == -getattr(signal, name)
    left = {path.name for path in tmp_path.iterdir()}
    if UNDER and name == "SIGKILL":  # only files without a name vanish then
        left = {file for file in left if not file.startswith(".x.sif-")}
    assert left == {"in.tar", "x.sif"}
    assert (tmp_path / "x.sif").read_text() == "old"


def test_interrupt_while_a_folder_is_written(user, sifconv, tmp_path):
    layer = Layer()
    for number in range(10_000):
        layer.file(f"srv/{number % 200}/{number}", b"x")
    source = write_docker20(tmp_path / "in.tar", [layer.bytes()])
    for files in (2, 60):
        process = user.popen([sifconv, "--sandbox", source, "out"], cwd=tmp_path, preexec_fn=expect_signals)
        wait_until(lambda: len(list(tmp_path.glob(".sandbox-*/srv/*"))) > files)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM
        assert [path.name for path in tmp_path.iterdir()] == ["in.tar"]


def test_interrupt_while_standard_input_is_silent(user, sifconv, tmp_path):
    process = user.popen([sifconv, "-", "x.sif"], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=expect_signals)
    wait_for_the_program(process)
    time.sleep(0.3)  # it waits for input, or will
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_file_size_limit(user, sifconv, tmp_path):
    source = big_archive(tmp_path / "in.tar", 4)
    done = user.run(["sh", "-c", f"ulimit -f 1000; {sifconv} {source} x.sif"], cwd=tmp_path)
    assert done.returncode == 255 and "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.tar"]


def test_fewer_threads_do(user, sifconv, busybox_tar, tmp_path):
    """Where limits of the caller's allow some of them only."""
    done = user.run(["sh", "-c", f"ulimit -v 1000000; {sifconv} --threads 256 -q {busybox_tar} x.sif"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("packed", [False, True])
def test_full_disk(root, sifconv, tmp_path, packed):
    source = big_archive(tmp_path / "in.tar", 4)
    if packed:
        source.write_bytes(gzip.compress(source.read_bytes(), 1))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", small], check=True)
    try:
        (small / "x.sif").write_text("old")
        done = root.run([sifconv, "--force", source, small / "x.sif"])
        assert done.returncode == 255 and "No space left on device" in done.stderr
        assert [path.name for path in small.iterdir()] == ["x.sif"] and (small / "x.sif").read_text() == "old"
    finally:
        subprocess.run(["umount", small], check=True)


def test_progress_in_a_log_and_on_a_terminal(user, sifconv, tmp_path):
    source = big_archive(tmp_path / "in.tar", 5, slow=True)
    done = user.run(["script", "-qec", f"{sifconv} --compression xz:9 --threads 1 {source} {tmp_path}/x.sif", "/dev/null"], env={"TERM": "xterm"}, cwd=tmp_path)
    assert re.search(r"Compressing \[=*>? *\] +\d+%", done.stdout)
    assert "left" in done.stdout
    last = done.stdout.split("\x1b[K")[-1]
    assert "INFO:" in last.replace("\x1b[34m", "").replace("\x1b[0m", "")
    quiet = user.run([sifconv, "--quiet", source, "y.sif"], cwd=tmp_path)
    assert (quiet.returncode, quiet.stderr, quiet.stdout) == (0, "", "")


def test_a_file_system_without_links(user, sifconv, old_kernel, tmp_path):
    """Nor the flags of renameat2(2): what is there stays as long as nothing better is, and nothing else is left."""
    source = Archive().write(tmp_path / "in.tar")
    for options, target in (([], "x.sif"), (["--force"], "x.sif"), (["--sandbox"], "folder"), (["--sandbox", "--force"], "folder")):
        run = [old_kernel, "--no-links", sifconv, *options, source, target]
        done = user.run(run, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "folder/srv/file").exists() and (tmp_path / "x.sif").stat().st_size > 4096
    done = user.run([old_kernel, "--no-links", sifconv, source, "x.sif"], cwd=tmp_path)
    assert done.returncode == 255 and "exists already" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "in.tar", "x.sif"]


def test_changes_of_an_overlay(user, sifconv, sifrun, busybox_sif, tmp_path, fuse_device):
    """What `exec --overlay` has changed becomes an image of its own: owners, modes and documents of all else stay."""
    change = ("echo new > /srv/new; rm /srv/replaced; ln /srv/new /srv/hard2; mkdir /srv/sub; echo x > /srv/sub/f; rm -r /srv/private; mkdir /srv/private; echo y > /srv/private/only; "
              "chmod 711 /etc; ln -s new /srv/l")
    assert user.run([sifrun, "overlay", "create", "changes"], cwd=tmp_path).returncode == 0
    assert user.run([sifrun, "exec", "--fakeroot", "--overlay", "changes", busybox_sif, "sh", "-c", change], cwd=tmp_path).returncode == 0
    done = user.run([sifconv, "--overlay", "changes", busybox_sif, "new.sif"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    look = "cd /srv; ls; cat new hard2 sub/f private/only l; stat -c %h new; stat -c %a /etc; cat hard"
    shown = user.run([sifrun, "exec", "--overlay", "changes:ro", busybox_sif, "sh", "-c", look], cwd=tmp_path).stdout
    assert user.run([sifrun, "exec", "new.sif", "sh", "-c", look], cwd=tmp_path).stdout == shown and "new\nnew\nx\ny\nnew\n2\n711\nnew\n" in shown
    listing = subprocess.run(["unsquashfs", "-lln", "-o", str((tmp_path / "new.sif").read_bytes().index(b"hsqs")), tmp_path / "new.sif"], check=True, capture_output=True, text=True).stdout
    assert re.search(r"^-rw-r--r-- 1234/70000 .*/srv/owned$", listing, re.M) and "overlay" not in listing
    objects = [user.run([sifrun, "sif", "list", image], cwd=tmp_path).stdout.count("JSON.Generic") for image in (busybox_sif, "new.sif")]
    assert objects == [2, 2]
    for words, said in (([busybox_sif, "x.sif"], "nothing/upper"), (["docker-archive:x.tar", "x.sif"], "SOURCE must be a SIF or squashfs file"), (["changes", "x.sif"], "is an ext3 image, not a SIF or squashfs image")):
        failed = user.run([sifconv, "--overlay", "nothing", *words], cwd=tmp_path)
        assert failed.returncode in (1, 255) and said in failed.stderr, failed.stderr
    assert not (tmp_path / "x.sif").exists()
