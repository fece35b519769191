# SPDX-License-Identifier: Apache-2.0
"""SIFs as Singularity 3.0 wrote them: data from 32768 on, every object at a page, names that mean nothing, owners and times of the builder.

They are read, inspected, run, edited and bound from as Apptainer does it.
"""
import re
import shutil
import struct
import subprocess

import pytest

DEFINITION = b"Bootstrap: docker\nFrom: busybox\n\n%runscript\n    exec echo \"old run\" \"$@\"\n"
LABELS = b'{"org.label-schema.schema-version": "1.0", "kept": "since 2018"}\n'
FIRST, PAGE, TABLE, ROWS = 32768, 4096, 4096, 48


def partition_fields(kind):
    return struct.pack("<ii3s", 1, kind, b"02\0")


def old_sif(path, objects):
    """`objects` are (data type, group, link, name, data, own fields)."""
    rows, data, at = b"", bytearray(), FIRST
    for number, (kind, group, link, name, content, fields) in enumerate(objects, 1):
        padded = -(-len(content) // PAGE) * PAGE
        rows += struct.pack("<iBIIIqqqqqqq128s384s", kind, 1, number, group | 0xf0000000, link, at, len(content), padded, 1540000000 + number,
                            1540000000 + number, 1000, 1000, name, fields)
        data += content.ljust(padded, b"\0")
        at += padded
    header = struct.pack("<32s10s3s3s16sqqqqqqqq", b"#!/usr/bin/env run-singularity\n", b"SIF_MAGIC", b"01", b"02", bytes(range(1, 17)), 1540000000, 1540000099,
                         ROWS - len(objects), ROWS, TABLE, ROWS * 585, FIRST, len(data))
    path.write_bytes(header.ljust(TABLE, b"\0") + rows.ljust(FIRST - TABLE, b"\0") + data)
    path.chmod(0o755)
    return path


def squashfs(tree, target):
    subprocess.run(["mksquashfs", tree, target, "-noappend", "-quiet", "-no-progress", "-all-root"], check=True, stdout=subprocess.DEVNULL)
    return target.read_bytes()


def busybox_tree(folder):
    for name in ("bin", "dev", "proc", "sys", "tmp", "var/tmp", "home", "root", "etc", ".singularity.d/env"):
        (folder / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for name in ("sh", "cat", "echo", "ls", "env", "touch"):
        (folder / "bin" / name).symlink_to("busybox")
    return folder


def with_scripts(tree):
    """What 3.0 put into the tree: no inspect-metadata.json beside it, so all is read from here."""
    (tree / ".singularity.d/env/90-environment.sh").write_text("#!/bin/sh\nexport OLD=environment\n")
    (tree / ".singularity.d/runscript").write_text('#!/bin/sh\nexec echo "old run" "$@"\n')
    (tree / ".singularity.d/runscript").chmod(0o755)
    (tree / ".singularity.d/labels.json").write_bytes(LABELS)
    (tree / ".singularity.d/Singularity").write_bytes(DEFINITION)
    (tree / "singularity").symlink_to(".singularity.d/runscript")
    (tree / ".singularity.d/actions").mkdir()
    for action in ("exec", "run", "shell", "start", "test"):
        (tree / ".singularity.d/actions" / action).write_text("#!/bin/sh\nexit 0\n")
        (tree / ".singularity.d/actions" / action).chmod(0o755)
    return tree


def before_2_3(tree):
    """No folder of scripts, but two files in the root."""
    shutil.rmtree(tree / ".singularity.d")
    (tree / "environment").write_text("OLD=2.2; export OLD\n")
    (tree / "singularity").write_text('#!/bin/sh\nexec echo "older run" "$@"\n')
    (tree / "singularity").chmod(0o755)
    return tree


@pytest.fixture(scope="module")
def images(fuse_device, sif_folder, scratch):
    folder = scratch / "old-trees"
    folder.mkdir()
    scripts, older = with_scripts(busybox_tree(folder / "scripts")), before_2_3(busybox_tree(folder / "older"))
    data = folder / "data"
    data.mkdir()
    (data / "text").write_text("of the data partition\n")
    one, two, three = (squashfs(tree, folder / f"{tree.name}.sqfs") for tree in (scripts, older, data))
    signature = (0x4005, 0, 0xf0000001, b"part-signature", b"-----BEGIN PGP SIGNED MESSAGE-----\n" * 9, struct.pack("<i20s", 2, b"\xab" * 20))
    return {
        "3.0": old_sif(sif_folder / "v30.sif", [(0x4001, 1, 0, b"Def.FILE", DEFINITION, b""), (0x4003, 1, 0, b".", LABELS, b""),
                                                (0x4004, 1, 0, b"squashfs-481516234", one, partition_fields(2))]),
        "signed": old_sif(sif_folder / "signed-old.sif", [(0x4001, 1, 0, b".", DEFINITION, b""), (0x4004, 1, 0, b".", one, partition_fields(2)), signature]),
        "2.2": old_sif(sif_folder / "v22.sif", [(0x4004, 1, 0, b"squashfs-2342", two, partition_fields(2))]),
        "data": old_sif(sif_folder / "data-old.sif", [(0x4001, 1, 0, b"", DEFINITION, b""), (0x4004, 1, 0, b"squashfs-1", one, partition_fields(2)),
                                                      (0x4004, 2, 0, b"a name of 128 bytes that is not ended by any zero".ljust(128, b"x"), three, partition_fields(3))]),
    }


# Of the oldest Apptainer runs neither the script in the root (a shell instead) nor a test that is in no folder.
DIFFERENT = {("2.2", "run IMAGE a 'b c'"), ("2.2", "test IMAGE")}
LINES = ["exec IMAGE sh -c 'echo $OLD; ls /; cat /etc/hostname 2>/dev/null'", "run IMAGE a 'b c'", "exec -B /usr/share:/new/place IMAGE ls -d /new/place",
         "exec --writable-tmpfs IMAGE sh -c 'touch /x && ls /x'", "exec -C IMAGE sh -c 'echo $OLD'", "shell IMAGE", "test IMAGE", "inspect IMAGE", "inspect -d IMAGE",
         "inspect -r IMAGE", "inspect -e IMAGE", "inspect --all --json IMAGE", "exec -B IMAGE:/mnt:image-src=/bin IMAGE ls /mnt", "run-help IMAGE", "sif header IMAGE",
         "sif list IMAGE", *(f"sif info {number} IMAGE" for number in (1, 2, 3)), "sif dump 1 IMAGE", "verify IMAGE"]


@pytest.mark.parametrize("form", ["3.0", "signed", "2.2", "data"])
def test_read_as_apptainer_reads_it(form, images, apptainer, sifrun):
    for line in LINES if form in ("3.0", "2.2") else LINES[:1] + LINES[-9:]:
        words = ["sh", "-c", f"P --silent {line}".replace("IMAGE", str(images[form]))]
        theirs, ours = (apptainer.command([*words[:2], words[2].replace("P ", f"{program} ", 1)], input="echo $OLD\n") for program in ("apptainer", sifrun))
        # Usage errors print a page of help with Apptainer only.
        said = [(done.returncode, re.sub(r" +", " ", done.stdout) if done.returncode != 1 else "") for done in (theirs, ours)]
        assert (said[0] == said[1]) == ((form, line) not in DIFFERENT), (line, ours.stderr, theirs.stderr)


def test_data_partition(images, apptainer, sifrun):
    """It cannot be told from the system's but by its number."""
    for program in ("apptainer", sifrun):
        done = apptainer.command([program, "exec", "-B", f"{images['data']}:/mnt:id=3", images["data"], "cat", "/mnt/text"])
        assert done.stdout == "of the data partition\n", done.stderr


def test_edited_alike(images, apptainer, sifrun, tmp_path):
    """What is added lies where siftool puts it, and the old objects stay where they are."""
    (tmp_path / "data").write_text("some text\n" * 50)
    files = [tmp_path / "theirs.sif", tmp_path / "ours.sif"]
    for program, file in zip((["siftool"], [sifrun, "sif"]), files):
        shutil.copy(images["data"], file)
        file.chmod(0o666)
        for line in (["add", "--datatype", "7", file, tmp_path / "data"], ["del", "1", file], ["add", "--datatype", "1", file, tmp_path / "data"]):
            done = apptainer.command([*program, *line])
            assert done.returncode == 0, done.stderr
    shown = [apptainer.siftool("list", file).stdout for file in files]
    assert shown[0] == shown[1]
    assert apptainer.command([sifrun, "exec", files[1], "echo", "still runs"]).stdout == "still runs\n"


def test_converted_to_a_new_one(images, user, sifconv, sifrun, tmp_path):
    for form, said in (("3.0", "environment"), ("2.2", "2.2")):
        done = user.run([sifconv, images[form], tmp_path / f"{form}.sif"])
        assert done.returncode == 0, done.stderr
        done = user.run([sifrun, "exec", tmp_path / f"{form}.sif", "sh", "-c", "echo $OLD"])
        assert done.stdout == f"{said}\n", done.stderr
