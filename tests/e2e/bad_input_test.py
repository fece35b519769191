# SPDX-License-Identifier: Apache-2.0
"""What sifconv says about archives that are not as they should be: one line naming what is wrong where, and nothing left behind."""
import gzip
import json
import tarfile

import pytest

from beds.archive import Archive, OciArchive, one_file_layer, tar_bytes
from beds.images import sha256


@pytest.fixture
def fails(user, sifconv, tmp_path):
    """fails(archive, part...) converts and insists that each part is in the one-line message."""

    def check(archive, *parts, arguments=()):
        source = tmp_path / "in.tar"
        source.write_bytes(archive if isinstance(archive, bytes) else archive.bytes())
        done = user.run([sifconv, *arguments, source, tmp_path / "out.sif"], cwd=tmp_path)
        assert done.returncode == 255, done.stderr
        fatal = [line for line in done.stderr.splitlines() if line.startswith("FATAL:   ")]
        assert len(fatal) == 1
        for part in parts:
            assert part in fatal[0]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tar"]
        return done.stderr

    return check


def test_source_missing(user, sifconv, tmp_path):
    done = user.run([sifconv, tmp_path / "no.tar"], cwd=tmp_path)
    assert done.returncode == 255
    assert done.stderr == f"FATAL:   cannot open {tmp_path}/no.tar: No such file or directory\n"


def test_source_is_a_folder(user, sifconv, tmp_path):
    done = user.run([sifconv, f"docker-archive:{tmp_path}", "x.sif"], cwd=tmp_path)
    assert (done.returncode, "is a folder" in done.stderr) == (255, True)


def test_empty(fails):
    fails(b"", "in.tar is empty")


@pytest.mark.parametrize("content", [b"hello world\n", bytes(range(256)) * 40, b"PK\3\4" + bytes(2000), b"x"])
def test_not_a_tar(fails, content):
    assert "docker save" in fails(content, "in.tar is not a tar archive")


def test_a_sif_that_should_be_an_archive(user, sifconv, tmp_path, busybox_sif):
    done = user.run([sifconv, f"docker-archive:{busybox_sif}", tmp_path / "y.sif"], cwd=tmp_path)
    assert "is a SIF image already" in done.stderr


def test_tar_of_something_else(fails):
    assert "docker export" in fails(tar_bytes([("etc/passwd", b"x")]), "not an image", "neither manifest.json nor index.json")


def test_old_docker(fails):
    fails(tar_bytes([("repositories", b"{}")]), "Docker older than 1.10")


def test_truncated_anywhere(user, sifconv, tmp_path):
    whole = Archive([one_file_layer(), one_file_layer("srv/other", b"x" * 3000)]).bytes()
    offsets = sorted({1, 100, 511, 512, 513, len(whole) - 1, len(whole) - 511, len(whole) - 512, len(whole) - 513, len(whole) - 1024,
                      len(whole) - 1025, *range(700, len(whole), 1777), *range(1024, len(whole), 2048)})
    source = tmp_path / "cut.tar"
    for offset in offsets:
        source.write_bytes(whole[:offset])
        done = user.run([sifconv, "-q", source, tmp_path / "out.sif"], cwd=tmp_path)
        assert done.returncode == 255, f"cut at {offset} of {len(whole)}"
        assert "truncated" in done.stderr or "not a tar archive" in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cut.tar"]


@pytest.mark.parametrize("step", [97])
def test_truncated_gzip_anywhere(user, sifconv, tmp_path, step):
    whole = gzip.compress(Archive().bytes())
    source = tmp_path / "cut.tar.gz"
    for offset in [*range(4, len(whole), step), len(whole) - 9, len(whole) - 8, len(whole) - 4, len(whole) - 1]:
        source.write_bytes(whole[:offset])
        done = user.run([sifconv, "-q", source, tmp_path / "out.sif"], cwd=tmp_path)
        assert done.returncode == 255, f"cut at {offset} of {len(whole)}"
        assert "truncated" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cut.tar.gz"]


def test_garbage_after_gzip(fails):
    fails(gzip.compress(Archive().bytes()) + b"garbage", "unexpected data after the end of the gzip stream")


def test_corrupt_gzip(fails):
    data = bytearray(gzip.compress(Archive().bytes()))
    data[-6] ^= 1  # of the checksum
    fails(bytes(data), "cannot decompress", "incorrect data check")


