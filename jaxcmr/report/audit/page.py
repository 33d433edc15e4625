"""`audit.html`: the suspects as cards to decide on, and what was found in figures; one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcmr.report.audit import figures
from jaxcmr.report.audit.columns import chosen, columns
from jaxcmr.report.audit.embedded import Embedded, embed
from jaxcmr.report.pages.page import data_json, render, share
from jaxcmr.storage import files
from jaxcmr.workdir.labels import LabelTable

if TYPE_CHECKING:  # who draws items needs much that a page does not
    from jaxcmr.report.items import Items

BYTES = 23_500_000  # of columns, pictures and texts together; the file stays below 25 MB
FIRST = 50  # suspects that are listed without JavaScript
FIRST_BYTES = 1_000_000  # of their pictures and texts, which are in the page twice
MIXED_UP = 12  # pairs of classes in the table
_SCORES = {
    "wrong": "labels that are wrong",
    "roc_auc": "area under the ROC curve",
    "average_precision": "average precision",
    "precision_of_first_20": "wrong among the first 20",
    "precision_of_first_100": "wrong among the first 100",
    "precision_of_first_500": "wrong among the first 500",
    "precision": "wrong among those that look wrong",
    "recall": "wrong labels that look wrong",
    "suggestions_right": "suggestions that are right",
    "calibration_error": "calibration error",
}


class PageCounts(NamedTuple):
    """What a page holds.

    Attributes:
        rows: number of rows of the table, the most suspect ones.
        with_items: of how many of them pictures and texts are in the page.
        missing: how many pictures and texts of these are missing or cannot be read.
    """

    rows: int
    with_items: int
    missing: int


def write_page(
    table: LabelTable, why: Sequence[str], summary: Mapping[str, Any], items: "Items", path: Path
) -> PageCounts:
    """Writes the page, a file below 25 MB that loads nothing.

    Args:
        table: N rows.
        why: the reason of each row of the table.
        summary: from `summarize`.
        items: gives pictures and texts of rows of the table.
        path: the file.

    Raises:
        UsageError: jinja2 is not installed, or the file cannot be written.
    """
    rows = chosen(table, why)
    known = columns(table, why, rows)
    embedded = embed(table, rows, items, BYTES - len(data_json(known)))
    counts = PageCounts(len(rows), len(embedded.items), embedded.missing)
    text = render(
        "audit/audit.html.jinja",
        source=_source(summary["about"], len(table)),
        summary=summary,
        counts=counts,
        remarks=items.remarks(),
        columns=known,
        items=embedded.items,
        first=_first(table, why, rows, embedded),
        noisiest=figures.noisiest(summary["classes"]),
        most_mixed=figures.most_mixed(summary["transition"]),
        mixed_up=_numbered(summary["mixed_up"][:MIXED_UP], table.class_names),
        scores=_scores(summary["against_true_labels"]),
    )
    files.write_text(path, text)
    return counts


def _source(about: Mapping[str, Any], rows: int) -> str:
    """Says in a few words what was audited, as far as that is known."""
    name = about.get("data", {}).get("name")
    runs = f"{len(about['runs'])} runs" if "runs" in about else ""
    members = f"{about['members']} members" if about.get("members", 1) > 1 else ""
    made = ", ".join(part for part in (about.get("method"), runs, members) if part)
    return f"{rows:,} rows" + (f" of {name}" if name else "") + (f", by {made}" if made else "")


def _first(
    table: LabelTable, why: Sequence[str], rows: np.ndarray, embedded: Embedded
) -> list[dict[str, Any]]:
    """Returns the suspects that are listed without JavaScript."""
    places = np.flatnonzero(table.looks_wrong[rows])[:FIRST].tolist()
    parts = [embedded.items.get(place, []) for place in places]
    fitting = np.cumsum([len(data_json(each)) for each in parts]) <= FIRST_BYTES
    return [
        {
            "id": str(table.ids[row]),
            "given": table.name_of(table.given[row]),
            "suggested": table.name_of(table.suggested[row]),
            "probability_given": float(table.probability_given[row]),
            "probability_suggested": float(table.probability_suggested[row]),
            "why": why[row],
            "parts": each if fits else [],
        }
        for each, fits, row in zip(parts, fitting, rows[places].tolist())
    ]


def _numbered(pairs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Adds the numbers of the two classes to each pair."""
    number = {name: label for label, name in enumerate(names)}
    return [
        pair | {"numbers": (number[pair["given"]], number[pair["suggested"]])} for pair in pairs
    ]


def _scores(truth: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the scores against the true labels in words."""
    found = {text: truth[name] for name, text in _SCORES.items() if name in (truth or {})}
    exact = {"area under the ROC curve", "average precision", "calibration error"}

    def written(text: str, value: float | None) -> str:
        if value is None or isinstance(value, int):
            return "unknown" if value is None else f"{value:,}"
        return f"{value:.3f}" if text in exact else share(value)

    return {text: written(text, value) for text, value in found.items()}
