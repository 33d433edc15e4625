"""Rows of embeddings that are searched, with an id, a modality and metadata each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.index import adding, export, file, filters
from jaxcmr.index.columns import NONE, Texts
from jaxcmr.index.segment import (
    ID,
    METADATA,
    MODALITY,
    SOURCE,
    Segment,
    aligned,
    live_embeddings,
    live_table,
)
from jaxcmr.index.store import Store
from jaxcmr.storage.lazy import LazyRows
from jaxcmr.storage.paths import expanded


class Hits(NamedTuple):
    """What each query has found, the best first; fewer than k where fewer fit.

    Attributes:
        rows: `[Q, k]` int64, rows of the index.
        ids: `[Q][k]`.
        modalities: `[Q][k]`.
        scores: `[Q, k]` float32, cosine similarities.
        metadata: `[Q][k]`, a dict of all columns each.
    """

    rows: np.ndarray
    ids: list[list[str]]
    modalities: list[list[str]]
    scores: np.ndarray
    metadata: list[list[dict[str, Any]]]


class Index:
    """Embeddings of items of any modalities, to be searched, kept in a file and exported.

    A row is known by its id and its modality. Rows are numbered from 0 to `len(index) - 1`, in the
    order in which they were added; what is added or removed may change these numbers. Several
    threads may read and search at once while none changes the index.

    Args:
        size: of an embedding.
        fingerprint: of the model that has made the embeddings; "": of none.

    Example:
        >>> index = Index(2)
        >>> index.add(
        ...     [[1, 0], [0, 1]], modality="image", ids=["a", "b"], metadata={"price": [1, 2]}
        ... )
        >>> index.search([3, 4], k=1).ids
        [['b']]

    Raises:
        UsageError: the size is no whole number above 0.
    """

    def __init__(self, size: int, fingerprint: str = ""):
        self.size, self.fingerprint = guards.check_whole("size", size, 1), fingerprint
        self._store = Store()

    def __len__(self) -> int:
        return len(self._store)

    @property
    def ids(self) -> list[str]:
        """The id of each row. The list is made once, until rows change; leave it as it is."""
        return self._store.whole(ID)

    @property
    def modalities(self) -> list[str]:
        """The modality of each row, a list as that of `ids`."""
        return self._store.whole(MODALITY)

    @property
    def columns(self) -> dict[str, str]:
        """The metadata: name -> "text", "int", "float", "bool", or "none" where all are None."""
        return dict(self._store.kinds)

    @property
    def embeddings(self) -> np.ndarray | LazyRows:
        """The embeddings `[N, size]` float32, read-only; those of a file stay on the disk."""
        segments = self._store.segments
        if len(segments) > 1 or any(not segment.live.all() for segment in segments):
            return LazyRows(self._store.embeddings, (len(self), self.size), np.float32)
        rows = segments[0].embeddings.view() if segments else np.empty((0, self.size), np.float32)
        rows.flags.writeable = False
        return rows

    def metadata(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Returns the metadata of some rows, each with all columns."""
        columns = {name: self.column(name, rows) for name in self.columns}
        return [{name: values[k] for name, values in columns.items()} for k in range(len(rows))]

    def column(self, name: str, rows: Sequence[int] | None = None) -> list[Any]:
        """Returns one of the metadata, of all rows or of some."""
        rows = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        if self.columns[name] == NONE:
            return [None] * len(rows)
        return self._store.read(METADATA + name, rows)

    def source(self, row: int) -> str | None:
        """Returns the path of the file of a row, or the words of a text; None: it is not known."""
        return self._store.read(SOURCE, np.array([row]))[0]

    def item(self, row: int) -> tuple[str, str]:
        """Returns the id and the modality of a row; those of other rows are not read."""
        one = np.array([row])
        return self._store.read(ID, one)[0], self._store.read(MODALITY, one)[0]

    def find(self, ids: str | Sequence[str], modality: str | None = None) -> np.ndarray:
        """Returns the rows `[n]` of these ids, in one modality or in any; of unknown ids none.

        Raises:
            UsageError: an id is no text.
        """
        places = np.sort(np.array(self._store.places(ids, modality), np.int64))
        return np.searchsorted(self._store.live_places(), places)

    def add(
        self,
        embeddings: Any,
        *,
        modality: str,
        ids: Sequence[str] | None = None,
        metadata: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None = None,
        sources: Sequence[Any] | None = None,
    ) -> None:
        """Adds rows behind the others; those of the same id and modality are replaced.

        Args:
            embeddings: `[N, size]`, scaled to length 1; a row of zeros has score 0 in each search.
            modality: of all these rows.
            ids: one text a row, each once; None: the next free numbers.
            metadata: name -> a value a row, or a mapping of names to values for each row. Values
                are texts, finite numbers, True, False or None; those of a column are of one kind.
            sources: where each item is found, to draw it: a path, the words of a text, or None.
                They are no part of what a search answers.

        Raises:
            UsageError: something does not fit; nothing is added then.
        """
        if not isinstance(modality, str) or not modality:
            raise UsageError(f"modality is {modality!r}; give a name, such as 'image'")
        rows = adding.unit("embeddings", embeddings, self.size)
        taken = self._store.places_by_id().get(modality, {})
        table = {
            ID: Texts.of(adding.ids_of(ids, len(rows), taken)),
            MODALITY: Texts.of([modality] * len(rows)),
            SOURCE: Texts.of(adding.sources_of(sources, len(rows))),
        }
        self._store.append(Segment(rows, table), adding.columns_of(metadata, len(rows)))

    def extend(self, other: Index) -> None:
        """Adds all rows of another index behind the others, as `add` does.

        Raises:
            UsageError: it is of another size or model, or its metadata are of other kinds.
        """
        if (other.size, other.fingerprint) != (self.size, self.fingerprint):
            raise UsageError(
                f"the rows to add have {other.size} numbers, by the model {other.fingerprint!r}; "
                f"those of the index have {self.size}, by {self.fingerprint!r}; embed all items "
                "with one model"
            )
        if len(other):
            table = live_table(other._store.segments)
            rows = aligned(list(live_embeddings(other._store.segments)))
            columns = {name: table.pop(METADATA + name, None) for name in other.columns}
            self._store.append(Segment(rows, table), columns)

    def remove(self, ids: str | Sequence[str], modality: str | None = None) -> int:
        """Removes the rows of these ids, in one modality or in any; returns how many there were.

        Raises:
            UsageError: an id is no text.
        """
        return self._store.remove(ids, modality)

    def search(
        self,
        query: Any,
        k: int = 10,
        where: Mapping[str, Any] | Sequence[bool] | None = None,
        approx: bool = False,
    ) -> Hits:
        """Finds the k rows of highest cosine similarity for every query, equal ones in their order.

        Args:
            query: `[Q, size]`, or `[size]` for one query; one of zeros has score 0 to all.
            k: how many rows at most.
            where: which rows may be found: field -> its value, or a list of those allowed, where
                fields are "id", "modality" and the metadata; or `[N]` bool.
            approx: whether a few of the best may be missed, for speed; see `Gallery.search`.

        Raises:
            UsageError: a query has another size or holds NaN, k is below 1, or `where` names an
                unknown field or asks it for a value of another kind.
        """
        query = np.asarray(guards.on_host(query))
        query = adding.unit("query", query[None] if query.ndim == 1 else query, self.size)
        if not len(query):
            raise UsageError("there are no queries; give at least one")
        k = guards.check_whole("k", k, 1)
        places, scores = self._store.nearest(query, k, filters.kept(self._store, where), approx)
        rows = np.searchsorted(self._store.live_places(), places)
        flat, k = rows.reshape(-1), rows.shape[1]
        by_query = lambda values: [values[q * k : (q + 1) * k] for q in range(len(rows))]
        ids, modalities = self._store.read(ID, flat), self._store.read(MODALITY, flat)
        metadata = by_query(self.metadata(flat))
        return Hits(rows, by_query(ids), by_query(modalities), scores, metadata)

    def save(self, path: str | Path) -> None:
        """Writes the index into one file, whole or not at all; also into that it was opened from.

        Raises:
            UsageError: the file exists and is no index, or cannot be written.
        """
        store = self._store
        file.write(expanded(path), self.size, self.fingerprint, store.kinds, store.segments)

    @classmethod
    def open(cls, path: str | Path, fingerprint: str | None = None, mapped: bool = True) -> Index:
        """Opens a file; embeddings and texts stay on the disk and are read where they are needed.

        Args:
            path: the file.
            fingerprint: of the model that queries come from; None: any.
            mapped: False reads all into memory now. A mapped file may be replaced, as `save` does,
                but not overwritten, as `cp` does: a process that reads what is gone is killed.

        Raises:
            UsageError: there is no such file, it is no index, damaged, or of another model.
        """
        contents = file.read(expanded(path), mapped)
        if fingerprint is not None and contents.fingerprint != fingerprint:
            raise UsageError(
                f"the index {path} holds embeddings of the model {contents.fingerprint!r}, but "
                f"this model is {fingerprint!r}; use the run it was made with, or make it again"
            )
        index = cls(contents.segment.embeddings.shape[1], contents.fingerprint)
        index._store = Store([contents.segment], contents.kinds)
        return index

    def export(self, path: str | Path) -> list[Path]:
        """Writes a file for other programs, by its ending, and returns what was written.

        `.parquet` and `.npz` hold all but the sources; `.faiss` (`IndexFlatIP`) and `.usearch` the
        embeddings, by row, and beside them `NAME.json` the ids and modalities of the rows.

        Raises:
            UsageError: another ending, the file exists, a package is missing, or an id or text
                cannot be written in such a file.
        """
        return export.write(expanded(path), self)