def test_wrong_layer_content(fails):
    archive = Archive([one_file_layer(), one_file_layer("srv/b", b"second\n")])
    name, layer = archive.members[1]
    changed = layer.replace(b"second", b"sec0nd")
    archive.members[1] = (name, changed)
    fails(archive, "layer 2 of 2 (1aaaa", "is corrupt: its diff ID is sha256:" + sha256(changed), "expected sha256:" + sha256(layer))


def test_wrong_layer_of_an_oci_layout(fails):
    archive = OciArchive()
    other = gzip.compress(one_file_layer(data=b"changed\n"))
    name = [name for name, data in archive.blobs.items() if data[:2] == b"\x1f\x8b"][0]
    archive.blobs[name] = other
    fails(archive, "layer 1 of 1", "is corrupt: its digest is sha256:" + sha256(other), "expected sha256:" + name[-64:])


def test_wrong_config(fails):
    archive = Archive()
    archive.finished()
    archive.members.append((archive.manifest[0]["Config"], b"{}"))
    fails(archive, "is corrupt: its digest is", "expected sha256:" + archive.manifest[0]["Config"][:64])


def test_missing_layer(fails):
    archive = Archive()
    archive.members.clear()
    fails(archive, "manifest.json names the layer 0aaaa", "missing in the archive")


def test_missing_config(fails):
    archive = Archive()
    archive.manifest[0]["Config"] = "nowhere.json"
    fails(archive, "names the configuration nowhere.json", "missing")


@pytest.mark.parametrize("text", [b"", b"{", b"[1,", b"\xff\xfe", b"nonsense", b'[{"Config": "a" "b"}]'])
def test_broken_manifest(fails, text):
    archive = Archive()
    archive.manifest = text
    fails(archive, "manifest.json is not valid JSON")


def test_deep_manifest(fails):
    archive = Archive()
    archive.manifest = b"[" * 100000
    fails(archive, "manifest.json", "nested deeper than 64")


def test_broken_config(fails):
    archive = Archive()
    archive.config = b"{]"
    fails(archive, ".json is not valid JSON")


@pytest.mark.parametrize("key, value, said", [
    ("Config", 5, "[0].Config is number, not a text"), ("Layers", "x", "[0].Layers is string, not a list"),
    ("Layers", [1], "[0].Layers[0] is number"), ("RepoTags", {}, "[0].RepoTags is object")])
def test_wrong_types_in_the_manifest(fails, key, value, said):
    archive = Archive()
    archive.finished()
    archive.manifest[0][key] = value
    fails(archive, "manifest.json: " + said)


@pytest.mark.parametrize("change, said", [
    ({"config": []}, "config is array, not an object"), ({"config": {"Env": "A=1"}}, "config.Env is string, not a list"),
    ({"config": {"Labels": {"a": 1}}}, "config.Labels.a is number, not a text"), ({"rootfs": {"diff_ids": ["md5:1"]}}, "not a sha256 diff ID: md5:1"),
    ({"os": "windows"}, "for windows, not for linux"), ({"rootfs": None}, "rootfs.diff_ids has 0 entries, but manifest.json lists 1 layers"),
    ({"config": {"Cmd": ["a\0b"]}}, "config.Cmd contains a NUL character")])
def test_wrong_config_values(fails, change, said):
    archive = Archive()
    archive.config.update(change)
    fails(archive, said)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", ""])
@pytest.mark.parametrize("key", ["Config", "Layers"])
def test_names_leading_out(fails, name, key):
    archive = Archive()
    archive.finished()
    archive.manifest[0][key] = [name] if key == "Layers" else name
    if key == "Layers":
        body = json.dumps(archive.config).encode()
        archive.members.append((sha256(body) + ".json", body))
    fails(archive, "leads out of the archive")


def test_loop_of_links_among_layers(fails):
    archive = Archive()
    archive.members = [("0" + "a" * 63 + "/layer.tar", tarfile.SYMTYPE, "../b/layer.tar"),
                       ("b/layer.tar", tarfile.SYMTYPE, "../0" + "a" * 63 + "/layer.tar")]
    fails(archive, "the layer 0aaa", "loop of links")


