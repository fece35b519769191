# SPDX-License-Identifier: Apache-2.0
"""A researcher's day: build an image with Docker, save it, convert it, run it on a machine without root.

The image is a Debian base with `apt-get install libjpeg-dev python3 python3-pip` and numpy, built and saved by a real engine.
"""
import subprocess

import pytest

from beds import images


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """The usual way to run; there is another without it."""


def test_import_numpy(identity, sifrun, user_sif):
    done = identity.run([sifrun, "exec", user_sif, "python3", "-c", "import numpy; print(numpy.ones(3).sum())"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "3.0\n", "")


def test_run_follows_entrypoint_and_cmd(user, sifrun, user_sif):
    assert user.run([sifrun, "run", user_sif]).stdout == "mean 4.5\n"


def test_run_arguments_replace_cmd(user, sifrun, user_sif):
    assert user.run([sifrun, "run", user_sif, "/srv/train.py", "--epochs", "3"]).stdout == "mean 4.5 --epochs 3\n"


def test_image_environment(user, sifrun, user_sif):
    done = user.run([sifrun, "exec", user_sif, "sh", "-c", "echo $GREETING/$APP_MODE/$LANG"])
    assert done.stdout == "hello world/training/C.UTF-8\n"


def test_pip_and_jpeg_are_there(user, sifrun, user_sif):
    done = user.run([sifrun, "exec", user_sif, "sh", "-c", "pip3 --version && test -e /usr/include/jpeglib.h && ls /var/lib/apt"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pip ")
    assert "lists" not in done.stdout.split("\n", 1)[1]  # removed by the last layer but one


def test_script_and_results_in_the_working_folder(user, sifrun, user_sif, tmp_path):
    (tmp_path / "train.py").write_text("import numpy\nnumpy.save('weights.npy', numpy.arange(4))\n")
    done = user.run([sifrun, "exec", user_sif, "python3", "train.py"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "weights.npy").stat().st_uid == user.uid


def test_files_in_the_image_show_as_the_users(user, sifrun, user_sif):
    """As with Apptainer: whoever can read the SIF can read what is in it."""
    done = user.run([sifrun, "exec", user_sif, "sh", "-c", "stat -c %u /srv/private/key && cat /srv/private/key"])
    assert done.stdout == f"{user.uid}\nsecret\n"


def test_links_survive(user, sifrun, user_sif):
    done = user.run([sifrun, "exec", user_sif, "stat", "-c", "%h %i", "/srv/data/one", "/srv/data/two"])
    one, two = done.stdout.splitlines()
    assert one == two and one.startswith("2 ")
    assert user.run([sifrun, "exec", user_sif, "readlink", "/srv/data/link"]).stdout == "one\n"


@pytest.mark.parametrize("status", [0, 1, 37, 255])
def test_exit_status_is_the_programs(user, sifrun, user_sif, status):
    assert user.run([sifrun, "exec", user_sif, "sh", "-c", f"exit {status}"]).returncode == status


def test_standard_input_gives_the_same_bytes(user, sifconv, user_tar, user_sif, tmp_path):
    with open(user_tar, "rb") as archive:
        done = user.run([sifconv, "--quiet", "-", tmp_path / "piped.sif"], stdin=archive, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "piped.sif").read_bytes() == user_sif.read_bytes()


def test_straight_from_the_engine(docker, user, sifconv, user_tar, user_sif, tmp_path):
    """`docker save IMAGE | sifconv - IMAGE.sif`, as users write it."""
    if "bed/user:1.0" not in docker.run("images", "--format", "{{.Repository}}:{{.Tag}}"):
        docker.run("load", "--input", user_tar)
    save = subprocess.Popen([docker.client, "--host", docker.socket, "save", "bed/user:1.0"], stdout=subprocess.PIPE)
    done = user.run([sifconv, "--quiet", "-", tmp_path / "piped.sif"], stdin=save.stdout, timeout=600)
    save.stdout.close()
    assert (save.wait(), done.returncode) == (0, 0), done.stderr
    assert (tmp_path / "piped.sif").read_bytes() == user_sif.read_bytes()


def test_both_layouts_of_docker_give_the_same_bytes(user, sifconv, user_tar, user_sif, tmp_path):
    images.docker20_to_docker25(user_tar, tmp_path / "25.tar")
    done = user.run([sifconv, "--quiet", "25.tar"], cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "25.sif").read_bytes() == user_sif.read_bytes()
