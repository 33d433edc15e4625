"""A client that does what it should not: bodies without end, bombs, slow writers, wrong JSON."""

import asyncio
import base64
import io
import struct
import time
import zlib
from collections import Counter

import numpy as np
from serve_clients import HOST, answer

SOURCE = "127.0.0.2"  # another address of this machine, so that it has a rate of its own
AT_ONCE = 4  # connections of each kind
PIECE = b"x" * 65536


def main(port: int, duration: float, results) -> None:
    """Attacks for some seconds; puts None first, then kind -> how requests ended -> how many."""
    prepared = attacks()
    results.put(None)
    results.put(asyncio.run(run(port, duration, prepared)))


async def run(port: int, duration: float, prepared: dict) -> dict[str, Counter]:
    """Lets all kinds of requests come at once."""
    end, ended = time.monotonic() + duration, {}
    tasks = []
    for kind, attack in prepared.items():
        ended[kind] = Counter()
        tasks += [_repeat(attack, port, end, ended[kind]) for _ in range(AT_ONCE)]
    await asyncio.gather(*tasks)
    return ended


async def _repeat(attack, port: int, end: float, ended: Counter) -> None:
    while time.monotonic() < end:
        try:
            async with asyncio.timeout(30):
                ended[f"status {await attack(port)}"] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            ended[type(error).__name__] += 1
        await asyncio.sleep(0.02)


def _posts(body):
    """Sends one and the same request."""

    async def attack(port: int) -> int:
        return await _sent(port, [_head(len(body)), body])

    return attack


async def _sent(port: int, pieces, pause: float = 0.0) -> int:
    """Writes pieces until an answer is there; returns its status."""
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(SOURCE, 0))
    answered = asyncio.ensure_future(answer(reader))
    try:
        for piece in pieces:
            if answered.done():
                break
            writer.write(piece)
            try:
                await writer.drain()
            except OSError:  # it was closed, behind an answer
                break
            await asyncio.sleep(pause)
        return (await answered)[0]
    finally:
        answered.cancel()
        writer.close()


def _head(length: int | None) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = ("POST /search HTTP/1.1", f"host: {HOST}", "content-type: application/json", size)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def _gigabyte(port: int) -> int:
    return await _sent(port, [_head(10**9), *[PIECE] * (10**9 // len(PIECE))])


async def _endless(port: int) -> int:
    chunk = f"{len(PIECE):x}\r\n".encode() + PIECE + b"\r\n"
    return await _sent(port, [_head(None), *[chunk] * (10**9 // len(PIECE))])


async def _slow_body(port: int) -> int:
    return await _sent(port, [_head(1000), *[b" "] * 1000], pause=0.5)


async def _slow_head(port: int) -> int:
    return await _sent(port, [bytes([letter]) for letter in _head(0)], pause=0.5)


def _file(data: bytes) -> bytes:
    encoded = base64.b64encode(data)
    return b'{"file": {"modality": "image", "data": "' + encoded + b'"}}'


def _png(width: int, height: int, lines: int) -> bytes:
    """Returns a black PNG that holds so many lines."""

    def part(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(width + 1)) for _ in range(lines)) + packer.flush()
    parts = part(b"IHDR", head) + part(b"IDAT", pixels) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _noise(side: int, sent: float) -> bytes:
    """Returns a share of a PNG of noise."""
    from PIL import Image

    file, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()[: int(len(file.getvalue()) * sent)]


def _clear(side: int) -> bytes:
    """Returns a PNG that is transparent everywhere."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGBA", (side, side)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def attacks() -> dict:
    """Returns what is done, by its name."""
    return {
        "a body of 1 GB": _gigabyte,
        "1 GB without a length": _endless,
        "a body, a byte in .5 s": _slow_body,
        "a head, a byte in .5 s": _slow_head,
        "a PNG that is cut off": _posts(_file(_noise(600, 0.7))),
        "a bomb of 60000 x 60000": _posts(_file(_png(60_000, 60_000, 6000))),
        "a PNG of 39 million pixels": _posts(_file(_png(6300, 6300, 6300))),
        "39 million clear pixels": _posts(_file(_clear(6300))),
        "a text of 10,000 words": _posts(b'{"text": "' + b"word " * 10_000 + b'"}'),
        "wrong JSON": _posts(b'{"text": '),
        "deep JSON": _posts(b"[" * 200_000),
        "9 MB of brackets": _posts(b"[]," * 3_000_000),
    }
