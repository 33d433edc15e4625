"""Corrections of labels: a table of ids with the class that each row should have, or `drop`."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxcmr.data import cache
from jaxcmr.data.formats.tables import Table, read_table
from jaxcmr.data.own.missing import is_missing
from jaxcmr.data.own.names import suggestion, tidy
from jaxcmr.data.splits import present_rows
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError, named
from jaxcmr.storage.paths import expanded
from jaxcmr.storage.spreadsheet import unsafe
from jaxcmr.types import Dataset, Splits

COLUMNS = ("id", "label")
DROP = "drop"  # the answer for a row that should not be used
NO_ANSWER, DROPPED = -1, -2  # beside the numbers of classes
_WHOLE = re.compile(r"0*([0-9]+)(?:\.0+)?")
Finder = Callable[[str], int | None]  # cell -> the place of the name that it means


def read(path: str) -> Table:
    """Reads a table of corrections, which has the columns `id` and `label`, and perhaps others.

    Raises:
        UsageError: no such file, or one that is no such table.
    """
    file = expanded(path)
    if not file.exists():
        raise UsageError(f"config.data.corrections is {path!r}, but there is no such file")
    table = read_table(file, COLUMNS)
    for name in COLUMNS:
        if name not in table.columns:
            raise UsageError(
                f"{file} has no column {name!r}, only {listed([*map(quoted, table.columns)])}; "
                f"corrections need the columns id and label, which is a class or {DROP!r}"
            )
    return table


def drops(path: str) -> int:
    """Returns how many rows a table of corrections drops; 0 for no table, ""."""
    rows = read(path).rows if path else []
    return sum(tidy(unsafe(row.get("label", ""))) == DROP for _, row in rows)


def answers(table: Table, class_names: Sequence[str], ids: Sequence[str]) -> dict[str, int]:
    """Returns the answer for each id in the table: a class, `DROPPED` or `NO_ANSWER`.

    Args:
        table: from `read`.
        class_names: the K names.
        ids: of all rows that there are.

    Raises:
        UsageError: an id or a class that there is not, or two different answers for one id.
    """
    find_id, find_class = _finder(ids), _finder(class_names)
    answer_of = functools.cache(lambda label: _answer(label, class_names, find_class))
    found: dict[str, int] = {}
    lines: dict[str, int] = {}  # of the answers
    unknown: dict[str, int] = {}
    for line, row in table.rows:
        place = find_id(row.get("id", ""))
        if place is None:
            unknown.setdefault(row.get("id", ""), line)
            continue
        with named(f"{table.path}, line {line}"):
            answer = answer_of(row.get("label", ""))
        name = ids[place]
        before = found.setdefault(name, answer)
        if answer == NO_ANSWER:
            continue
        if before not in (answer, NO_ANSWER):
            first, second = (DROP if k == DROPPED else class_names[k] for k in (before, answer))
            raise UsageError(
                f"{table.path}: the id {quoted(name)} has two answers, {quoted(first)} in line "
                f"{lines[name]} and {quoted(second)} in line {line}; keep one"
            )
        found[name] = answer
        lines.setdefault(name, line)
    if unknown:
        cell, line = next(iter(unknown.items()))
        more = f", and {len(unknown) - 1} more are unknown" if len(unknown) > 1 else ""
        raise UsageError(
            f"{table.path}, line {line}: no row of the data has the id {quoted(cell)}{more}; "
            f"they have ids such as {quoted(ids[0])}"
        )
    return found


def _answer(label: str, class_names: Sequence[str], find_class: Finder) -> int:
    number, drop = find_class(label), tidy(unsafe(label)) == DROP
    if drop and number is not None:
        raise UsageError(
            f"{DROP!r} may mean to drop the row, or the class of this name; rename the class"
        )
    if drop:
        return DROPPED
    if number is not None:
        return number
    if is_missing(label):
        return NO_ANSWER
    near = suggestion(unsafe(label), (*class_names, DROP))
    classes = f"; the classes are {listed([*map(quoted, class_names)], 10)}"
    raise UsageError(f"the label {quoted(label)} is neither a class nor {DROP!r}{near or classes}")


def _finder(names: Sequence[str]) -> Finder:
    """Returns a function that finds which of the names a cell means: its place, or None.

    That is what it was before `spreadsheet.safe`, so that all tables of ours are read as they were
    meant; else the cell itself, or what it was before a program put blanks around it, took the
    zeros from its beginning, or wrote 7 as 7.0.
    """
    known = {name: place for place, name in enumerate(names)}
    wholes: dict[str, list[int]] = {}
    for name, place in known.items():
        if whole := _WHOLE.fullmatch(name):
            wholes.setdefault(whole[1], []).append(place)

    def find(cell: str) -> int | None:
        if (text := unsafe(cell)) in known:
            return known[text]
        plain = tidy(text)
        if found := [name for name in (cell, plain) if name in known]:
            return known[found[0]]
        whole = _WHOLE.fullmatch(plain)
        alike = wholes.get(whole[1], []) if whole else []
        return alike[0] if len(alike) == 1 else None

    return find


def applied(
    path: str, parts: Mapping[str, Dataset]
) -> tuple[dict[str, Dataset], dict[str, np.ndarray]]:
    """Gives the rows that a table of corrections names their labels, and leaves out those it drops.

    A label is that of all modalities. True labels stay. The `provenance` of each part gets the
    entry `corrections`: the table's `path` and `sha256`, and of all parts together how many rows
    are `relabelled`, `confirmed` (they had that label), `dropped` and `unanswered`.

    Args:
        path: of the table.
        parts: "train", "test" and perhaps "validation" -> data set.

    Returns:
        The parts, and of each which of its rows are left, `[N]` bool.

    Raises:
        UsageError: the table cannot be used, or leaves too little of a part.
    """
    table = read(path)
    ids = [name for part in parts.values() for name in part.ids.tolist()]
    found = answers(table, parts["train"].class_names, ids)
    record: dict[str, Any] = {"path": str(table.path), "sha256": cache.sha256(table.path)}
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
            _check_rest(table.path, name, part, left[name])
    logging.info(
        "%s: %d labels are corrected, %d confirmed, %d rows dropped, %d without an answer",
        table.path, *(record[key] for key in ("relabelled", "confirmed", "dropped", "unanswered")),
    )  # fmt: skip
    _check_classes(table.path, parts["train"], left["train"])
    note = lambda part: {**part.provenance, "corrections": record}
    return {n: dataclasses.replace(p, provenance=note(p)) for n, p in left.items()}, kept


def _check_rest(path: Path, name: str, before: Dataset, after: Dataset) -> None:
    """Refuses drops that leave too little of a part."""
    where = "training set" if name == "train" else f"{name} set"
    fewest = 1 if name == "test" else 2
    if len(after) < fewest:
        advice = " or set config.data.validation to 0" if name == "validation" else ""
        raise UsageError(
            f"{path} drops {len(before) - len(after)} of {len(before)} rows of the {where}, which "
            f"needs at least {fewest}; keep more{advice}"
        )
    for modality in before.modalities:
        if present_rows(before, modality).any() and not present_rows(after, modality).any():
            raise UsageError(
                f"{path} drops all rows of the {where} that have an item of the modality "
                f"{quoted(modality)}; keep some, or leave it out of config.data.modalities"
            )


def _check_classes(path: Path, before: Dataset, after: Dataset) -> None:
    """Warns of classes that have no training row any more; one class alone is refused."""
    left = np.unique(after.labels[after.labels >= 0])
    names = [quoted(after.class_names[k]) for k in left]
    if len(left) < 2:
        raise UsageError(
            f"{path} leaves training rows of {names[0] if names else 'no class'} alone; at least "
            "two classes are needed"
        )
    lost = np.setdiff1d(before.labels[before.labels >= 0], left)
    if len(lost):
        names = listed([quoted(before.class_names[k]) for k in lost])
        logging.warning("%s leaves no training row of %s", path, names)


def correct(
    path: str,
    splits: Splits,
    train: Dataset,
    validation: Dataset | None,
    rows: Mapping[str, np.ndarray],
) -> tuple[Splits, Dataset, Dataset | None, dict[str, np.ndarray]]:
    """Applies corrections to the sets of a run, after the noise and the draw of validation rows.

    So noise and split are those of the run whose labels were looked at.

    Args:
        path: of the table; "": there is none, and nothing changes.
        splits: what the source delivers.
        train, validation, rows: from `prepare.prepare`.

    Returns:
        The splits, whose test set is corrected and whose training set has the labels that the
        source delivers; the training set, the validation set and their rows, corrected.
    """
    if not path:
        return splits, train, validation, dict(rows)
    parts = {"train": train, "test": splits.test}
    parts |= {} if validation is None else {"validation": validation}
    left, kept = applied(path, parts)
    chosen = {name: rows[name][kept[name]] for name in parts if len(rows.get(name, ()))}
    noted = dataclasses.replace(splits.train, provenance=left["train"].provenance)
    splits = dataclasses.replace(splits, train=noted, test=left["test"])
    return splits, left["train"], left.get("validation"), {**rows, **chosen}
