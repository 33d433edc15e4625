"""Clients of a server on this machine, as many as are asked for, in one loop."""

import asyncio
import base64
import dataclasses
import io
import itertools
import json
import time
from collections import Counter

import numpy as np

HOST = "127.0.0.1"
TIMEOUT = 60.0  # seconds that a client waits for an answer


@dataclasses.dataclass
class Measured:
    """What clients saw: seconds of each answer, by the kind of request, and what went wrong."""

    seconds: dict[str, list[float]]
    errors: Counter

    def line(self, duration: float) -> str:
        """Returns the numbers in one line."""
        every = sorted(itertools.chain.from_iterable(self.seconds.values()))
        parts = [f"{len(every) / duration:6.0f}/s  {self._times(every)}"]
        parts += [f"{kind} {self._times(sorted(s))}" for kind, s in self.seconds.items()]
        wrong = ", ".join(f"{count} x {what}" for what, count in self.errors.items())
        return "  |  ".join([*parts, f"errors: {wrong or 'none'}"])

    @staticmethod
    def _times(seconds: list[float]) -> str:
        if not seconds:
            return "none"
        p50, p99 = (1000 * seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.99))
        return f"p50 {p50:.0f} p99 {p99:.0f} max {1000 * seconds[-1]:.0f} ms"


class Connection:
    """One connection, which is kept for further requests."""

    def __init__(self, port: int, source: str = HOST):
        self._port, self._source = port, source
        self._streams = None

    async def ask(self, method: str, path: str, content=None) -> tuple[int, bytes]:
        """Sends a request; returns the status and the body of the answer."""
        body = b"" if content is None else json.dumps(content).encode()
        if self._streams is None:
            address = (self._source, 0)
            self._streams = await asyncio.open_connection(HOST, self._port, local_addr=address)
        reader, writer = self._streams
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {HOST}:{self._port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return await answer(reader)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Reads an answer; returns its status and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line[15:] for line in head.split("\r\n") if line.startswith("content-length:"))
    return int(head.split()[1]), await reader.readexactly(int(length))


async def wishes(port: int) -> dict[str, list[tuple]]:
    """Returns what clients may ask for, by kind: `(method, path, content)`."""
    connection = Connection(port)
    health = json.loads((await connection.ask("GET", "/health"))[1])
    kinds, found = health["kinds"], {}
    if "text" in kinds.values():
        texts = [{"text": name} for name in health["classes"]]
        known = [(await connection.ask("POST", "/search", text))[0] == 200 for text in texts]
        texts = [text for text, there in zip(texts, known) if there]
        found["words"] = [("POST", "/search", {**text, "k": 12}) for text in texts]
    if "image" in kinds.values():
        name = next(name for name, kind in kinds.items() if kind == "image")
        files = [{"modality": name, "data": photo(seed)} for seed in range(20)]
        found["photo"] = [("POST", "/search", {"file": file, "k": 12}) for file in files]
    hits = []
    for _, path, content in itertools.chain.from_iterable(found.values()):
        hits += json.loads((await connection.ask("POST", path, content))[1])["hits"]
    rows = [{"id": hit["id"], "modality": hit["modality"]} for hit in hits]
    found["row"] = [("POST", "/search", {**row, "k": 12}) for row in rows]
    found["picture"] = [("GET", hit["picture"], None) for hit in hits if hit["picture"]]
    connection.close()
    return {kind: some for kind, some in found.items() if some}


def photo(seed: int) -> str:
    """Returns a JPEG of 640 x 480 pixels in base64."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    file = io.BytesIO()
    small.resize((640, 480)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


async def run(port: int, clients: int, duration: float, pause: float) -> Measured:
    """Lets clients ask for some seconds."""
    kinds = await wishes(port)
    measured = Measured({kind: [] for kind in kinds}, Counter())
    end = time.monotonic() + duration
    await asyncio.gather(
        *(_client(port, number, kinds, end, pause, measured) for number in range(clients))
    )
    return measured


async def _client(port, number, kinds, end, pause, measured: Measured) -> None:
    rng, connection = np.random.default_rng(number), Connection(port)
    order = itertools.islice(itertools.cycle(kinds), number % len(kinds), None)
    await asyncio.sleep(rng.uniform(0, max(pause, 0.2)))  # not all at the same moment
    for kind in order:
        if time.monotonic() > end:
            break
        wish = kinds[kind][rng.integers(len(kinds[kind]))]
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                status, _ = await connection.ask(*wish)
            if status == 200:
                measured.seconds[kind].append(time.monotonic() - began)
            else:
                measured.errors[f"{kind} {status}"] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            measured.errors[f"{kind} {type(error).__name__}"] += 1
            connection.close()
        if pause:
            await asyncio.sleep(rng.uniform(0.5, 1.5) * pause)
    connection.close()
