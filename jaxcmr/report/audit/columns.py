"""What the page of an audit knows of its rows: columns, for a file of bounded size.

A row is named by its place in the page, the most suspect row being 0.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcmr.report.pages.page import data_json
from jaxcmr.workdir.labels import LabelTable

MOST_ROWS = 100_000
BYTES = 14_000_000  # of all columns; fewer rows, if theirs are longer
NEIGHBORS = 5  # a row
_NUMBERS = 90  # bytes of a row beside its id and its reason, at most
_SHARE = 10_000  # a probability is a whole number of these parts


def chosen(table: LabelTable, why: Sequence[str]) -> np.ndarray:
    """Returns the rows of the table that the page holds, the most suspect first.

    They are as many as `MOST_ROWS` and `BYTES` allow.
    """
    rows = table.order[:MOST_ROWS]
    written: set[str] = set()  # a reason is written once
    sizes = []
    for row in rows.tolist():
        texts = [table.ids[row]] if why[row] in written else [table.ids[row], why[row]]
        written.update(texts[1:])
        sizes.append(_NUMBERS + sum(map(_size, texts)))
    return rows[: np.searchsorted(np.cumsum(sizes), BYTES, side="right")]


def columns(table: LabelTable, why: Sequence[str], rows: np.ndarray) -> dict[str, Any]:
    """Returns the columns of these rows, ready for JSON.

    A class is its number, -1 without one. Probabilities are ten-thousandths. A neighbor is its
    place in the page, or, where it is not in the page, `-2 - its given label`.
    """
    texts = {text: number for number, text in enumerate(dict.fromkeys(why[row] for row in rows))}
    places = np.full(len(table), -1)
    places[rows] = np.arange(len(rows))
    return {
        "fingerprint": fingerprint(table),
        "classes": list(table.class_names),
        "total": len(table),
        "id": [str(table.ids[row]) for row in rows],
        "given": table.given[rows].tolist(),
        "suggested": table.suggested[rows].tolist(),
        "probability_given": _parts(table.probability_given[rows]),
        "probability_suggested": _parts(table.probability_suggested[rows]),
        "agreement": _parts(table.agreement[rows]),
        "none_of_these": _parts(table.none_of_these[rows]),
        "out_of_fold": table.out_of_fold[rows].astype(int).tolist(),
        "validation": (table.split[rows] == "validation").astype(int).tolist(),
        "true": None if table.true is None else table.true[rows].tolist(),
        "why": [texts[why[row]] for row in rows],
        "reasons": list(texts),
        "neighbors": _neighbors(table, rows, places),
    }


def fingerprint(table: LabelTable) -> str:
    """Returns a name of what is believed of which labels: two audits do not share it."""
    digest = hashlib.sha256(json.dumps([table.ids.tolist(), table.class_names]).encode())
    for array in (table.given, table.probabilities):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:24]


def _neighbors(table: LabelTable, rows: np.ndarray, places: np.ndarray) -> list[list[int]]:
    near = table.neighbors[rows, :NEIGHBORS]
    named = np.where(places[near] >= 0, places[near], -2 - table.given[near])
    return [line[there].tolist() for line, there in zip(named, near >= 0)]


def _parts(values: np.ndarray) -> list[int]:
    return np.where(np.isnan(values), -1, np.rint(_SHARE * values)).astype(int).tolist()


def _size(text: str) -> int:
    return len(data_json(str(text))) + 1
