# SPDX-License-Identifier: Apache-2.0
"""An ext3 image as overlay, of 2 GiB and empty at first, on the image with NumPy. Apptainer does it with fuse2fs and fuse-overlayfs, which Debian's packages
bring; a folder as overlay shows what the kernel alone takes. Each run that writes has an image of its own, which is complete when the time ends."""
import os
import shutil
import subprocess

from beds import debian_tree
from bed import USER
from runner import Program, Target

TITLE = "An overlay in an ext3 image"
MIB = 2048
COPY = "cp -r /usr/lib/python3 /usr/lib/python3.11 /opt/"
FILL = "head -c 500000000 /dev/zero >/opt/zeros"
READ = "find /opt -type f -exec cat {} + >/dev/null"
ROUND_TRIPS = ("each write(2) is a request to the file server and one to the image's own file system, whose fresh pages cost most; the kernel gathers none, since a full "
               "image would be told by close(2) only then")
LINES = "python3 -c 'f = open(\"/opt/log\", \"w\", 1)\nfor i in range(5000): f.write(\"line %d\\n\" % i)'"


def groups(bed):
    tree = debian_tree.apptainer_ext3().root
    empty, filled = bed.home / "empty.img", bed.home / "filled.img"
    as_user = {"user": USER, "group": USER, "extra_groups": [], "env": {"HOME": str(bed.home), "PATH": os.environ["PATH"]}, "cwd": "/", "check": True}
    subprocess.run([bed.sifrun, "--quiet", "overlay", "create", "--sparse", "--size", str(MIB), empty], **as_user)

    def copy_of(image, to):
        def make():
            shutil.rmtree(to, ignore_errors=True) if to.is_dir() else to.unlink(missing_ok=True)
            subprocess.run(["cp", "--sparse=always", image, to], check=True) if image else to.mkdir()
            os.chown(to, USER, USER)
        return make

    copy_of(empty, filled)()
    subprocess.run([bed.sifrun, "exec", "--overlay", filled, bed.sif["zstd"], "sh", "-c", COPY], **as_user)

    def programs(script, source, mode=""):
        argv = ["sh", "-c", script]
        image, folder = bed.home / "overlay.img", bed.home / "overlay"
        apptainer = bed.apptainer_exec(argv)
        apptainer["argv"][3:3] = ["--overlay", f"{image}{mode}"]
        yield Program("sifrun", bed.sifrun_exec(argv, options=["--overlay", f"{image}{mode}"]), home=bed.home, before=copy_of(source, image))
        yield Program("apptainer", **{**apptainer, "tree": tree}, before=copy_of(source, image), runs=3)
        if source is empty:
            yield Program("sifrun, a folder", bed.sifrun_exec(argv, options=["--overlay", folder]), home=bed.home, before=copy_of(None, folder))

    for title, script, source, mode in (("`true`", "true", empty, ""), ("copying 4000 files, 96 MB", COPY, empty, ""), ("writing a file of 500 MB", FILL, empty, ""),
                                        ("writing 5000 lines, each by a call", LINES, empty, ""), ("reading the 4000 files, `:ro`", READ, filled, ":ro")):
        yield title, "s", list(programs(script, source, mode)), [Target("sifrun", "apptainer", 1 / 2, bound=ROUND_TRIPS)]
