"""Which pictures and texts the page of an audit holds: those that are shown first."""

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxcmr.report.audit.columns import NEIGHBORS
from jaxcmr.report.pages.page import data_json
from jaxcmr.workdir.labels import LabelTable

if TYPE_CHECKING:  # who draws items needs much that a page does not
    from jaxcmr.report.items import Items

MOST_ITEMS = 3000
SECONDS = 6.0  # for large photographs: some hundred are decoded in a second
WITH_NEIGHBORS = 96  # so many rows are shown with the pictures of their neighbors
_BATCH = 64  # items that are read at once


class Embedded(NamedTuple):
    """Items by their place in the page, and how many of their parts are missing.

    Attributes:
        items: place -> a `{"modality", "kind", "data", "note"}` a modality; the data of a picture
            are an address `data:...`.
        missing: number of the parts of which there is only a note.
    """

    items: dict[int, list[dict[str, str]]]
    missing: int


def embed(table: LabelTable, rows: np.ndarray, items: "Items", budget: int) -> Embedded:
    """Reads items, the most suspect first, as many as an audit has room and time for.

    These are `MOST_ITEMS`, what `budget` bytes hold, and what is begun within `SECONDS`.

    Args:
        table: N rows.
        rows: those that the page holds, in its order.
        items: gives their pictures and texts.
        budget: bytes of the page that they may take.
    """
    places = _reading_order(table, rows)[:MOST_ITEMS]
    found: dict[int, list[dict[str, str]]] = {}
    left, end = budget, time.monotonic() + SECONDS
    for start in range(0, len(places), _BATCH):
        if start and time.monotonic() > end:
            break
        batch = places[start : start + _BATCH]
        for place, parts in zip(batch, items.of(rows[batch])):
            written = [part.for_page() for part in parts]
            left -= len(data_json({str(place): written}))
            if left < 0:
                return Embedded(found, _missing(found))
            found[int(place)] = written
    return Embedded(found, _missing(found))


def _reading_order(table: LabelTable, rows: np.ndarray) -> np.ndarray:
    """Returns places in the page: the first rows, their neighbors, and then all others."""
    first = min(WITH_NEIGHBORS, len(rows))
    places = np.full(len(table), -1)
    places[rows] = np.arange(len(rows))
    near = table.neighbors[rows[:first], :NEIGHBORS]
    near = places[near[near >= 0]]
    order = np.concatenate([np.arange(first), near[near >= 0], np.arange(first, len(rows))])
    return order[np.sort(np.unique(order, return_index=True)[1])]


def _missing(found: dict[int, list[dict[str, str]]]) -> int:
    return sum(part["kind"] == "missing" for parts in found.values() for part in parts)
