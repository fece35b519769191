# SPDX-License-Identifier: Apache-2.0
"""An archive of `docker save`, in the page cache, made a SIF; peers that know no archives start from the unpacked tree, or a tar file of
it. Each writes a new file. All with as many threads as there are CPUs unless said otherwise, and blocks of 128 KiB. The tree twice is an
archive with every file under two names. The last column is the size of what was made."""
import subprocess

from runner import Program, Target

TITLE = "Converting an image"
MEBIBYTES = "peak MiB"  # of runner.MEASURES


class Case:
    """The programs of one archive, by name."""

    def __init__(self, bed, archive, tree, runs=None):
        self.bed, self.archive, self.tree, self.runs, self.out = bed, archive, tree, runs, bed.home
        self.tar = bed.folder / "tree.tar"
        subprocess.run(["tar", "-C", tree, "-cf", self.tar, "."], check=True)

    def heading(self):
        return f"{self.archive.name}, {self.archive.stat().st_size / 1e6:.0f} MB"

    def program(self, name, argv, **more):
        """`argv` is given the name of the file to write."""
        target = self.out / (name.replace(" ", "-").replace(",", "") + ".image")
        more.setdefault("runs", self.runs)
        return Program(name, argv(target), home=self.out, output=target, **more)

    def sifconv(self, name="sifconv", *options, archive=None):
        return self.program(name, lambda target: [self.bed.sifconv, "--quiet", "--force", *options, archive or self.archive, target])

    def piped(self, name, before):
        """`before` writes an archive to its standard output."""
        return self.program(name, lambda target: ["sh", "-c", f"{before} | {self.bed.sifconv} --quiet --force - {target}"])

    def mksquashfs(self, codec, *options, name=""):
        return self.program(name or f"mksquashfs {codec}", lambda target: [
            "mksquashfs", self.tree, target, "-noappend", "-quiet", "-no-progress", "-comp", codec, *options])

    def tar2sqfs(self, codec, level):
        return self.program(f"tar2sqfs {codec}", lambda target: ["sh", "-c", f"tar2sqfs -q -f -c {codec} -X level={level} {target} < {self.tar}"])

    def apptainer(self, runs):
        return self.program("apptainer build", lambda target: ["apptainer", "--silent", "build", "--force", target, f"docker-archive:{self.archive}"],
                            tree=self.bed.apptainer_tree, binds=(self.bed.folder, self.archive), runs=runs)

    def usual(self, apptainer_runs):
        """What every archive is measured with."""
        return [self.sifconv(), self.sifconv("sifconv gzip", "--compression", "gzip"),
                self.mksquashfs("zstd", "-Xcompression-level", "3"), self.tar2sqfs("zstd", 3),
                self.mksquashfs("gzip", "-Xcompression-level", "6"), self.tar2sqfs("gzip", 6), self.apptainer(apptainer_runs)]


ZSTD = ("most of the CPU time is zstd's own search and coding, which the peers spend as well, then verifying SHA-256 and reading; smaller tables and longer minimal "
        "matches were worth it; the quicker search that files of 64 MiB and more get would make other images larger than is wanted")
USUAL_TARGETS = [
    *(Target("sifconv", "apptainer build", 1 / 40, of, bound=ZSTD) for of in ("wall", "CPU")),
    *(Target("sifconv gzip", "apptainer build", 1 / 8, of) for of in ("wall", "CPU")),
    Target("sifconv", "mksquashfs zstd", 0.7, bound=ZSTD), Target("sifconv", "tar2sqfs zstd", 0.7, bound=ZSTD),
    Target("sifconv gzip", "mksquashfs gzip", 0.7), Target("sifconv gzip", "tar2sqfs gzip", 0.7),
    Target("sifconv", "apptainer build", 1.05, "size"), Target("sifconv gzip", "mksquashfs gzip", 1, "size"),
    Target("sifconv", None, 512, MEBIBYTES), Target("sifconv gzip", None, 512, MEBIBYTES),
]


def groups(bed):
    case = Case(bed, bed.archive, bed.tree)
    yield case.heading(), "s", case.usual(apptainer_runs=3), USUAL_TARGETS
    yield sources(bed, case)
    big = Case(bed, bed.torch_archive(), bed.unpacked(bed.torch_archive(), "torch"), runs=3)
    yield big.heading(), "s", big.usual(apptainer_runs=1), USUAL_TARGETS


SPOOLED = "an archive is indexed before it is read, so what cannot be read twice is written to a file without a name first: one more copy of all of it"


def sources(bed, case):
    packed, twice = bed.gzipped(case.archive), bed.twice(case.tree)
    programs = [
        case.sifconv(), case.sifconv("one thread", "--threads", "1"), case.sifconv("two threads", "--threads", "2"),
        case.piped("standard input", f"cat {case.archive}"),
        case.sifconv("gzip around it", archive=packed),
        case.program("inflated, then converted", lambda target: [
            "sh", "-c", f"libdeflate-gunzip -c {packed} >/dev/null && {bed.sifconv} --quiet --force {case.archive} {target}"]),
        case.sifconv("the tree twice", archive=twice),
    ]
    targets = [Target("standard input", "sifconv", 1.2, bound=SPOOLED), Target("gzip around it", "inflated, then converted", 1.2, bound=SPOOLED),
               Target("the tree twice", "sifconv", 1.5), Target("the tree twice", "sifconv", 1.05, "size"),
               Target("one thread", "two threads", 1, "size")]
    return f"{case.archive.name} in other ways", "s", programs, targets
