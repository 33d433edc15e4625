"""How good an answer about wrong labels is, by the true ones, and the tables that say so."""

from collections.abc import Mapping

import numpy as np
from audit_methods import Answer

from jaxcmr.beliefs import error_scores

# Columns in which more is not better by itself.
NEUTRAL = ("precision", "recall", "noise rate")
LOWER_IS_BETTER = ("noise rate error", "ECE", "ECE given")
FIRST = (20, 100, 500)
AUDIT, JUDGE, CLEANLAB = "audit", "our judge", "cleanlab"  # what names of answers begin with
SOURCES = BASELINE, REGRESSION = ("the baseline", "logistic regression")  # of its predictions
Rows = Mapping[str, Mapping[str, float]]


def measures(answer: Answer, given: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Scores an answer.

    Of the ranking: AUROC, average precision (AP), and the precision among the first rows, among as
    many as there are wrong labels (`P@errors`). Of the flagged rows: precision, recall and F1.
    `named` is the share of wrong labels for which the likeliest other class is the true one,
    `right` the share of all rows whose label is right after the corrections. The expected
    calibration error (ECE) is that of `probability_suggested`, and `ECE given` that of
    `probability_given`.

    Args:
        answer: on N rows.
        given: `[N]` labels.
        true: `[N]`, -1 for an item of no class.
    """
    wrong, right = given != true, answer.suggested == true
    hits, flagged = int((answer.flagged & wrong).sum()), int(answer.flagged.sum())
    precision = lambda k: error_scores.precision_at(answer.scores, wrong, k)
    share = lambda of, rows: float(of[rows].mean()) if rows.any() else float("nan")
    return {
        "AUROC": error_scores.roc_auc(answer.scores, wrong),
        "AP": error_scores.average_precision(answer.scores, wrong),
        "P@errors": precision(max(int(wrong.sum()), 1)),
        **{f"P@{k}": precision(k) for k in FIRST},
        "precision": share(wrong, answer.flagged),
        "recall": share(answer.flagged, wrong),
        "F1": 2 * hits / max(int(wrong.sum()) + flagged, 1),
        "named": share(answer.other == true, wrong),
        "right": float(right.mean()),
        "noise rate": answer.noise_rate,
        "noise rate error": abs(answer.noise_rate - float(wrong.mean())),
        "ECE": _calibration(answer.probability_suggested, right),
        "ECE given": _calibration(answer.probability_given, ~wrong),
    }


def _calibration(probability: np.ndarray, came_true: np.ndarray) -> float:
    return error_scores.calibration_error(np.clip(probability, 0, 1), came_true)


def best(rows: Rows, begin: str) -> dict[str, float]:
    """Returns the best number of each column among the rows whose names begin so; {} of none."""
    chosen = [row for name, row in rows.items() if name.startswith(begin)]
    columns = [column for column in (chosen[0] if chosen else ()) if column not in NEUTRAL]
    found = {}
    for column in columns:
        values = [row[column] for row in chosen if not np.isnan(row[column])]
        found[column] = (min if column in LOWER_IS_BETTER else max)(values, default=float("nan"))
    return found


def summary(tables: Mapping[str, Rows]) -> dict[str, dict[str, float]]:
    """Returns our row of each data set, and below it the best numbers of all of cleanlab's ways."""
    found = {}
    for name, rows in tables.items():
        found[f"{name}: {AUDIT}"] = best(rows, AUDIT)
        for source in SOURCES:
            if numbers := best(rows, f"{CLEANLAB} on {source}"):
                found[f"{name}: best of {CLEANLAB} on {source}"] = numbers
    return found


def markdown(rows: Rows, title: str) -> str:
    """Returns a table: a line a row, numbers in three digits behind the point."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [_shown(row.get(column, np.nan)) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}".removeprefix("0")


def without_nan(rows: Rows) -> dict[str, dict[str, float | None]]:
    """Returns the rows ready for JSON, which has no NaN: null."""
    return {
        name: {column: None if np.isnan(value) else value for column, value in row.items()}
        for name, row in rows.items()
    }
