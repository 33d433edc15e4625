"""The rows of an index as small pictures and short texts, drawn when they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging

from jaxcmr.data.formats.itemfiles import CLOUDS, MESHES
from jaxcmr.data.formats.pictures import SUFFIXES
from jaxcmr.errors import UsageError, reason
from jaxcmr.report.items import Items, open_items, part, thumbnails
from jaxcmr.report.items.part import Part

if TYPE_CHECKING:
    from jaxcmr.index import Index

BYTES = 64_000_000  # of pictures and texts that are kept
NOT_SHOWN = "cannot be shown"
_KINDS = {"text": "text", "points": "cloud", "mesh": "mesh"}  # of modalities without a recipe


class Pictures:
    """Shows the rows of an index; several threads may ask at once.

    A row is drawn from its source, or else from the data of the run, by its id. What cannot be
    shown is a missing part. Its note names no file, for it may reach a browser; the log says why,
    once.

    Args:
        index: the rows.
        workdir: the run whose data hold the items without a source; None: there is none.
        kinds: modality -> kind of its recipe ("text", "cloud", ...), for modalities whose names do
            not tell it.
        limit: bytes of parts that are kept for the next time they are asked for.
    """

    def __init__(
        self,
        index: Index,
        workdir: Path | None = None,
        *,
        kinds: Mapping[str, str] | None = None,
        limit: int = BYTES,
    ):
        self._index, self._workdir, self._limit = index, workdir, limit
        self._kinds = _KINDS | dict(kinds or {})
        self._kept: OrderedDict[tuple[str, str, str | None], Part] = OrderedDict()
        self._bytes = 0
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._items: Items | None = None

    def part(self, row: int) -> Part:
        """Returns what is shown of a row."""
        (name, modality), source = self._index.item(row), self._index.source(row)
        key = name, modality, source  # a row is another item once an item was removed
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = self._drawn(name, modality, source)
        self._keep(key, drawn)
        return drawn

    def of(self, modality: str, source: str) -> Part:
        """Returns what is shown of an item beside the index, such as a query.

        Args:
            modality: its modality.
            source: the path of its file, or the words of a text.
        """
        return self._drawn("", modality, source)

    def _drawn(self, name: str, modality: str, source: str | None) -> Part:
        try:
            if source is None:
                return self._of_run(name, modality)
            return of_source(modality, source, self._kinds.get(modality, "image"))
        except Exception as error:  # any error: a picture is no reason to lose an answer
            logging.log_first_n(
                logging.WARNING, "%s %s cannot be shown: %s (said once)", 1,
                modality, name or source, reason(error),
            )  # fmt: skip
            return part.missing(modality, NOT_SHOWN)

    def _of_run(self, name: str, modality: str) -> Part:
        if self._workdir is None:
            return part.missing(modality, "no picture")
        with self._opening:  # it may load a data set
            if self._items is None:
                self._items = open_items(self._workdir, self._index.ids)
                for remark in self._items.remarks():
                    logging.warning("%s", remark)
        return self._items.draw(name, modality)

    def _keep(self, key: tuple[str, str, str | None], drawn: Part) -> None:
        with self._lock:
            if key in self._kept:  # another thread drew it meanwhile
                return
            self._kept[key] = drawn
            self._bytes += _size(key, drawn)
            while self._bytes > self._limit:
                self._bytes -= _size(*self._kept.popitem(last=False))


def of_source(modality: str, source: str, kind: str) -> Part:
    """Shows the item behind a source: the words themselves, or a file.

    Words are never taken for the name of a file, whatever they are.

    Args:
        modality: its modality.
        source: the words of a "text", else a path.
        kind: of the modality's recipe; it tells a cloud from a mesh where the file may be both.

    Raises:
        UsageError: there is no such file, it cannot be read, or nothing can be drawn of it.
    """
    if kind == "text":
        return part.text(modality, source)
    if kind == "vector":
        return part.missing(modality, "features only")
    path, suffix = Path(source), Path(source).suffix.lower()
    if not path.is_file():  # reading a pipe would wait forever
        raise UsageError(f"there is no file {path}")
    if suffix in SUFFIXES:
        return part.picture(modality, thumbnails.of_file(path, "image"))
    if suffix in CLOUDS and (kind == "cloud" or suffix not in MESHES):
        return part.picture(modality, thumbnails.of_file(path, "cloud"))
    if suffix in MESHES:
        return part.picture(modality, thumbnails.of_file(path, "mesh"))
    raise UsageError(f"nothing can be drawn of {path}")


def _size(key: tuple[str, str, str | None], drawn: Part) -> int:
    """Returns about how many bytes a part takes: of a letter in Python's texts, up to four."""
    letters = 4 if isinstance(drawn.data, str) else 1
    return 500 + letters * len(drawn.data) + 4 * sum(len(text or "") for text in key)
