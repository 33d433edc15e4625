"""Makes rows for the model of what a client sends, in threads, within limits."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import ctypes
import io
import re
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxcmr.data.formats import pictures
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later, load
from jaxcmr.serving.limits import Limits, RefusedError
from jaxcmr.serving.requests import Item

PIL, Image = Later("PIL"), Later("PIL.Image")
T = TypeVar("T")
LARGE_PIXELS, LARGE_BYTES = 4_000_000, 1_000_000  # from which on items are prepared one by one
MOST_LARGE = 16  # that wait or are prepared
PIECE = 1 << 20  # letters of base64, a multiple of 4
SHORT = 500  # letters of a text that no thread is needed for
_PATHS = re.compile(r"(?<![\w/.:])/(?:[^\s/'\"]+/)+[^\s/'\",;:)]*|\\\\\S+")


class Row(NamedTuple):
    """An item as the model takes it.

    Attributes:
        modality: its name.
        items: `[1, ...]`, a row of the training set's form.
        known: False for a text without any known word.
    """

    modality: str
    items: Any
    known: bool


class Uploads:
    """Prepares items in a pool of threads; the large ones wait for each other in one of their own.

    So a client that sends only the largest pictures keeps one core busy, and no more. Pictures are
    read in memory; any other file lies alone in a folder of its own while it is read.
    """

    def __init__(self, preparation: Any, limits: Limits, threads: int):
        self._preparation, self._limits = preparation, limits
        self._pool = ThreadPoolExecutor(threads, "prepare")
        self._large_pool = ThreadPoolExecutor(1, "prepare_large")
        self._large = 0
        png = load("PIL.PngImagePlugin")  # as for pictures that are trained on
        png.MAX_TEXT_CHUNK = png.MAX_TEXT_MEMORY

    async def run(self, function: Callable[[], T]) -> T:
        """Calls a function in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    async def row(self, item: Item) -> Row:
        """Returns the row of an item that is a text, a file or values.

        Raises:
            RefusedError: 415 or 422, it cannot become a row; 503, too many large items wait.
        """
        modality = self.modality(item)
        if item.kind == "text" and len(item.content) <= SHORT:  # sooner done than handed over
            return self._row(modality, item.content, item.place)
        found = await self.run(lambda: self._begun(modality, item))
        if isinstance(found, Row):
            return found
        if self._large >= MOST_LARGE:
            raise RefusedError(503, "too many large files wait already; try again", 2.0)
        self._large += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._large_pool, found)
        finally:
            self._large -= 1
            del found  # and the picture in it
            with contextlib.suppress(RuntimeError):  # the server ends
                self._large_pool.submit(_give_back_memory)

    def endings(self, modality: str) -> tuple[str, ...]:
        """Returns the endings of the files that a client may send of a modality."""
        recipe = self._preparation.recipes[modality]
        return () if recipe.kind == "text" else recipe.files

    def modality(self, item: Item) -> str:
        """Returns the modality of an item; raises a `RefusedError` (422) if it cannot be its."""
        recipes = self._preparation.recipes
        named = item.modality
        if named is not None and named not in recipes:
            raise RefusedError(
                422, f"there is no modality {quoted(named)}; the model has {listed(list(recipes))}"
            )
        fits = [name for name in recipes if self._takes(name, item.kind)]
        if not fits:
            raise RefusedError(
                422, f"the model takes no {item.kind}; its modalities are {listed(list(recipes))}"
            )
        if named is None and len(fits) > 1:
            raise RefusedError(422, f"say which modality it is, one of {listed(fits)}")
        if named is not None and named not in fits:
            raise RefusedError(
                422, f"items of {quoted(named)} do not come as {item.kind}; {listed(fits)} do"
            )
        return fits[0] if named is None else named

    def close(self) -> None:
        """Ends the threads; what waits is dropped."""
        for pool in (self._pool, self._large_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _takes(self, modality: str, kind: str) -> bool:
        if kind == "file":
            return bool(self.endings(modality))
        return self._preparation.recipes[modality].kind == {"values": "vector"}.get(kind, kind)

    def _begun(self, modality: str, item: Item) -> Row | Callable[[], Row]:
        """Returns the row of an item, or, of a large one, what makes it."""
        if item.kind == "text":
            return self._row(modality, item.content, item.place)
        place = item.place
        if item.kind == "values":
            return self._row(modality, np.array(item.content, np.float32), place)
        try:
            data = _decoded(item.content)
        except ValueError:
            raise RefusedError(422, f"the data of {place} are no base64 in one line") from None
        if not data:
            raise RefusedError(422, f"the file of {place} is empty")
        endings, ending = self.endings(modality), Path(item.name).suffix.lower()
        if set(endings) & set(pictures.SUFFIXES) and ending in ("", *pictures.SUFFIXES):
            image = self._picture(data, place)
            read = lambda: self._row(modality, image, place)
            return read if image.width * image.height > LARGE_PIXELS else read()
        if ending not in endings:
            named = f"has a name that ends in {quoted(ending)}" if ending else "needs its name"
            takes = f"{quoted(modality)} takes {listed(endings, len(endings))}"
            raise RefusedError(415, f"the file of {place} {named}; {takes}")
        read = lambda: self._row_of_file(modality, data, ending, place)
        return read if len(data) > LARGE_BYTES else read()

    def _picture(self, data: bytes, place: str) -> Image.Image:
        """Opens a picture, of which no more than the header is read."""
        try:
            with warnings.catch_warnings(action="ignore"):
                image = Image.open(io.BytesIO(data), formats=pictures.FORMATS)
                width, height = image.size
        except PIL.UnidentifiedImageError:
            raise RefusedError(415, f"the file of {place} is no PNG or JPEG") from None
        except Image.DecompressionBombError:
            raise RefusedError(422, self._too_large(place, "")) from None
        except Exception:  # Pillow raises what a damaged header leads it to
            raise RefusedError(422, f"the picture of {place} is damaged") from None
        if width * height > self._limits.pixels:
            raise RefusedError(422, self._too_large(place, f" {width} x {height} pixels,"))
        return image

    def _too_large(self, place: str, size: str) -> str:
        most = f"{self._limits.pixels / 1e6:g}"
        return f"the picture of {place} has{size} more than {most} million pixels; make it smaller"

    def _row_of_file(self, modality: str, data: bytes, ending: str, place: str) -> Row:
        with tempfile.TemporaryDirectory(prefix="jaxcmr-") as folder:
            path = Path(folder) / f"file{ending}"
            path.write_bytes(data)
            return self._row(modality, path, place)

    def _row(self, modality: str, raw: Any, place: str) -> Row:
        try:
            rows = self._preparation.rows(modality, [raw])
        except UsageError as error:
            sentence = str(error)
            if isinstance(raw, Path):
                sentence = sentence.replace(str(raw), f"the file of {place}")
            sentence = sentence.replace(f"{modality}[0]", place)
            raise RefusedError(422, without_paths(sentence)) from None
        return Row(modality, rows.items, bool(rows.known[0]))


def _decoded(text: str) -> bytes:
    """Decodes base64 in pieces, between which other threads get their turn.

    Raises:
        ValueError: it is none.
    """
    pieces = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
    return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)


def _give_back_memory() -> None:
    """Lets the C library hand what large pictures took back to the system, where it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def without_paths(sentence: str) -> str:
    """Replaces the paths of this machine in a sentence by a word.

    Example:
        >>> without_paths("/srv/shop/a.png cannot be read (no space); see /items/3")
        'a file cannot be read (no space); see a file'
    """
    return _PATHS.sub("a file", sentence)
