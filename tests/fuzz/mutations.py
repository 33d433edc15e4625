"""Changes of valid files that know their format: numbers, lines, chunks, containers."""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from random import Random

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# fmt: off
WORDS = (
    "nan", "-nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "1", "2", "3", "255", "256", "65536",
    "2147483648", "4294967296", "-2147483649", "1e-320", "99999999999999999999", "1e9", "0x10",
    "1000000000", "1_000", "1,5", "-", ".", "e", "true", "null", "[]", "{}", '"', "'", "#",
    "../../a", "/etc/a", "", " ", "\t", "\0", "\u0661", "\ufeff", "\u202e", "\x1b[2J",
    "\u4e2d" * 300,
)
# fmt: on
VALUES = (
    None,
    True,
    False,
    -1,
    0,
    1.5,
    10**30,
    -(10**9),
    2**31,
    1e308,
    "",
    "a",
    "\n",
    [],
    {},
    [[]],
)
PACKED = (0, 1, -1, 2**7, 2**15, 2**31 - 1, -(2**31), 2**24, 2**28, 1000, 100_000_000)
REALS = (float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-40)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp500", "utf-7")


def mutate(data: bytes, rng: Random) -> bytes:
    """Changes a file one to four times, inside of its containers every second time."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = (inside(data, rng) if rng.random() < 0.5 else None) or _plain(data, rng)
    return data


def inside(data: bytes, rng: Random) -> bytes | None:
    """Changes what a container holds and seals it again; None: this is none, or no longer one."""
    for start, change in CONTAINERS.items():
        if data.startswith(start):
            try:
                return change(data, rng)
            except (ValueError, IndexError, KeyError, OSError, EOFError, RuntimeError):
                return None
            except (struct.error, zipfile.BadZipFile, zlib.error, NotImplementedError):
                return None
    return None


def _plain(data: bytes, rng: Random) -> bytes:
    return rng.choice(MUTATORS)(data, rng) if data else bytes(rng.randrange(9))


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set_byte(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([rng.choice((0, 1, 10, 32, 127, 128, 255))]) + data[place + 1 :]


def _pack(data: bytes, rng: Random) -> bytes:
    """Puts an extreme number of 4 or 8 bytes anywhere, more often into the head."""
    end = rng.choice((64, 512, len(data)))
    place, order = rng.randrange(min(end, len(data))), rng.choice("<>")
    if rng.random() < 0.3:
        number = struct.pack(order + rng.choice("fd"), rng.choice(REALS))
    else:
        number = struct.pack(order + rng.choice("iq"), rng.choice(PACKED))
    return data[:place] + number + data[place + len(number) :]


def _chunk(data: bytes, rng: Random) -> bytes:
    """Doubles, drops, moves or zeroes a piece."""
    first, second = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    second = min(second, first + rng.choice((1, 4, 16, 256, len(data))))
    piece = data[first:second]
    kind = rng.randrange(4)
    if kind == 2:
        rest = data[:first] + data[second:]
        place = rng.randrange(len(rest) + 1)
        return rest[:place] + piece + rest[place:]
    return data[:first] + (piece * 2, b"", b"", bytes(len(piece)))[kind] + data[second:]


def _append(data: bytes, rng: Random) -> bytes:
    tail = rng.choice((b"\0" * 100, b"\n", b"abc 1 2 3\n", rng.randbytes(64), data, b"\x1a"))
    return data + tail if rng.random() < 0.8 else tail + data


def _number(data: bytes, rng: Random) -> bytes:
    """Puts an extreme word in place of a number."""
    end = rng.choice((200, 20_000))
    found = list(NUMBER.finditer(data, 0, end))
    if not found:
        return _flip(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(WORDS).encode() + data[match.end() :]


def _line(data: bytes, rng: Random) -> bytes:
    """Doubles, drops, swaps or joins lines, or changes a word of one."""
    lines = data.split(b"\n")
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        lines.insert(other, lines[place])
    elif kind == 1:
        del lines[place]
    elif kind == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == 3:
        words = re.split(rb"([ ,;:\t])", lines[place])
        words[rng.randrange(len(words))] = rng.choice(WORDS).encode()
        lines[place] = b"".join(words)
    else:
        return rng.choice((b"\r\n", b"\r", b" ", b"\n\n", b"\0")).join(lines)
    return b"\n".join(lines)


def _encode(data: bytes, rng: Random) -> bytes:
    return data.decode("latin-1").encode(rng.choice(ENCODINGS), "replace")


MUTATORS = (_cut, _flip, _flip, _set_byte, _pack, _pack, _chunk, _append, _number, _number,
            _line, _line, _encode)  # fmt: skip


def _gzip(data: bytes, rng: Random) -> bytes:
    return gzip.compress(mutate(gzip.decompress(data), rng), 1)


def _zip(data: bytes, rng: Random) -> bytes:
    """Changes, doubles, renames or drops a member."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = rng.randrange(len(members))
    name, content = members[place]
    kind = rng.randrange(8)
    if kind < 5:
        members[place] = (name, mutate(content, rng))
    elif kind == 5:
        members.append(members[place])
    elif kind == 6:
        members[place] = (mutate(name.encode(), rng).decode("utf-8", "replace"), content)
    else:
        del members[place]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
        for name, content in members:
            file.writestr(name or "a", content)
    return out.getvalue()


