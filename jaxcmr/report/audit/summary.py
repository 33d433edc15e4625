"""What an audit finds, in numbers: the content of `audit.json`.

How good the audit itself is can only be said where the true labels are known; they are used for
nothing else.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.beliefs import error_scores, label_errors
from jaxcmr.report.audit.why import STRANGE
from jaxcmr.report.suspects import cautions
from jaxcmr.types import UNKNOWN
from jaxcmr.workdir.labels import LabelTable

FIRST = (20, 100, 500)  # of the most suspect rows, how many of them are wrong
PAIRS = 100  # of classes that are listed as mixed up


def summarize(table: LabelTable) -> dict[str, Any]:
    """Returns counts, the estimated noise, the classes that are mixed up, and scores.

    Everything is ready for JSON; a number that does not exist is None.
    """
    labelled, wrong = table.labelled, table.looks_wrong
    found = {
        "rows": len(table),
        "labelled": int(labelled.sum()),
        "without_label": int((~labelled).sum()),
        "look_wrong": int(wrong.sum()),
        "none_of_these": int((table.none_of_these >= STRANGE).sum()),
        "out_of_fold": int(table.out_of_fold.sum()),
        "in_sample": int((labelled & ~table.out_of_fold).sum()),
        "note": cautions(table),
        "noise_rate": _noise_rate(table, labelled),
        "classes": [_class(table, label) for label in range(len(table.class_names))],
        "mixed_up": mixed_up(table),
        "transition": {
            "meaning": "rows[k][j] estimates P(given label j | true class k)",
            "classes": list(table.class_names),
            "rows": np.round(table.transition, 6).tolist(),
        },
        "against_true_labels": None if table.true is None else against_true_labels(table),
        "about": dict(table.about),
    }
    return _plain(found)


def mixed_up(table: LabelTable) -> list[dict[str, Any]]:
    """Returns the pairs of classes with the most suspects, at most 100: given, suggested, rows."""
    classes, wrong = len(table.class_names), table.looks_wrong
    pairs = table.given[wrong].astype(np.int64) * classes + table.suggested[wrong]
    codes, counts = np.unique(pairs, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:PAIRS]
    name = lambda label: table.class_names[label]
    return [
        {"given": name(code // classes), "suggested": name(code % classes), "rows": count}
        for code, count in zip(codes[most].tolist(), counts[most].tolist())
    ]


def against_true_labels(table: LabelTable) -> dict[str, Any]:
    """Scores the audit of the rows with a label by their true labels.

    A label is wrong where it is not the true one, also where the item belongs to none of the
    classes. A suggestion is right where it is the true class.
    """
    known = table.true != UNKNOWN
    rows, others = table.labelled & known, ~table.labelled & known
    given, true, suggested = table.given[rows], table.true[rows], table.suggested[rows]
    right, p = given == true, table.probability_given[rows].astype(np.float64)
    wrong, looks, suspicion = ~right, suggested != given, 1 - p
    share = lambda these: float(these.mean()) if these.size else math.nan
    estimate = label_errors.noise_rate(table.probabilities[rows], given)[0]
    first = {f"precision_of_first_{k}": k for k in FIRST if k <= len(p)}
    return {
        "labels": len(p),
        "wrong": int(wrong.sum()),
        "noise_rate": share(wrong),
        "noise_rate_error": estimate - share(wrong),
        "roc_auc": error_scores.roc_auc(suspicion, wrong),
        "average_precision": error_scores.average_precision(suspicion, wrong),
        "precision_at_wrong": _precision(suspicion, wrong, int(wrong.sum())),
        **{name: _precision(suspicion, wrong, k) for name, k in first.items()},
        "precision": share(wrong[looks]),
        "recall": share(looks[wrong]),
        "suggestions_right": share((suggested == true)[looks]),
        "wrong_labels_corrected": share((suggested == true)[wrong]),
        "calibration_error": error_scores.calibration_error(p, right),
        "calibration_error_suggested": error_scores.calibration_error(
            table.probability_suggested[rows], suggested == true
        ),
        "reliability": _reliability(p, right),
        "none_of_these_roc_auc": error_scores.roc_auc(
            table.none_of_these[known], table.true[known] < 0
        ),
        "suggestions_right_without_label": share((table.suggested == table.true)[others]),
    }


def _class(table: LabelTable, label: int) -> dict[str, Any]:
    """Returns what is found of the rows that are given one class, and of those it is said to be."""
    rows = table.given == label
    return {
        "name": table.class_names[label],
        "labelled": int(rows.sum()),
        "look_wrong": int((rows & table.looks_wrong).sum()),
        "suggested": int((table.suggested == label).sum()),
        "noise_rate": _noise_rate(table, rows),
    }


def _noise_rate(table: LabelTable, rows: np.ndarray) -> dict[str, float]:
    """Returns the estimated share of wrong labels among some rows, with its 95 % interval."""
    values = label_errors.noise_rate(table.probabilities[rows], table.given[rows])
    return dict(zip(("rate", "low", "high"), values))


def _precision(suspicion: np.ndarray, wrong: np.ndarray, k: int) -> float:
    return error_scores.precision_at(suspicion, wrong, k) if k else math.nan


def _reliability(probabilities: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Returns the bins that hold rows: of labels this probably right, how many are right."""
    found = error_scores.reliability(probabilities, right)
    columns = (found.edges[:-1], found.edges[1:], found.rows, found.probability, found.share)
    names = ("from", "to", "rows", "mean_probability", "share_right")
    bins = zip(*(column.tolist() for column in columns))
    return [dict(zip(names, values)) for values in bins if values[2]]


def _plain(value: Any) -> Any:
    """Rounds the numbers of a tree to six digits; None for NaN, which is no JSON."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value
