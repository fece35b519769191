# SPDX-License-Identifier: Apache-2.0
"""Layer sequences whose flattening is compared with Docker's. A layer is a list of members, a case a list of layers."""
import dataclasses

import tar_builder as tar


def D(path, **fields):
    return tar.member(path if isinstance(path, bytes) else path.encode(), tar.FOLDER, **{"mtime": 1000, **fields})


def F(path, data="", **fields):
    data = data if isinstance(data, bytes) else data.encode()
    return tar.member(path if isinstance(path, bytes) else path.encode(), data=data, **{"mtime": 2000, **fields})


def S(path, target, **fields):
    target = target if isinstance(target, bytes) else target.encode()
    return tar.member(path if isinstance(path, bytes) else path.encode(), tar.SYMLINK, link=target, **{"mtime": 3000, **fields})


def H(path, target, **fields):
    target = target if isinstance(target, bytes) else target.encode()
    return tar.member(path if isinstance(path, bytes) else path.encode(), tar.HARD_LINK, link=target, **{"mtime": 2000, **fields})


def N(path, kind, device=(0, 0), **fields):
    return tar.member(path.encode(), kind, device=device, **{"mtime": 4000, **fields})


def W(path, **fields):
    folder, _, name = path.rpartition("/")
    return F((folder + "/" if folder else "") + ".wh." + name, **fields)


def OPAQUE(path, **fields):
    return F(path + "/.wh..wh..opq", **fields)


@dataclasses.dataclass
class Case:
    name: str
    layers: list
    refused: bool = False  # Docker cannot unpack it; we can
    error: str = ""        # part of our message; nobody can unpack it
    reference: list = None  # layers that mean the same, where Docker refuses the original


CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
LOWER = [D("d/"), F("d/a", "a"), F("d/b", "b"), D("d/sub/"), F("d/sub/x", "x"), F("f", "file"), S("s", "d"), D("e/", mode=0o711, uid=5)]
DEEP = "/".join(["p" * 199] * 19)  # Docker has to prefix its own folder within PATH_MAX

