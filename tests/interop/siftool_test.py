# SPDX-License-Identifier: Apache-2.0
"""`sif` prints what siftool prints and makes the same bytes: the same commands on copies of one file, compared after each."""
import re
import shutil
import struct

import pytest

ENTITY = "433FE984155206BD962725E20E8713472A879943"
PARTITION = "add --datatype 4 --parttype {} --partfs {} --partarch {}"

# FILE is the SIF, DATA some file to put into it.
EDITS = {
    "nothing": ["header FILE", "list FILE", *(f"info {i} FILE" for i in range(1, 5)), *(f"dump {i} FILE" for i in (1, 2, 3))],
    "new": ["new FILE", "header FILE", "list FILE", "add --datatype 1 FILE DATA", PARTITION.format(2, 1, 2) + " FILE DATA", "header FILE", "list FILE"],
    "kinds": [*(f"add --datatype {n} FILE DATA" for n in (1, 2, 3, 6, 7, 8, 10, 11)), "list FILE", *(f"info {i} FILE" for i in range(5, 13))],
    "partitions": [*(PARTITION.format(p, f, a) + " FILE DATA" for p, f, a in [(1, 1, 1), (3, 2, 4), (4, 2, 9), (1, 3, 11), (3, 4, 12), (2, 1, 2)]),
                   "list FILE", "info 5 FILE", "setprim 5 FILE", "header FILE", "list FILE", "setprim 5 FILE", "setprim 6 FILE", "setprim 1 FILE"],
    "signatures": [*(f"add --datatype 5 --signhash {h} --signentity {ENTITY} FILE DATA" for h in range(7)), "list FILE", "info 5 FILE", "info 9 FILE",
                   "add --datatype 5 --signhash 1 FILE DATA", "add --datatype 5 --signhash 1 --signentity 01 FILE DATA",
                   f"add --datatype 5 --signhash 1 --signentity {'x' * 40} FILE DATA"],
    "sboms": [*(f"add --datatype 9 --sbomformat {f} FILE DATA" for f in (
        "cyclonedx-json", "cyclonedx-xml", "github-json", "spdx-json", "spdx-rdf", "spdx-tag-value", "spdx-yaml", "syft-json", "other")),
        "add --datatype 9 FILE DATA", "list FILE", "info 7 FILE"],
    "fields": ["add --datatype 7 --filename name --groupid 3 --link 2 FILE DATA", "add FILE DATA --datatype 7 --alignment 512", f"add --datatype 7 --filename {'n' * 128} FILE DATA",
               f"add --datatype 7 --filename {'n' * 129} FILE DATA", "list FILE", "info 5 FILE", "info 7 FILE", "add --datatype 5 --link 4026531841 FILE DATA"],
    "removal": ["del 2 FILE", "header FILE", "list FILE", "add --datatype 7 FILE DATA", "list FILE", "del 4 FILE", "header FILE", "del 4 FILE", "del 1 FILE",
                "info 1 FILE", "dump 1 FILE", "list FILE"],
    "space": [*["add --datatype 7 FILE DATA"] * 3, "del 7 FILE", "header FILE", "del 6 FILE", "header FILE", "add --datatype 7 FILE DATA", "list FILE", "del 5 FILE", "header FILE",
              "add --datatype 7 --alignment 4096 FILE DATA", "list FILE", "header FILE", *["del 4 FILE", "del 3 FILE", "del 5 FILE", "del 6 FILE", "del 2 FILE", "del 1 FILE"], "header FILE",
              "add --datatype 7 FILE DATA", "list FILE"],
    "full": [*["add --datatype 7 FILE DATA"] * 45, "header FILE"],
    "mistakes": ["add FILE DATA", "add --datatype 12 FILE DATA", "add --datatype 0 FILE DATA", "add --datatype x FILE DATA", "add --datatype 4 FILE DATA", "info x FILE",
                 "info 99 FILE", "dump 99 FILE", "del 99 FILE", "setprim 99 FILE", "add --datatype 7 FILE /no/such", "header /no/such", "list DATA", "header", "list",
                 "new", "add --datatype 7 FILE", "add --datatype 7 --unknown FILE DATA"],
}


def masked(path):
    """The file's bytes without clock and chance, and without what siftool leaves behind them when it fails."""
    data = bytearray(path.read_bytes())
    offset, size = struct.unpack_from("<qq", data, 112)
    del data[offset + size:]
    data[48:80] = bytes(32)
    for slot in range(48):
        at = 4096 + slot * 585
        if data[at + 4]:
            data[at + 41:at + 57] = bytes(16)
    return bytes(data)