def test_layer_link_leading_out(fails):
    archive = Archive()
    archive.members = [("0" + "a" * 63 + "/layer.tar", tarfile.SYMTYPE, "../../../etc/shadow")]
    fails(archive, "leads out of the archive")


def test_layer_is_a_folder(fails):
    archive = Archive()
    archive.members = [("0" + "a" * 63 + "/layer.tar", tarfile.DIRTYPE, "")]
    fails(archive, "not a regular file")


def test_layer_is_no_tar(fails):
    fails(Archive([b"this is not a tar archive" * 100]), "layer 1 of 1")


def test_truncated_layer(fails):
    fails(Archive([one_file_layer(data=b"x" * 5000)[:2048]]), "layer 1 of 1", "truncated")


def test_gigantic_member(fails):
    data = bytearray(Archive().bytes())
    data[124:136] = b"77777777777\0"  # size field: 8 GiB
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    fails(bytes(data), "truncated")


def test_hard_link_to_nothing(fails):
    fails(Archive([tar_bytes([("srv/link", tarfile.LNKTYPE, "srv/nothing")])]), "layer 1 of 1", "srv/link", "srv/nothing")


def test_encrypted_layer(fails):
    fails(OciArchive(media_type="tar+gzip+encrypted"), "layer 1 of 1", "is encrypted")


def test_foreign_layer(fails):
    archive = OciArchive(media_type="nondistributable.tar+gzip")
    for name in [name for name, data in archive.blobs.items() if data[:2] == b"\x1f\x8b"]:
        del archive.blobs[name]
    fails(archive, "layer 1 of 1", "is a foreign layer that the archive does not hold")


def test_no_image_but_an_artifact(fails):
    archive = OciArchive()
    manifest = json.loads(archive.blobs["blobs/sha256/" + archive.entry["digest"][7:]])
    manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    archive.index["manifests"] = [archive.blob(json.dumps(manifest).encode(), archive.entry["mediaType"])]
    fails(archive, "holds no image but application/vnd.cncf.helm.config.v1+json")


def test_no_image_at_all(fails):
    archive = Archive()
    archive.manifest = []
    fails(archive, "holds no image")


def test_unknown_reference(fails):
    fails(Archive(), "holds no image bed/other:2, only: bed/test:1", arguments=["--ref", "bed/other:2"])


def test_several_images_are_listed(fails):
    archive = Archive(tags=["bed/one:1", "bed/one:latest"])
    other = Archive([one_file_layer("srv/b")], tags=[])
    archive.finished()
    body, other_body = json.dumps(archive.config).encode(), json.dumps(other.config).encode()
    archive.members += [(sha256(body) + ".json", body), ("b/layer.tar", other.layers[0]), (sha256(other_body) + ".json", other_body)]
    archive.manifest.append({"Config": sha256(other_body) + ".json", "RepoTags": None, "Layers": ["b/layer.tar"]})
    message = fails(archive, "holds 2 images: bed/one:1, bed/one:latest, " + sha256(other_body)[:12] + " (unnamed)")
    assert "hint:    choose one with --ref NAME:TAG" in message


@pytest.mark.parametrize("arguments, said", [
    ([], "SOURCE is missing"), (["a", "b", "c"], "too many arguments"), (["--nonsense", "a"], "nonsense"), (["-"], "DEST is needed"),
    (["a.tar", "-"], "cannot go to standard output"), (["--compression", "rar", "a"], "zstd, gzip, lz4, xz, fast or small"),
    (["--compression", "zstd:99", "a"], "99"), (["--block-size", "5000", "a"], "power of two"), (["--threads", "0", "a"], "from 1 to"),
    (["shub://debian", "x.sif"], "shub:// is not supported"), (["oras://", "x.sif"], "names nothing"), (["https://", "x.sif"], "no valid host name"), (["docker-archive:"], "names nothing")])
def test_usage(user, sifconv, tmp_path, arguments, said):
    done = user.run([sifconv, *arguments], cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert said in done.stderr and "hint:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_names_are_safe_to_print(fails):
    archive = Archive()
    archive.manifest[0]["Config"] = "evil\n\x1b[31mFATAL:   \x07"
    fails(archive, "evil\\n\\x1b[31m")


def test_layer_with_a_bomb_of_zeros_meets_its_digest(fails):
    archive = OciArchive(stored=lambda layer: gzip.compress(bytes(1 << 24)))
    fails(archive, "its diff ID is")
