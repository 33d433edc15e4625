"""Parts of an index: the rows that one call has added, or that a file holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.index.columns import Column, Texts
from jaxcmr.retrieval.gallery import Gallery
from jaxcmr.storage.safetensors import ALIGNED

ID, MODALITY, SOURCE = "id", "modality", "source"
METADATA = "metadata."  # before the name of such a column
_BLOCK = 1 << 14  # rows that are copied at once


@dataclass
class Segment:
    """Rows of an index. Only `live` changes, and `table` gets columns.

    Attributes:
        embeddings: `[n, d]` float32 unit rows.
        table: the columns `ID`, `MODALITY`, `SOURCE`, and the metadata, each behind `METADATA`.
        mapped: whether the embeddings stay on the disk.
        live: `[n]` bool, False where a row was removed.
    """

    embeddings: np.ndarray
    table: dict[str, Column]
    mapped: bool = False
    live: np.ndarray = field(init=False)
    _gallery: Gallery | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self):
        self.live = np.ones(len(self), bool)

    def __len__(self) -> int:
        return len(self.embeddings)

    def gallery(self) -> Gallery:
        """Returns the embeddings, prepared for searches when they are first asked for.

        Raises:
            UsageError: the file that holds them is damaged.
        """
        with self._lock:
            if self._gallery is None:
                try:
                    self._gallery = Gallery(self.embeddings)
                except UsageError as error:
                    raise UsageError(f"the index is damaged ({error}); make it again") from None
            return self._gallery


def aligned(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a copy of rows in float32, which a CPU can search where it lies."""
    rows, size = sum(map(len, parts)), parts[0].shape[1]
    room = np.empty(4 * rows * size + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    whole = room[start : start + 4 * rows * size].view(np.float32).reshape(rows, size)
    return np.concatenate(parts, out=whole, casting="unsafe")


def joined(segments: Sequence[Segment]) -> Segment:
    """Returns the rows of several segments as one in memory, the removed ones too."""
    embeddings = aligned([segment.embeddings for segment in segments])
    whole = Segment(embeddings, _joined_tables([segment.table for segment in segments]))
    whole.live = np.concatenate([segment.live for segment in segments])
    return whole


def live_table(segments: Sequence[Segment]) -> dict[str, Column]:
    """Returns the columns of the rows that were not removed."""
    tables = []
    for segment in segments:
        table, rows = segment.table, np.flatnonzero(segment.live)
        if len(rows) < len(segment):
            table = {name: column.select(rows) for name, column in table.items()}
        tables.append(table)
    return _joined_tables(tables)


def live_embeddings(segments: Sequence[Segment]) -> Iterator[np.ndarray]:
    """Yields the embeddings of the rows that were not removed, block by block."""
    for segment in segments:
        for start in range(0, len(segment), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield segment.embeddings[block][segment.live[block]]


def _joined_tables(tables: Sequence[dict[str, Column]]) -> dict[str, Column]:
    if not tables:
        return {name: Texts.of([]) for name in (ID, MODALITY, SOURCE)}
    if len(tables) == 1:
        return tables[0]
    join = lambda name, first: type(first).joined([table[name] for table in tables])
    return {name: join(name, first) for name, first in tables[0].items()}
