"""Embeds items in blocks: what was embedded before is reused, what cannot be read is left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcmr.errors import UsageError, reason
from jaxcmr.galleries.kept import Kept, Version, version_of
from jaxcmr.galleries.progress import Report

BLOCK = 128  # items: what an interruption can cost
PIECE = 16  # items that are read at once; of one that cannot be read, again one by one

Raw = Path | str  # the path of a file, or the words of a text


class Embedded(NamedTuple):
    """The embeddings of N items of one modality.

    Attributes:
        rows: `[N, d]` float32 unit rows; zeros where nothing is known of an item.
        lost: place of an item that cannot be read -> why, a sentence.
        reused: how many were embedded before.
    """

    rows: np.ndarray
    lost: dict[int, str]
    reused: int


def embed(model: Any, modality: str, raws: Sequence[Raw], kept: Kept, report: Report) -> Embedded:
    """Embeds items, those that are new to `kept`, where each block of them is kept once it is done.

    Args:
        model: a `Model`.
        modality: of the items.
        raws: N of them.
        kept: of the model.
        report: called after each block with how many of the new items are done, and their number.
    """
    rows = np.zeros((len(raws), model.size), np.float32)
    lost, made = {}, 0
    before = kept.recall(modality, raws)
    new = [place for place, row in enumerate(before) if row is None]
    for place, row in enumerate(before):
        if row is not None:
            rows[place] = row
    for start in range(0, len(new), BLOCK):
        block = new[start : start + BLOCK]
        found, count = _embed_block(model, modality, [raws[place] for place in block], kept)
        made += count
        for place, row in zip(block, found):
            if isinstance(row, str):
                lost[place] = row
            else:
                rows[place] = row
        report(start + len(block), len(new))
    return Embedded(rows, lost, len(raws) - made - len(lost))


def _embed_block(
    model: Any, modality: str, raws: list[Raw], kept: Kept
) -> tuple[list[np.ndarray | str], int]:
    """Returns the embedding of each item, or why it cannot be read; and how many are new."""
    versions = [_version(modality, raw) for raw in raws]
    before = iter(kept.find([v.content for v in versions if not isinstance(v, str)]))
    found = [v if isinstance(v, str) else next(before) for v in versions]
    new = [place for place, row in enumerate(found) if row is None]
    items = dict(zip(new, _read(model.preparation, modality, [raws[p] for p in new]), strict=True))
    found = [items.get(place, row) for place, row in enumerate(found)]
    there = [place for place, item in items.items() if not isinstance(item, str)]
    if there:
        stacked = jax.tree.map(lambda *parts: np.concatenate(parts), *(items[p][0] for p in there))
        known = np.concatenate([items[p][1] for p in there])
        rows = np.asarray(model.embed_rows(modality, stacked), np.float32) * known[:, None]
        for place, row in zip(there, rows):
            found[place] = row
    kept.keep((v, row) for v, row in zip(versions, found) if not isinstance(row, str))
    return found, len(there)


def _version(modality: str, raw: Raw) -> Version | str:
    try:
        return version_of(modality, raw)
    except OSError as error:
        return f"{raw} cannot be read ({reason(error)})"


def _read(preparation: Any, modality: str, raws: list[Raw]) -> list[tuple[Any, np.ndarray] | str]:
    """Returns each item as `(items [1, ...], known [1])`, or why it cannot be read."""
    found: list[tuple[Any, np.ndarray] | str] = []
    for start in range(0, len(raws), PIECE):
        piece = raws[start : start + PIECE]
        try:
            found += _parts(preparation.rows(modality, piece))
        except UsageError:
            for raw in piece:
                try:
                    found += _parts(preparation.rows(modality, [raw]))
                except UsageError as error:
                    found.append(str(error))
    return found


def _parts(rows: Any) -> list[tuple[Any, np.ndarray]]:
    """Returns rows `[n, ...]` one by one."""
    part = lambda k: jax.tree.map(lambda array: array[k : k + 1], rows.items)
    return [(part(k), rows.known[k : k + 1]) for k in range(len(rows.known))]
