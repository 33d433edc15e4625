"""The rows of an audited run and of its baseline, and what every way says of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import audit_methods
import numpy as np
from audit_methods import Answer
from audit_scores import AUDIT, BASELINE, CLEANLAB, JUDGE, REGRESSION

from jaxcmr.beliefs.error_scores import Reliability, reliability
from jaxcmr.errors import UsageError
from jaxcmr.types import UNKNOWN
from jaxcmr.workdir import labels
from jaxcmr.workdir.labels import LabelTable


class Compared(NamedTuple):
    """The N rows of a run that have a label, and whose true label is known.

    Attributes:
        folder: of the run.
        ids: `[N]` str.
        given, true: `[N]` int labels; true is -1 for an item of no class.
        probabilities: `[N, K]` the run's posteriors.
        baseline: `[N, K]` raw cross-validated probabilities of cross-entropy, or None.
    """

    folder: Path
    ids: np.ndarray
    given: np.ndarray
    true: np.ndarray
    probabilities: np.ndarray
    baseline: np.ndarray | None


def read(folder: Path, baseline: Path | None) -> Compared:
    """Reads the tables of a run and of its baseline.

    Raises:
        UsageError: a table cannot be read, the true labels are not known, or the two runs have
            other rows, labels or classes; or the baseline is not cross-validated.
    """
    table = labels.read(folder)
    if table.true is None:
        raise UsageError(
            f"the true labels of the run in {folder} are not known, so that nothing can be scored; "
            "name a run on data with true_labels, or with noise that was put in"
        )
    rows = np.flatnonzero(table.labelled & (table.true != UNKNOWN))
    raw = None if baseline is None else _baseline(baseline, table, rows, folder)
    return Compared(
        folder, table.ids[rows], table.given[rows], table.true[rows], table.probabilities[rows], raw
    )


def _baseline(folder: Path, audited: LabelTable, rows: np.ndarray, run: Path) -> np.ndarray:
    """Returns the raw probabilities of the baseline for the rows of an audited table."""
    table = labels.read(folder)
    place = {name: row for row, name in enumerate(table.ids.tolist())}
    missing = [name for name in audited.ids[rows].tolist() if name not in place]
    if table.class_names != audited.class_names:
        raise UsageError(f"{folder} and {run} have different classes; name runs on the same data")
    if missing:
        raise UsageError(
            f"the run in {folder} has no row {missing[0]!r}, which {run} has (and {len(missing)} "
            "in all); name runs on the same data"
        )
    theirs = np.array([place[name] for name in audited.ids[rows].tolist()])
    other = np.flatnonzero(table.given[theirs] != audited.given[rows])
    if len(other):
        raise UsageError(
            f"{len(other)} labels of {folder} and {run} differ, as of {audited.ids[rows][other[0]]}"
            "; name runs on the same labels"
        )
    if not table.out_of_fold[theirs].all():
        raise UsageError(
            f"the run in {folder} was taught the labels that it judges; train it with "
            "--config.audit.folds=5"
        )
    if table.raw_predictions is None:
        raise UsageError(
            f"the table in {folder} has no predictions from before calibration; start the command "
            "of the run again, which writes them without training again"
        )
    return table.raw_predictions[theirs].astype(np.float64)


def predictions(compared: Compared, with_regression: bool) -> dict[str, np.ndarray]:
    """Returns the cross-validated probabilities `[N, K]` of the other models, by their names."""
    found = {} if compared.baseline is None else {BASELINE: compared.baseline}
    if with_regression and "scikit-learn" not in audit_methods.MISSING:
        matrices, classes = vectors(compared.folder, compared.ids), compared.probabilities.shape[1]
        if matrices:
            found[REGRESSION], strength = audit_methods.logistic_regression(
                matrices, compared.given, classes
            )
            print(f"{compared.folder}: {REGRESSION} with C = {strength:g}", flush=True)
    return found


def answers(compared: Compared, others: Mapping[str, np.ndarray]) -> dict[str, Answer]:
    """Returns what every way says, by its name; `AUDIT` comes first.

    Args:
        compared: the rows.
        others: `predictions`.
    """
    given = compared.given
    found = {AUDIT: audit_methods.by_posterior(compared.probabilities, given)}
    for source, probabilities in others.items():
        found[f"{JUDGE} on {source}"] = audit_methods.by_judge(probabilities, given)
        if "cleanlab" not in audit_methods.MISSING:
            theirs = audit_methods.by_cleanlab(probabilities, given)
            found |= {f"{CLEANLAB} on {source}, {way}": answer for way, answer in theirs.items()}
    return found


def vectors(folder: Path, ids: np.ndarray) -> list[np.ndarray]:
    """Returns a run's items, standardized, a matrix `[N, D]` a modality; [] if some are others.

    Raises:
        UsageError: the data of the run are not there any more, or are others.
    """
    from ml_collections import ConfigDict

    from jaxcmr import data

    config = ConfigDict(json.loads((folder / "config.json").read_bytes())).data
    splits = data.load(config)
    parts = [part for part in (splits.train, splits.validation) if part is not None]
    items = [part.inputs for part in parts]
    if any(getattr(x, "ndim", 0) != 2 for inputs in items for x in inputs.values()):
        return []
    place = {name: row for row, name in enumerate(np.concatenate([p.ids for p in parts]).tolist())}
    if lost := [name for name in ids.tolist() if name not in place]:
        raise UsageError(f"the data of {folder} have no row {lost[0]!r} any more; put them back")
    rows = np.array([place[name] for name in ids.tolist()])
    found = []
    for name in splits.train.modalities:
        matrix = np.concatenate([np.asarray(inputs[name]) for inputs in items])[rows]
        there = [part.present.get(name, np.ones(len(part), bool)) for part in parts]
        found.append(audit_methods.standardized(matrix, np.concatenate(there)[rows]))
    return found


def reliabilities(compared: Compared, others: Mapping[str, np.ndarray]) -> dict[str, Reliability]:
    """Returns how often the likeliest class is right, by its probability: of us and the others."""
    models = {AUDIT: compared.probabilities, **others}
    return {
        name: reliability(np.minimum(p.max(1), 1.0), p.argmax(1) == compared.true)
        for name, p in models.items()
    }
