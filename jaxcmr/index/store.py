"""The rows of an index, in segments, and where each of them is."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.index.adding import texts
from jaxcmr.index.columns import NONE, Column, as_kind, unified
from jaxcmr.index.segment import ID, METADATA, MODALITY, Segment, joined


class Store:
    """Segments, one behind the other. A row's place counts the removed rows too, its number not.

    Attributes:
        segments: all have the same columns.
        kinds: the metadata: name -> kind; a column of the kind `NONE` is in no segment.
    """

    def __init__(self, segments: Sequence[Segment] = (), kinds: Mapping[str, str] | None = None):
        self.segments, self.kinds = list(segments), dict(kinds or {})
        self._lock = threading.Lock()
        # Made when they are needed: a file of a million rows opens at once.
        self._live: np.ndarray | None = None
        self._places: dict[str, dict[str, int]] | None = None
        self._whole: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return sum(int(segment.live.sum()) for segment in self.segments)

    def live_mask(self) -> np.ndarray:
        """Returns which places hold a row that was not removed."""
        return np.concatenate([np.zeros(0, bool), *(segment.live for segment in self.segments)])

    def live_places(self) -> np.ndarray:
        """Returns the place `[N]` of each row."""
        with self._lock:
            if self._live is None:
                self._live = np.flatnonzero(self.live_mask())
            return self._live

    def places_by_id(self) -> dict[str, dict[str, int]]:
        """Returns modality -> id -> place.

        Raises:
            UsageError: two rows have the same, in a damaged file.
        """
        with self._lock:
            if self._places is None:
                places: dict[str, dict[str, int]] = {}
                for start, segment in self._starts():
                    codes, numbers = segment.table[MODALITY].codes
                    for modality, number in numbers.items():
                        rows = np.flatnonzero(segment.live & (codes == number))
                        names = zip(segment.table[ID].take(rows), (start + rows).tolist())
                        if len(rows):
                            places.setdefault(modality, {}).update(names)
                if sum(map(len, places.values())) < len(self):
                    raise UsageError("two rows of the index have one id; make the index again")
                self._places = places
            return self._places

    def places(self, ids: str | Sequence[str], modality: str | None = None) -> list[int]:
        """Returns the places of the rows of these ids, in one modality or in any.

        Raises:
            UsageError: an id is no text.
        """
        return [table[name] for table, name in self._found(ids, modality)]

    def remove(self, ids: str | Sequence[str], modality: str | None = None) -> int:
        """Removes the rows of these ids, in one modality or in any; returns how many there were.

        Raises:
            UsageError: an id is no text.
        """
        places = [table.pop(name) for table, name in self._found(ids, modality)]
        self._drop(places)
        return len(places)

    def _found(
        self, ids: str | Sequence[str], modality: str | None
    ) -> list[tuple[dict[str, int], str]]:
        names = dict.fromkeys(texts("ids", ids))
        tables = self.places_by_id()
        chosen = tables.values() if modality is None else [tables.get(modality, {})]
        return [(table, name) for table in chosen for name in names if name in table]

    def nearest(
        self, query: np.ndarray, k: int, kept: np.ndarray, approx: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns places and scores `[Q, k]` of the best rows of those kept, `[places]` bool.

        There are fewer than k where fewer are kept. Equal ones are found in their order.
        """
        parts = [(np.zeros((len(query), 0), np.int64), np.zeros((len(query), 0), np.float32))]
        for start, segment in self._starts():
            mask = kept[start : start + len(segment)]
            if fit := int(mask.sum()):
                only = None if fit == len(segment) else mask
                found = segment.gallery().search(query, min(k, fit), only, approx)
                parts.append((start + found.index.astype(np.int64), found.scores))
        places, scores = (np.concatenate(part, axis=1) for part in zip(*parts))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(places, best, 1), np.take_along_axis(scores, best, 1)

    def read(self, name: str, rows: np.ndarray) -> list[Any]:
        """Returns what a column of the segments holds in some rows.

        Raises:
            UsageError: a text is damaged.
            IndexError: there is no such row.
        """
        places = self.live_places()[rows]
        found = [None] * len(places)
        for start, segment in self._starts():
            here = np.flatnonzero((places >= start) & (places < start + len(segment)))
            values = segment.table[name].take(places[here] - start)
            if len(here) == len(places):
                return values
            for place, value in zip(here.tolist(), values):
                found[place] = value
        return found

    def whole(self, name: str) -> list[Any]:
        """Returns what a column holds in all rows; it is read once, until the rows change."""
        if name not in self._whole:
            self._whole[name] = self.read(name, np.arange(len(self)))
        return self._whole[name]

    def embeddings(self, rows: np.ndarray) -> np.ndarray:
        """Returns the embeddings `[n, size]` of some rows."""
        places = self.live_places()[rows]
        found = np.empty((len(places), self.segments[0].embeddings.shape[1]), np.float32)
        for start, segment in self._starts():
            here = (places >= start) & (places < start + len(segment))
            found[here] = segment.embeddings[places[here] - start]
        return found

    def append(self, segment: Segment, columns: Mapping[str, Column | None]) -> None:
        """Adds a segment with its metadata; rows of the same id and modality are removed.

        Raises:
            UsageError: a column is of another kind than before; nothing has changed then.
        """
        kinds = unified(self.kinds, columns)
        given = {METADATA + name: column for name, column in columns.items() if column is not None}
        segment.table |= given
        tables = [_completed(one, kinds) for one in (*self.segments, segment)]
        places, end = self.places_by_id(), sum(map(len, self.segments))
        keys = [segment.table[name].take(np.arange(len(segment))) for name in (MODALITY, ID)]
        replaced = [places.get(modality, {}).get(name) for modality, name in zip(*keys)]
        self.segments.append(segment)
        for one, table in zip(self.segments, tables):
            one.table = table
        self.kinds = kinds
        self._drop([place for place in replaced if place is not None])
        for place, (modality, name) in enumerate(zip(*keys), end):
            places.setdefault(modality, {})[name] = place
        # As many small segments as there are powers of two: a row is copied that often at most.
        while len(self.segments) > 1 and self._last_two_are_alike():
            self.segments[-2:] = [joined(self.segments[-2:])]

    def _last_two_are_alike(self) -> bool:
        before, last = self.segments[-2:]
        return not before.mapped and len(before) <= 2 * len(last)

    def _drop(self, places: Sequence[int]) -> None:
        places = np.array(places, np.int64)
        for start, segment in self._starts():
            here = places[(places >= start) & (places < start + len(segment))]
            segment.live[here - start] = False
        self._live, self._whole = None, {}

    def _starts(self) -> list[tuple[int, Segment]]:
        starts = np.cumsum([0, *map(len, self.segments)]).tolist()
        return list(zip(starts, self.segments))


def _completed(segment: Segment, kinds: Mapping[str, str]) -> dict[str, Column]:
    return segment.table | {
        METADATA + name: as_kind(name, segment.table.get(METADATA + name), kind, len(segment))
        for name, kind in kinds.items()
        if kind != NONE
    }
