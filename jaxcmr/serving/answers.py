"""Answers of a model and an index to items of clients: embeddings, hits, pictures."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from absl import logging

from jaxcmr.display import quoted, shown
from jaxcmr.galleries.queries import mean
from jaxcmr.serving.batches import Batches
from jaxcmr.serving.current import Current, Served
from jaxcmr.serving.limits import Limits, RefusedError
from jaxcmr.serving.requests import Item, Search
from jaxcmr.serving.uploads import Uploads, without_paths

if TYPE_CHECKING:
    from jaxcmr.model import Model
    from jaxcmr.report.items.part import Part

SIZES = (1, 4, 16, 64)  # items that the model and the index are called with: a program each
KS = (16, 128)  # hits that the index is asked for


class _Embedding(NamedTuple):
    embedding: np.ndarray
    known: bool
    row: int | None  # of the index


class _Hit(NamedTuple):
    row: int
    id: str
    modality: str
    score: float
    metadata: dict[str, Any]


class Answers:
    """Answers clients, who may be many at once.

    Items become rows in threads (`Uploads`); the calls of the model and of the index are joined in
    one thread (`Batches`), searches with filters in another.

    Attributes:
        size: of an embedding.
        uploads: what prepares items.
    """

    def __init__(self, model: Model, current: Current, limits: Limits, threads: int):
        self._model, self._current = model, current
        self.size = model.size
        self.uploads = Uploads(model.preparation, limits, threads)
        self._batches, self._filtered = Batches(), Batches()
        self._recipes = model.preparation.recipes

    def state(self) -> dict[str, Any]:
        """Returns what `GET /health` tells."""
        now = self._current.now
        return {
            "status": "ok",
            "modalities": list(self._model.modalities),
            "kinds": {name: recipe.kind for name, recipe in self._recipes.items()},
            "files": {name: list(self.uploads.endings(name)) for name in self._recipes},
            "items": now.counts,
            "fields": now.index.columns,
            "classes": list(self._model.class_names),
            "fingerprint": self._model.fingerprint,
        }

    async def embed(self, items: Sequence[Item]) -> tuple[list[list[float]], list[bool]]:
        """Returns unit rows, and whether each item is known; of one that is not it is zeros.

        Raises:
            RefusedError: an item cannot be embedded.
        """
        now = self._current.now
        found = await self._embeddings(now, items)
        return [one.embedding.tolist() for one in found], [one.known for one in found]

    async def search(self, asked: Search) -> list[dict[str, Any]]:
        """Returns the hits of the mean of the items, the best first, without these items.

        Raises:
            RefusedError: an item cannot be embedded, or is unknown; the index has no item of the
                modality that is searched for.
            UsageError: the items are opposites; a field of `where` is none of the index, or of
                another kind.
        """
        now = self._current.now
        target = asked.where.get("modality")
        if isinstance(target, str) and target not in now.counts:
            there = ", ".join(map(quoted, sorted(now.counts)))
            raise RefusedError(422, f"the index has no items of {quoted(target)}, only {there}")
        found = await self._embeddings(now, asked.items)
        for item, one in zip(asked.items, found):
            if not one.known:
                raise RefusedError(
                    422, f"{item.place} has no word that the model knows; use other words"
                )
        query = mean([one.embedding for one in found])
        own = {one.row for one in found}
        key = ("search", now.version, json.dumps(asked.where, sort_keys=True))
        find = functools.partial(self._find, now, asked.where)
        # What a filter leaves may be of a size that is new, and compile: others do not wait for it.
        batches = self._filtered if set(asked.where) - {"modality"} else self._batches
        hits = await batches.call(key, find, (query, asked.k + len(own)))
        return [self._told(now, hit) for hit in hits if hit.row not in own][: asked.k]

    async def picture(self, row: int, version: str | None) -> Part:
        """Returns the picture of a row.

        Raises:
            RefusedError: 404, there is no such row, or no picture of it, or another index by now.
        """
        now = self._current.now
        if row >= len(now.index) or version not in (None, now.version):
            raise RefusedError(
                404, f"there is no row {str(row)[:20]} in the index that is served now"
            )
        part = await self.uploads.run(lambda: now.pictures.part(row))
        if part.kind != "picture":
            why = without_paths(part.note) or "it is a text"
            raise RefusedError(404, f"there is no picture of row {row}: {why}")
        return part

    async def look(self) -> None:
        """Takes a new index into use, if there is one in its file."""
        if self._current.changed():
            # In a thread of its own: the old index answers meanwhile.
            served = await asyncio.to_thread(self._renewed)
            if served is not None:
                self._current.now = served
                logging.info("a new index is served: %s", described(served))

    def warm(self) -> None:
        """Compiles what requests will need, so that none of them waits for it."""
        for modality, recipe in self._recipes.items():
            for size in SIZES:
                zeros = lambda shape, dtype: np.zeros((size, *shape), dtype)  # noqa: B023
                self._model.embed_rows(modality, _like(recipe, zeros))
        self._warm_searches(self._current.now)

    def close(self) -> None:
        """Ends the threads."""
        self.uploads.close()
        self._batches.close()
        self._filtered.close()

    def _renewed(self) -> Served | None:
        served = self._current.opened()
        if served is not None:
            self._warm_searches(served)
        return served

    def _warm_searches(self, now: Served) -> None:
        now.index.find("")  # makes its table of ids
        for modality in now.counts:  # may load the data of the run
            now.pictures.part(now.index.modalities.index(modality))
        for where in ({}, *({"modality": modality} for modality in now.counts)):
            for size, k in itertools.product(SIZES, KS):
                now.index.search(np.zeros((size, self.size), np.float32), k=k, where=where)

    async def _embeddings(self, now: Served, items: Sequence[Item]) -> list[_Embedding]:
        return await asyncio.gather(*(self._embedding(now, item) for item in items))

    async def _embedding(self, now: Served, item: Item) -> _Embedding:
        """Returns the unit row `[d]` of an item, whether it is known, and its row in the index."""
        if item.kind == "id":
            row = _row_of(now, item)
            return _Embedding(now.index.embeddings[np.array([row])][0], True, row)
        prepared = await self.uploads.row(item)
        embed = functools.partial(self._embed, prepared.modality)
        found = await self._batches.call(("embed", prepared.modality), embed, prepared.items)
        return _Embedding(found * prepared.known, prepared.known, None)

    def _embed(self, modality: str, rows: Sequence[Any]) -> list[np.ndarray]:
        """Embeds rows `[1, ...]`, in calls of few sizes, without a row too much."""
        found, start = [], 0
        while start < len(rows):
            size = next(size for size in reversed(SIZES) if size <= len(rows) - start)
            items = jax.tree.map(lambda *parts: np.concatenate(parts), *rows[start : start + size])
            found.extend(np.asarray(self._model.embed_rows(modality, items), np.float32))
            start += size
        return found

    def _find(
        self, now: Served, where: Any, asked: Sequence[tuple[np.ndarray, int]]
    ) -> list[list[_Hit]]:
        """Searches for queries `([d], k)`, which are filled up to one of few sizes."""
        queries = np.stack([query for query, _ in asked])
        size = next(size for size in SIZES if size >= len(queries))
        queries = np.concatenate([queries, np.zeros((size - len(queries), self.size), np.float32)])
        most = next(k for k in KS if k >= max(k for _, k in asked))
        hits = now.index.search(queries, k=most, where=where)
        columns = zip(hits.rows, hits.ids, hits.modalities, hits.scores, hits.metadata)
        return [
            [_Hit(int(row), *rest) for row, *rest in zip(*(column[:k] for column in columns_of))]
            for (_, k), columns_of in zip(asked, columns)
        ]

    def _told(self, now: Served, hit: _Hit) -> dict[str, Any]:
        """Returns what a client learns of a hit."""
        recipe = self._recipes.get(hit.modality)
        text = picture = None
        if recipe is not None and recipe.kind == "text":
            part = now.pictures.part(hit.row)
            text = part.data if part.kind == "text" else None
        elif recipe is None or recipe.kind != "vector":
            picture = f"/items/{hit.row}?version={now.version}"
        score = round(float(hit.score), 6)
        return {**hit._asdict(), "score": score, "text": text, "picture": picture}


def described(served: Served) -> str:
    """Says what an index holds, `1,500 image, 1,500 text`."""
    return ", ".join(f"{count:,} {shown(name)}" for name, count in served.counts.items())


def _row_of(now: Served, item: Item) -> int:
    """Returns the row of an id.

    Raises:
        RefusedError: 404, there is none; 422, there are several and the modality is not said.
    """
    rows = now.index.find(item.content, item.modality)
    if not len(rows):
        what = f" of {quoted(item.modality)}" if item.modality is not None else ""
        raise RefusedError(404, f"the index has no row with the id {quoted(item.content)}{what}")
    if len(rows) > 1:
        raise RefusedError(
            422, f"the id {quoted(item.content)} has items of several modalities; say of which"
        )
    return int(rows[0])


def _like(recipe: Any, make: Any) -> Any:
    """Makes an array, or a dict of arrays, of the shape and type of a recipe's rows."""
    if isinstance(recipe.shape, Mapping):
        return {name: make(shape, recipe.dtype[name]) for name, shape in recipe.shape.items()}
    return make(recipe.shape, recipe.dtype)
