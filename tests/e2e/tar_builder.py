# SPDX-License-Identifier: Apache-2.0
"""Writes tar members byte by byte, so that tests can say exactly what an archive holds (Python's tarfile cannot)."""

BLOCK = 512
FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, FOLDER, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def number(value, width, base256=False):
    if base256 or value < 0 or value >= 8 ** (width - 1):
        return (value & ((1 << 8 * width) - 1) | 0x80 << 8 * (width - 1)).to_bytes(width, "big")
    return b"%0*o\0" % (width - 1, value)


def header(name, kind=FILE, mode=0o644, uid=0, gid=0, size=0, mtime=0, link=b"", device=(0, 0), magic=b"ustar\x0000",
           prefix=b"", tail=None, base256=False):
    """One header block; `tail` replaces what follows the device numbers."""
    block = bytearray(BLOCK)
    block[0:100] = name[:100].ljust(100, b"\0")
    block[100:108] = number(mode, 8)
    block[108:116] = number(uid, 8, base256)
    block[116:124] = number(gid, 8, base256)
    block[124:136] = number(size, 12, base256)
    block[136:148] = number(mtime, 12, base256)
    block[156:157] = kind
    block[157:257] = link[:100].ljust(100, b"\0")
    if magic:
        block[257:265] = magic
        block[329:337] = number(device[0], 8)
        block[337:345] = number(device[1], 8)
        rest = tail if tail is not None else prefix.ljust(155, b"\0")
        block[345:345 + len(rest)] = rest
    return with_checksum(block)


def with_checksum(block):
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax_record(key, value):
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(b"%d" % length):
        length = len(body) + len(b"%d" % length)
    return b"%d" % length + body


def pax(records, kind=b"x"):
    text = b"".join(pax_record(key, value) for key, value in records)
    return header(b"PaxHeaders/0", kind, size=len(text)) + padded(text)


def gnu_long(kind, text):
    return header(b"././@LongLink", kind, size=len(text) + 1, magic=b"ustar  \0") + padded(text + b"\0")


def member(name, kind=FILE, data=b"", mode=None, uid=0, gid=0, mtime=0, link=b"", device=(0, 0), xattrs=None, style="pax",
           size=None):
    """A whole member. `style`: pax, gnu, ustar or v7; pax and gnu write their extensions only where the header lacks room."""
    if mode is None:
        mode = {FOLDER: 0o755, SYMLINK: 0o777}.get(kind, 0o644)
    size = len(data) if size is None else size
    before, records = b"", [(b"SCHILY.xattr." + key, value) for key, value in (xattrs or {}).items()]
    fields = dict(kind=kind, mode=mode, uid=uid, gid=gid, size=size, mtime=mtime, link=link, device=device)
    if style == "gnu":
        if len(name) > 100:
            before += gnu_long(b"L", name)
        if len(link) > 100:
            before += gnu_long(b"K", link)
        return before + header(name, magic=b"ustar  \0", **fields) + padded(data)
    if style == "v7":
        return header(name, magic=b"", **fields) + padded(data)
    if style == "pax":
        for key, value, room in ((b"path", name, 100), (b"linkpath", link, 100)):
            if len(value) > room:
                records.append((key, value))
        for key, limit in (("uid", 8 ** 7), ("gid", 8 ** 7), ("size", 8 ** 11), ("mtime", 8 ** 11)):
            value = fields[key]
            if isinstance(value, (float, str)) or value < 0 or value >= limit:
                records.append((key.encode(), str(value).encode()))
                fields[key] = 0
    before = pax(records) if records else b""
    return before + header(name, **fields) + padded(data)


def archive(members):
    return b"".join(members) + bytes(2 * BLOCK)