def without_clock(text):
    return re.sub(r"(At:|^ID:) +\S.*", r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", EDITS)
def test_same_as_siftool(name, apptainer, sifrun, busybox_sif, tmp_path):
    data, files = tmp_path / "data", [tmp_path / "theirs.sif", tmp_path / "ours.sif"]
    data.write_text("some text\n" * 50)
    for file in files:
        shutil.copy(busybox_sif, file)
        file.chmod(0o666)
    for line in EDITS[name]:
        outcomes = []
        for program, file in zip((["siftool"], [sifrun, "sif"]), files):
            words = [{"FILE": file, "DATA": data}.get(word, word) for word in line.split()]
            outcomes.append(apptainer.command([*program, *words], cwd=tmp_path))
        theirs, ours = outcomes
        assert (ours.returncode, without_clock(ours.stdout)) == (theirs.returncode, without_clock(theirs.stdout)), (line, ours.stderr, theirs.stderr)
        assert masked(files[1]) == masked(files[0]), line


def test_apptainer_reads_what_we_wrote(apptainer, sifrun, user, busybox_sif, tmp_path):
    """A primary partition put into a new file runs with both programs."""
    squashfs, made = tmp_path / "root.sqfs", tmp_path / "made.sif"
    squashfs.write_bytes(user.run([sifrun, "sif", "dump", "4", busybox_sif], text=False).stdout)
    for line in (["new", made], ["add", "--datatype", "4", "--parttype", "2", "--partfs", "1", "--partarch", "2", made, squashfs]):
        done = user.run([sifrun, "sif", *line])
        assert done.returncode == 0, done.stderr
    for done in (apptainer.run("exec", made, "cat", "/srv/replaced"), user.run([sifrun, "exec", made, "cat", "/srv/replaced"])):
        assert done.stdout == "new\n", done.stderr


def test_a_file_is_not_added_to_itself(user, sifrun, busybox_sif, tmp_path):
    """siftool does that until the disk is full."""
    image = tmp_path / "x.sif"
    shutil.copy(busybox_sif, image)
    image.chmod(0o666)
    (tmp_path / "link").symlink_to(image)
    before = image.read_bytes()
    done = user.run([sifrun, "sif", "add", "--datatype", "7", image, tmp_path / "link"])
    assert done.returncode == 1 and "to itself" in done.stderr
    assert image.read_bytes() == before


def test_failed_change_leaves_the_file(user, sifrun, busybox_sif, tmp_path):
    """The object does not fit below the limit for files: nothing of it remains."""
    image, big = tmp_path / "image.sif", tmp_path / "big"
    image.write_bytes(busybox_sif.read_bytes())
    image.chmod(0o666)
    with open(big, "wb") as out:
        out.truncate(64 << 20)
    before = image.read_bytes()
    done = user.run(["sh", "-c", f"ulimit -f {2 * len(before) // 512}; trap '' XFSZ; exec {sifrun} sif add --datatype 7 {image} {big}"])
    assert done.returncode == 1 and "File too large" in done.stderr, done.stderr
    assert image.read_bytes() == before


def test_concurrent_changes_all_arrive(user, sifrun, busybox_sif, tmp_path):
    image = tmp_path / "image.sif"
    image.write_bytes(busybox_sif.read_bytes())
    image.chmod(0o666)
    texts = [f"object {i} " * 1000 for i in range(12)]
    for i, text in enumerate(texts):
        (tmp_path / f"object{i}").write_text(text)
    running = [user.popen([sifrun, "sif", "add", "--datatype", "7", image, tmp_path / f"object{i}"]) for i in range(len(texts))]
    assert [process.wait(60) for process in running] == [0] * len(texts)
    found = [user.run([sifrun, "sif", "dump", str(5 + i), image]).stdout for i in range(len(texts))]
    assert sorted(found) == sorted(texts)


@pytest.mark.parametrize("offset, value, said", [(96, 121, "descriptor offset 121"), (112, 1 << 40, "data offset")])
def test_headers_that_would_destroy_the_file(offset, value, said, user, sifrun, busybox_sif, tmp_path):
    """A descriptor table within the header would be written over by it; data far behind the end would grow the file without bound."""
    image, data = tmp_path / "image.sif", tmp_path / "data"
    content = bytearray(busybox_sif.read_bytes())
    struct.pack_into("<q", content, offset, value)
    image.write_bytes(content)
    image.chmod(0o666)
    data.write_text("data")
    done = user.run([sifrun, "sif", "add", "--datatype", "7", image, data])
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert image.read_bytes() == content
