"""Corrections of labels: tables say which class a row should have, or that it should be dropped."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from jaxcmr.data import cache, correction_tables
from jaxcmr.data.correction_tables import DROPPED, NO_ANSWER
from jaxcmr.data.formats.tables import Table
from jaxcmr.data.splits import present_rows
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


def applied(
    names: str, parts: Mapping[str, Dataset]
) -> tuple[dict[str, Dataset], dict[str, np.ndarray]]:
    """Gives the rows that tables of corrections name their labels, and leaves out dropped ones.

    Of answers in several tables the last counts. A label is that of all modalities. True labels
    stay. The `provenance` of each part gets the entry `corrections`: the `files` (path -> SHA-256),
    and of all parts together how many rows are `relabelled`, `confirmed` (they had that label),
    `dropped` and `unanswered`.

    Args:
        names: of the tables, with commas between.
        parts: "train", "test" and perhaps "validation" -> data set.

    Returns:
        The parts, and of each which of its rows are left, `[N]` bool.

    Raises:
        UsageError: a table cannot be used, or too little is left of a part.
    """
    tables = [correction_tables.read(path) for path in correction_tables.paths(names)]
    found = _merged(tables, list(parts.values()))
    record: dict[str, Any] = {"files": {str(t.path): cache.sha256(t.path) for t in tables}}
    record |= {"relabelled": 0, "confirmed": 0, "dropped": 0}
    record["unanswered"] = sum(answer == NO_ANSWER for answer in found.values())
    left, kept = {}, {}
    for name, part in parts.items():
        answer = np.array([found.get(row, NO_ANSWER) for row in part.ids.tolist()], np.int32)
        has_class, kept[name] = answer >= 0, answer != DROPPED
        given = part.labels if part.labels.ndim == 2 else part.labels[:, None]
        labels = np.where(has_class[:, None], answer[:, None], given)
        differs = (labels != given).any(1)
        record["relabelled"] += int(differs.sum())
        record["confirmed"] += int((has_class & ~differs).sum())
        record["dropped"] += int((~kept[name]).sum())
        left[name] = part.with_labels(labels.reshape(part.labels.shape))
        if not kept[name].all():
            left[name] = left[name].rows(np.flatnonzero(kept[name]))
            _check_rest(names, name, part, left[name])
    logging.info(
        "%s: %d labels are corrected, %d confirmed, %d rows dropped, %d without an answer",
        names, *(record[key] for key in ("relabelled", "confirmed", "dropped", "unanswered")),
    )  # fmt: skip
    _check_classes(names, parts["train"], left["train"])
    note = lambda part: {**part.provenance, "corrections": record}
    return {n: dataclasses.replace(p, provenance=note(p)) for n, p in left.items()}, kept


def _merged(tables: Sequence[Table], parts: Sequence[Dataset]) -> dict[str, int]:
    """Returns the last answer for each id; warns of rows that had another label when looked at."""
    class_names = parts[0].class_names
    now: dict[str, int] = {}
    for part in parts:
        labels = part.labels if part.labels.ndim == 1 else np.full(len(part), NO_ANSWER)
        now |= zip(part.ids.tolist(), labels.tolist())
    ids, found = list(now), {}
    for table in tables:
        answers = correction_tables.answers(table, class_names, ids)
        others = [
            name for name, answer in answers.items()
            if answer.given is not None and now[name] not in (answer.given, NO_ANSWER)
        ]  # fmt: skip
        if others:
            name = others[0]
            logging.warning(
                "%s: %d of %d rows have another label than when they were looked at, such as %s "
                "(%s then, %s now); check that ids still name the same rows, and that noise and "
                "earlier corrections are the same",
                table.path, len(others), len(answers), quoted(name),
                quoted(class_names[answers[name].given]), quoted(class_names[now[name]]),
            )  # fmt: skip
        for name, answer in answers.items():
            found.setdefault(name, answer.label)
            if answer.label != NO_ANSWER:
                found[name] = answer.label
            if answer.label >= 0:
                now[name] = answer.label
    return found


def _check_rest(names: str, split: str, before: Dataset, after: Dataset) -> None:
    """Refuses drops that leave too little of a part."""
    where = "training set" if split == "train" else f"{split} set"
    fewest = 1 if split == "test" else 2
    if len(after) < fewest:
        advice = " or set config.data.validation to 0" if split == "validation" else ""
        raise UsageError(
            f"{names} drops {len(before) - len(after)} of {len(before)} rows of the {where}, which "
            f"needs at least {fewest}; keep more{advice}"
        )
    for modality in before.modalities:
        if present_rows(before, modality).any() and not present_rows(after, modality).any():
            raise UsageError(
                f"{names} drops all rows of the {where} that have an item of the modality "
                f"{quoted(modality)}; keep some, or leave it out of config.data.modalities"
            )


def _check_classes(names: str, before: Dataset, after: Dataset) -> None:
    """Warns of classes that have no training row any more; one class alone is refused."""
    left = np.unique(after.labels[after.labels >= 0])
    classes = [quoted(after.class_names[k]) for k in left]
    if len(left) < 2:
        raise UsageError(
            f"{names} leaves training rows of {classes[0] if classes else 'no class'} alone; at "
            "least two classes are needed"
        )
    lost = np.setdiff1d(before.labels[before.labels >= 0], left)
    if len(lost):
        classes = listed([quoted(before.class_names[k]) for k in lost])
        logging.warning("%s leaves no training row of %s", names, classes)


def correct(
    names: str,
    splits: Splits,
    train: Dataset,
    validation: Dataset | None,
    rows: Mapping[str, np.ndarray],
) -> tuple[Splits, Dataset, Dataset | None, dict[str, np.ndarray]]:
    """Applies corrections to the sets of a run, after the noise and the draw of validation rows.

    So noise and split are those of the run whose labels were looked at.

    Args:
        names: of the tables, with commas between; "": there is none, and nothing changes.
        splits: what the source delivers.
        train, validation, rows: from `prepare.prepare`.

    Returns:
        The splits, whose test set is corrected and whose training set has the labels that the
        source delivers; the training set, the validation set and their rows, corrected.
    """
    if not correction_tables.paths(names):
        return splits, train, validation, dict(rows)
    parts = {"train": train, "test": splits.test}
    parts |= {} if validation is None else {"validation": validation}
    left, kept = applied(names, parts)
    chosen = {name: rows[name][kept[name]] for name in parts if len(rows.get(name, ()))}
    noted = dataclasses.replace(splits.train, provenance=left["train"].provenance)
    splits = dataclasses.replace(splits, train=noted, test=left["test"])
    return splits, left["train"], left.get("validation"), {**rows, **chosen}