def _png(data: bytes, rng: Random) -> bytes:
    """Changes a chunk of a PNG, and its checksum with it."""
    chunks, place = [], 8
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    at = rng.randrange(len(chunks))
    kind, content = chunks[at]
    if kind == b"IDAT" and rng.random() < 0.5:
        chunks[at] = (kind, zlib.compress(_plain(zlib.decompress(content), rng)))
    elif rng.random() < 0.2:
        chunks.insert(at, rng.choice(chunks))
    else:
        chunks[at] = (kind, _plain(content, rng))
    parts = [
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks
    ]
    return data[:8] + b"".join(parts)


def _npy(data: bytes, rng: Random) -> bytes:
    (size,) = struct.unpack_from("<H", data, 8)
    head = _plain(data[10 : 10 + size], rng)
    return data[:8] + struct.pack("<H", len(head)) + head + data[10 + size :]


def _glb(data: bytes, rng: Random) -> bytes:
    """Changes the JSON of a GLB file."""
    (size,) = struct.unpack_from("<I", data, 12)
    head = _json(data[20 : 20 + size], rng)
    head += b" " * (-len(head) % 4)
    body = struct.pack("<I4s", len(head), b"JSON") + head + data[20 + size :]
    return data[:8] + struct.pack("<I", 12 + len(body)) + body


def _json(data: bytes, rng: Random) -> bytes:
    """Changes a value anywhere in JSON, or in a line of JSON."""
    lines = data.split(b"\n")
    whole = len(lines) < 3 or not lines[0].rstrip().endswith(b"}")
    at = rng.randrange(len(lines))
    tree = json.loads(data if whole else lines[at])
    holder, key = None, None
    node = tree
    while isinstance(node, dict | list) and node and (holder is None or rng.random() < 0.8):
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        holder, node = node, node[key]
    if holder is None:
        raise ValueError
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice((*VALUES, *REALS, node))
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode()
    return text if whole else b"\n".join([*lines[:at], text, *lines[at + 1 :]])


def _safetensors(data: bytes, rng: Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    head = _json(data[8 : 8 + size], rng)
    return len(head).to_bytes(8, "little") + head + data[8 + size :]


CONTAINERS = {
    b"\x1f\x8b": _gzip,
    b"PK": _zip,
    b"\x89PNG": _png,
    b"\x93NUMPY": _npy,
    b"glTF": _glb,
    b"{": _json,
    b"": lambda data, rng: _safetensors(data, rng) if data[8:9] == b"{" else None,
}
