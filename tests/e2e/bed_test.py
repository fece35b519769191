# SPDX-License-Identifier: Apache-2.0
"""The test beds themselves: the accounts, the archives and the peers are what the other tests take them for."""
import json
import tarfile

from beds import images


def test_user_has_clean_environment_and_home(user):
    done = user.run(["sh", "-c", "id -u; cd && pwd; env | cut -d= -f1 | sort | tr '\\n' ' '"])
    lines = done.stdout.splitlines()
    assert lines[0] == str(user.uid)
    assert lines[1] == str(user.home)
    assert set(lines[2].split()) <= {"HOME", "LANG", "OLDPWD", "PATH", "PWD", "_"}


def test_both_layouts_hold_the_same_image(tmp_path, busybox_tar):
    images.docker20_to_docker25(busybox_tar, tmp_path / "25.tar")
    with tarfile.open(tmp_path / "25.tar") as new, tarfile.open(busybox_tar) as old:
        entries = [json.load(tar.extractfile("manifest.json"))[0] for tar in (old, new)]
        assert entries[0]["RepoTags"] == entries[1]["RepoTags"]
        assert old.extractfile(entries[0]["Config"]).read() == new.extractfile(entries[1]["Config"]).read()


def test_engine_accepts_our_archives(docker, busybox_tar, tmp_path):
    docker.run("load", "--input", busybox_tar)
    docker.export("bed/busybox:1.0", tmp_path / "export.tar")
    with tarfile.open(tmp_path / "export.tar") as tar:
        assert "srv/gone" not in tar.getnames()
        assert tar.extractfile("srv/replaced").read() == b"new\n"
        assert tar.getmember("srv/hard").linkname == "srv/replaced" or tar.getmember("srv/replaced").linkname == "srv/hard"


def test_apptainer_runs_in_its_tree(apptainer, fuse_device):
    assert apptainer.run("--version").stdout.startswith("apptainer version 1.")