CASES = [
    # Whiteouts
    Case("whiteout-file", [LOWER, [D("d/"), W("d/a")]]),
    Case("whiteout-file-in-root", [LOWER, [W("f")]]),
    Case("whiteout-folder", [LOWER, [W("d")]]),
    Case("whiteout-symlink", [LOWER, [W("s")]]),
    Case("whiteout-of-nothing", [LOWER, [D("d/"), W("d/none"), W("none")]]),
    Case("whiteout-in-lowest-layer", [[D("d/"), F("d/a"), W("d/b"), W("c")], [F("z")]]),
    Case("whiteout-in-only-layer", [[D("d/"), F("d/a"), W("d/b"), W("c")]]),
    Case("whiteout-then-file", [LOWER, [D("d/"), W("d/a"), F("d/a", "new")]]),
    Case("whiteout-then-folder", [LOWER, [W("d"), D("d/", mode=0o700), F("d/new", "n")]]),
    Case("whiteout-then-folder-of-file", [LOWER, [W("f"), D("f/"), F("f/in", "n")]]),
    Case("whiteout-then-symlink-of-folder", [LOWER, [W("d"), S("d", "e")]]),
    Case("file-then-whiteout", [LOWER, [D("d/"), F("d/a", "new"), W("d/a")]], refused=True,
         reference=[LOWER, [D("d/"), F("d/a", "new")]]),
    Case("folder-then-whiteout", [LOWER, [D("d/"), F("d/new", "n"), W("d")]], refused=True,
         reference=[LOWER, [D("d/"), OPAQUE("d"), F("d/new", "n")]]),
    Case("whiteout-then-child-without-folder", [LOWER, [W("d"), F("d/new", "n")]], refused=True,
         reference=[LOWER, [OPAQUE("d"), F("d/new", "n")]]),
    Case("whiteout-in-missing-parents", [LOWER, [W("d/sub/x")]]),
    Case("whiteout-below-new-parents", [LOWER, [W("q/r/x")]]),
    Case("whiteout-then-readded-above", [LOWER, [W("f")], [F("f", "again")]]),
    Case("folder-whiteout-then-readded-above", [LOWER, [W("d")], [D("d/"), F("d/only")]]),
    Case("whiteout-as-folder-entry", [LOWER, [D(".wh.d/")]]),
    Case("whiteout-with-content", [LOWER, [F(".wh.f", "content")]]),
    Case("whiteout-through-own-symlink", [LOWER, [S("t", "d"), D("d/"), F("t/.wh.a")]]),
    Case("whiteout-through-lower-symlink", [LOWER, [F("s/.wh.a")]]),
    Case("whiteout-nameless", [LOWER, [F(".wh.")]], error="whiteout"),
    Case("whiteout-dot", [LOWER, [F("d/.wh..")]], error="whiteout"),
    Case("device-zero-is-whiteout", [LOWER, [N("f", tar.CHAR), D("d/"), N("d/a", tar.CHAR, mode=0o666)]]),
    Case("block-device-zero", [LOWER, [N("f", tar.BLOCK_DEVICE)]]),
    Case("hard-link-to-whiteout", [LOWER, [N("f", tar.CHAR), H("d/a", "f")]]),
    # Opaque folders
    Case("opaque-first", [LOWER, [D("d/"), OPAQUE("d"), F("d/new", "n")]]),
    Case("opaque-last", [LOWER, [D("d/"), F("d/new", "n"), OPAQUE("d")]]),
    Case("opaque-before-folder", [LOWER, [OPAQUE("d"), D("d/", mode=0o700), F("d/new", "n")]]),
    Case("opaque-only", [LOWER, [OPAQUE("d")]]),
    Case("opaque-below-a-whiteout", [LOWER, [W("d"), OPAQUE("d")]]),
    Case("opaque-below-a-file", [LOWER, [F("d", "file"), OPAQUE("d")]]),
    Case("opaque-below-a-link", [LOWER, [D("d/"), OPAQUE("s")]]),
    Case("opaque-nested", [LOWER, [D("d/"), D("d/sub/"), OPAQUE("d/sub"), F("d/sub/y", "y")]]),
    Case("opaque-outer-inner-folder", [LOWER, [D("d/"), OPAQUE("d"), D("d/sub/"), F("d/sub/y", "y")]]),
    Case("opaque-missing-in-lower", [LOWER, [D("n/"), OPAQUE("n"), F("n/y", "y")]]),
    Case("opaque-root", [LOWER, [F(".wh..wh..opq"), F("new", "n")]]),
    Case("opaque-root-dot", [LOWER, [F("./.wh..wh..opq"), F("./new", "n")]]),
    Case("opaque-then-replaced", [LOWER, [D("d/"), OPAQUE("d"), F("/d", "file"), D("./d/"), F("d/n")]], refused=True,
         reference=[LOWER, [D("d/"), F("d/n")]]),
    Case("opaque-through-own-symlink", [LOWER, [D("d/"), S("t", "d"), OPAQUE("t"), F("d/new")]]),
    Case("opaque-through-lower-symlink", [LOWER, [OPAQUE("s"), F("s/new")]]),
    Case("opaque-over-file", [LOWER, [D("f/"), OPAQUE("f"), F("f/new")]]),
    Case("opaque-then-layer-above", [LOWER, [D("d/"), OPAQUE("d")], [D("d/"), F("d/top")]]),
    Case("opaque-by-xattr", [LOWER, [D("d/", xattrs={b"trusted.overlay.opaque": b"y"}), F("d/new")]]),
    # aufs leftovers
    Case("aufs-plink", [LOWER, [D(".wh..wh.plnk/"), F("new")]]),
    Case("aufs-plink-with-files", [LOWER, [D(".wh..wh.plnk/"), F(".wh..wh.plnk/1.2", "x"), F("new")]]),
    Case("aufs-aufs-and-orph", [LOWER, [F(".wh..wh.aufs"), D(".wh..wh.orph/"), F("new")]]),
    # One kind replaces another
    Case("file-over-folder", [LOWER, [F("d", "now a file")]]),
    Case("file-over-symlink", [LOWER, [F("s", "now a file")]]),
    Case("folder-over-file", [LOWER, [D("f/"), F("f/in")]]),
    Case("folder-over-symlink", [LOWER, [D("s/"), F("s/in")]]),
    Case("symlink-over-folder", [LOWER, [S("d", "e")]]),
    Case("symlink-over-folder-then-folder", [LOWER, [S("d", "e")], [D("d/"), F("d/n")]]),
    Case("file-over-folder-then-folder", [LOWER, [F("d", "x")], [D("d/"), F("d/n")]]),
    Case("fifo-over-file", [LOWER, [N("f", tar.FIFO)]]),
    Case("device-over-folder", [LOWER, [N("d", tar.CHAR, (1, 3), mode=0o666)]]),
    Case("path-through-lower-symlink", [LOWER, [F("s/through", "t")]]),
    Case("path-through-lower-file", [LOWER, [F("f/through", "t")]]),
    Case("path-through-own-symlink", [LOWER, [D("e/"), S("t", "e"), F("t/through", "t")]]),
    Case("path-through-own-absolute-symlink", [LOWER, [D("e/"), S("t", "/e"), F("t/through", "t")]]),
    Case("path-through-own-escaping-symlink", [LOWER, [D("e/"), S("t", "../../../e"), F("t/through", "t")]]),
    Case("path-through-chained-symlinks", [LOWER, [D("e/"), D("e/k/"), S("t", "u/k"), S("u", "e"), F("t/through", "t")]]),
    Case("path-through-own-dangling-symlink", [LOWER, [S("t", "d"), F("t/through", "t")]], refused=True,
         reference=[LOWER, [S("t", "d"), F("d/through", "t")]]),
    Case("path-through-own-file", [LOWER, [F("g", "x"), F("g/h", "y")]], error="no folder"),
    Case("symlink-loop", [LOWER, [S("l1", "l2"), S("l2", "l1"), F("l1/x")]], error="symbolic links"),
    Case("same-layer-folder-to-symlink", [LOWER, [D("k/"), F("k/in"), S("/k", "e")]], refused=True,
         reference=[LOWER, [S("k", "e")]]),
    Case("same-layer-symlink-to-folder", [LOWER, [S("k", "e"), D("/k/"), F("k/in")]]),
    # Missing parents
    Case("parents-exist-below", [[D("m/", mode=0o1777, uid=7, gid=8), D("m/n/", mode=0o700, uid=9)], [F("m/n/x", "x")]]),
    Case("parents-nowhere", [LOWER, [F("u/v/w", "x")]]),
    Case("parents-entry-after-child", [LOWER, [F("u/v/w", "x"), D("u/", mode=0o700, mtime=77), D("u/v/", mode=0o711, mtime=78)]]),
    Case("parents-over-opaque", [LOWER, [D("d/"), OPAQUE("d"), F("d/sub/deep/x")]]),
    # Names
    Case("names-dot-slash", [[D("./"), D("./a/"), F("./a/b", "x"), S("./c", "a")], [F("./a/./d"), W("./a/b")]]),
    Case("names-absolute", [LOWER, [D("/d/"), F("/d/abs", "x"), F("//f", "y")]]),
    Case("names-dot-dot-inside", [LOWER, [F("d/../g", "x"), F("nowhere/../h", "y")]]),
    Case("names-absolute-dot-dot", [LOWER, [F("/../../g", "x")]]),
    Case("names-dot-dot-through-symlink", [LOWER, [D("e/"), D("e/k/"), S("t", "e/k"), F("t/../g", "x")]]),
    Case("names-escaping", [LOWER, [F("../x", "x")]], error="leads out"),
    Case("names-escaping-later", [LOWER, [F("d/../../x", "x")]], error="leads out"),
    Case("names-trailing-slash-file", [LOWER, [F("g/", "x")]]),
    Case("names-root-entries", [[D("./", mode=0o700, uid=3), F("x")], [D("/", mode=0o711, uid=4), F("y")], [F("", "")]]),
    Case("names-255", [[D("l/"), F("l/" + "n" * 255, "x"), D("l/" + "m" * 255 + "/"), F("l/" + "m" * 255 + "/y")]]),
    Case("names-256", [[F("n" * 256, "x")]], error="255"),
    Case("names-3900", [[F(DEEP + "/" + "q" * 80, "deep"), D(DEEP + "/dir/", mode=0o700)], [W(DEEP + "/" + "q" * 80)]]),
    Case("names-too-long", [[F("/".join(["p" * 199] * 21))]], error="4095"),
    Case("names-newline", [[F("new\nline", "x"), D("a\nb/"), F("a\nb/\tc\x01"), S("lnk\n", "new\nline")], [W("new\nline")]]),
    Case("names-not-utf8", [[F(b"\xff\xfe", "x"), D(b"\xe4/"), F(b"\xe4/\xf6\xfc"), F("gr\u00fc\u00df"), H(b"\xf0hl", b"\xff\xfe"),
                             S(b"sl\xff", b"\xff\xfe"), F(b"\xff" * 200, "long")], [F(b".wh.\xff\xfe")]]),
    Case("names-odd", [[F(" "), F("-rf"), F("a\\b"), F("*"), D("..."), F(".../x"), F("..a"), F(".wh"), F("wh.x"), F("x.wh.y")]]),
    # The same path twice in a layer (Docker's loader refuses identical spellings, its unpacker does not)
    Case("twice-file", [[F("x", "1"), F("/x", "333", mode=0o600)]]),
    Case("twice-identical", [[F("x", "1"), F("x", "22")]], refused=True, reference=[[F("x", "22")]]),
    Case("twice-folder", [[D("x/", mode=0o700, uid=1, xattrs={b"user.one": b"1"}), F("x/a"),
                           D("/x/", mode=0o711, mtime=99, xattrs={b"user.two": b"2"})]]),
    Case("twice-folder-file", [[D("x/", mtime=2000), F("x/a"), F("/x", "file")]]),
    Case("twice-file-folder", [[F("x", "file"), D("/x/"), F("x/a")]]),
    Case("twice-hard-link-first-replaced", [[F("x", "1"), H("y", "x"), F("/x", "2")]]),
    # Hard links
    Case("links-simple", [[F("a", "1"), D("d/"), H("d/b", "a"), H("c", "d/b")]]),
    Case("links-target-replaced-above", [[F("a", "1"), H("b", "a")], [F("a", "2")]]),
    Case("links-target-removed-above", [[F("a", "1"), H("b", "a")], [W("a")]]),
    Case("links-target-replaced-and-linked", [[F("a", "1"), H("b", "a")], [F("a", "2"), H("c", "a")]]),
    Case("links-to-symlink", [[F("a", "1"), S("s", "a"), H("t", "s")]]),
    Case("links-to-fifo-and-device", [[N("p", tar.FIFO), H("q", "p"), N("n", tar.CHAR, (1, 3)), H("m", "n")]]),
    Case("links-change-metadata", [[F("a", "1", mode=0o644), H("b", "a", mode=0o600, uid=5, gid=6, mtime=12345)]]),
    Case("links-change-metadata-of-symlink", [[S("s", "a"), H("t", "s", mode=0o600, uid=5, gid=6, mtime=12345)]]),
    Case("links-with-size", [[F("a", "1234"), H("b", "a", size=4), F("c", "x")]]),
    Case("links-absolute-and-dotted", [[D("d/"), F("d/a", "1"), H("b", "/d/a"), H("c", "./d/../d/a"), H("e", "../../d/a")]]),
    Case("links-through-symlink", [[D("d/"), F("d/a", "1"), S("s", "d"), H("b", "s/a")]]),
    Case("links-drop-capability", [[F("a", "1", xattrs={b"security.capability": CAPABILITY}), H("b", "a")]]),
    Case("links-keep-capability", [[F("a", "1", xattrs={b"security.capability": CAPABILITY}),
                                    H("b", "a", xattrs={b"security.capability": CAPABILITY})]]),
    Case("links-to-lower-file", [LOWER, [H("g", "f")]], refused=True, reference=[LOWER + [H("g", "f")]]),
    Case("links-to-nothing", [LOWER, [H("g", "none")]], error="hard link"),
    Case("links-to-folder", [LOWER, [D("k/"), H("g", "k")]], error="hard link"),
    Case("links-to-itself", [[F("a"), H("b", "b")]], error="hard link"),
    Case("links-forward", [[H("b", "a"), F("a")]], error="hard link"),
    # Metadata
    Case("modes-special", [[F("su", mode=0o4755), F("sg", mode=0o2755), D("st/", mode=0o1777), D("sgd/", mode=0o2775), F("none", mode=0),
                            F("all", mode=0o7777), F("typed", mode=0o100644), S("l", "x", mode=0o600)]]),
    Case("modes-special-owned", [[F("su", mode=0o4755, uid=10, gid=10), F("all", mode=0o6777, uid=1000, gid=1000), H("x", "su", mode=0o4755)]]),
    Case("owners-large", [[F("a", uid=65535, gid=65536), F("b", uid=2097151, gid=2097152), F("c", uid=4294967294, gid=3000000000),
                           D("d/", uid=100000), S("s", "a", uid=100001, gid=7), F("g", uid=2 ** 31, gid=70000, style="gnu")]]),
    Case("times", [[F("neg", mtime=-5), F("negfrac", mtime="-1.5"), F("frac", mtime="1700000000.987654321"), F("zero", mtime=0),
                    F("far", mtime=2 ** 32 - 1), F("y2106", mtime=2 ** 33), S("sneg", "x", mtime=-100), S("sfrac", "x", mtime="7.9"),
                    D("d/", mtime="123.999"), F("d/x"), F("gneg", mtime=-7, style="gnu"), F("huge", mtime=10 ** 10)]]),
    Case("folder-times-layers", [[D("d/", mtime=100), F("d/a")], [D("d/", mtime=50), F("d/b")], [D("d/", mtime=75), W("d/a")]]),
    Case("folder-metadata-upper-wins", [[D("d/", mode=0o700, uid=1, gid=2, xattrs={b"user.low": b"1"}), F("d/a")],
                                        [D("d/", mode=0o755, uid=3, gid=4, xattrs={b"user.up": b"2"})]]),
    Case("devices", [[N("null", tar.CHAR, (1, 3), mode=0o666), N("sda", tar.BLOCK_DEVICE, (8, 17), uid=0, gid=6, mode=0o660), N("pipe", tar.FIFO, mode=0o600),
                      N("big", tar.CHAR, (300, 70000)), N("bm", tar.BLOCK_DEVICE, (259, 256))]]),
    Case("xattrs", [[F("cap", "x", mode=0o755, xattrs={b"security.capability": CAPABILITY}),
                     F("user", xattrs={b"user.a": b"1", b"user.bin": b"\0\xff\n="}), D("d/", xattrs={b"user.dir": b"yes"}),
                     F("trusted", xattrs={b"trusted.t": b"v"}), S("l", "cap", xattrs={b"trusted.l": b"v"}),
                     F("unknown", xattrs={b"strange.name": b"v"}), F("empty", xattrs={b"user.empty": b""})],
                    [F("large", xattrs={b"trusted.overlay.origin": b"none", b"user.x": b"y" * 1000})]]),
    Case("xattrs-user-on-symlink", [[S("l", "x", xattrs={b"user.a": b"1"}), N("p", tar.FIFO, xattrs={b"user.a": b"1"})]]),
    # Layers
    Case("empty-layers", [[], LOWER, [], [F("x")], []]),
    Case("setgid-folders-implied", [[D("d/", mode=0o2755, gid=7), F("d/sub/deep/x"), F("e/sub/x"), D("e/", mode=0o2755)],
                                    [F("d/other/x"), D("d/", mode=0o2755, gid=7), F("d/more/x")]]),
    Case("empty-file-layer", [LOWER, bytes(1024)]),
    Case("layers-127", [[F("n%d" % i, str(i)), F("last", str(i)), D("d%d/" % (i % 7)), F("d%d/%d" % (i % 7, i))]
                        + ([W("n%d" % (i - 3))] if i % 5 == 0 and i > 3 else []) for i in range(125)]),
    Case("no-end-marker", [b"".join(LOWER)]),
    # Formats
    Case("format-v7", [[F("a", "1", style="v7"), tar.header(b"d/", kind=b"\0", magic=b"", mode=0o755), F("d/x", "2", style="v7"),
                        S("s", "a", style="v7")]]),
    Case("format-gnu", [[F("a" * 150 + "/" + "b" * 120, "1", style="gnu"), S("s", "t" * 300, style="gnu"),
                         H("h" * 120, "a" * 150 + "/" + "b" * 120, style="gnu"), F("base", "x" * 5, style="gnu", uid=3000000)]]),
    Case("format-ustar-prefix", [[tar.header(b"name", prefix=b"some/prefix", size=1) + tar.padded(b"x"),
                                  tar.header(b"n" * 100, prefix=b"p" * 155), ]]),
    Case("format-pax-overrides", [[tar.pax([(b"path", b"real"), (b"size", b"3"), (b"uid", b"7"), (b"gid", b"8"), (b"mtime", b"42.5")])
                                   + tar.header(b"fake", size=0, uid=1, gid=1, mtime=1) + tar.padded(b"abc"),
                                   tar.pax([(b"path", b"lnk"), (b"linkpath", b"to/real")]) + tar.header(b"fake", tar.SYMLINK, link=b"fake2"),
                                   tar.pax([(b"path", b""), (b"comment", b"x")]) + tar.header(b"kept")]]),
    Case("format-pax-global", [[tar.pax([(b"mtime", b"5"), (b"uid", b"9")], b"g") + F("a", "1"), tar.pax([(b"path", b"glob")], b"g"), F("b")]]),
    Case("format-pax-sparse-01", [[tar.pax([(b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"1"), (b"GNU.sparse.name", b"sp"),
                                            (b"GNU.sparse.size", b"10000"), (b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.map", b"1000,3,5000,2")])
                                   + tar.header(b"GNUSparseFile/sp", size=5) + tar.padded(b"abcde"), F("after", "x")]]),
    Case("format-pax-sparse-10", [[tar.pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"sp"),
                                            (b"GNU.sparse.realsize", b"10000")])
                                   + tar.header(b"GNUSparseFile/sp", size=517) + tar.padded(b"2\n1000\n3\n5000\n2\n") + tar.padded(b"abcde"),
                                   F("after", "x")]]),
    Case("format-gnu-sparse", [[tar.header(b"sp", b"S", size=5, magic=b"ustar  \0", tail=bytes(41) + tar.number(1000, 12) + tar.number(3, 12)
                                           + tar.number(5000, 12) + tar.number(2, 12) + bytes(49) + tar.number(10000, 12)) + tar.padded(b"abcde"),
                                F("after", "x")]], refused=True,
         reference=[[F("sp", bytes(1000) + b"abc" + bytes(3997) + b"de" + bytes(4998), mtime=0), F("after", "x")]]),
    Case("format-contiguous", [[tar.member(b"c", b"7", b"data", mtime=9), F("after")]], refused=True,
         reference=[[F("c", "data", mtime=9), F("after")]]),
    Case("format-unknown-type", [[tar.member(b"c", b"Z", b"data")]], error="unknown"),
    Case("format-sizes-on-links", [[D("d/", size=700), S("s", "d", size=5), N("p", tar.FIFO, size=99), F("a", "x")]]),
]
