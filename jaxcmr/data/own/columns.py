"""Reads and checks the columns of a manifest; every error names the line."""

import re
from collections import Counter

import numpy as np
from absl import logging

from jaxcmr.data.formats.tables import Table
from jaxcmr.data.heldout import numbered
from jaxcmr.data.own import names
from jaxcmr.data.own.labelbase import clean, negative_label, without_label
from jaxcmr.data.own.missing import flags, is_missing, strip
from jaxcmr.display import listed, quoted, shown
from jaxcmr.errors import UsageError

# What the items of a column become.
KINDS = {"image": "image", "points": "cloud", "mesh": "cloud", "text": "vector"}
KNOWN = (*names.ROLES, *KINDS, *(f"present_{name}" for name in KINDS))
NAMED = 10  # columns that a message names


def kinds(table: Table) -> dict[str, str]:
    """Returns the modalities that a table has: column -> what its items become.

    Columns of other names, and those that are empty in every row, are none.
    """
    return {name: kind for name, kind in KINDS.items() if any(_cells(table, name))}


def required(table: Table, name: str) -> np.ndarray:
    """Returns the cells `[N]` of a column that every row must fill."""
    cells = _without_words(table, name, "fill it in, leave out the row")
    for cell, (line, _) in zip(cells, table.rows):
        if not cell:
            raise UsageError(
                f"{table.path}, line {line}: the cell {name!r} is missing or empty; fill it in, or "
                "leave out the row"
            )
    return np.array(cells)


def _without_words(table: Table, name: str, advice: str) -> list[str]:
    """Returns the cells of a column, none of them a word that stands for no value, as "nan"."""
    if name not in table.columns:
        raise UsageError(_no_column(table, name))
    cells = [strip(row.get(name, "")) for _, row in table.rows]
    for cell, (line, _) in zip(cells, table.rows):
        if cell and is_missing(cell):
            raise UsageError(
                f"{table.path}, line {line}: the cell {name!r} is {quoted(cell)}, which stands for "
                f"no value; {advice}, or, if this is a name, write it otherwise"
            )
    return cells


def labels(table: Table) -> np.ndarray:
    """Returns the column `label`, "" for none; beside numbers from 0, -1 is none, as in arrays."""
    found = np.array(_without_words(table, "label", "leave it empty if there is no label"))
    none = without_label(clean(found))
    numbers = all(re.fullmatch(r"-?[0-9]+(\.0+)?", text) for text in set(found[~none].tolist()))
    for text, absent, (line, _) in zip(found.tolist(), none, table.rows):
        if numbers and text.startswith("-") and not absent:
            raise negative_label(text, f"{table.path}, line {line}")
    return np.where(none, "", found)


def optional(table: Table, name: str) -> np.ndarray | None:
    """Returns the cells `[N]` of a column that all rows fill, or None if no row does."""
    if not any(_cells(table, name)):
        return None
    return required(table, name)


def ids(table: Table) -> np.ndarray:
    """Returns the column `id`, or else the numbers of the rows in the file."""
    found = optional(table, "id")
    if found is None:
        return np.array([f"{place:06d}" for place in table.places])
    lines: dict[str, int] = {}
    for text, (line, _) in zip(found.tolist(), table.rows):
        if (first := lines.setdefault(text, line)) != line:
            raise UsageError(
                f"{table.path}: the id {quoted(text)} is used twice, in lines {first} and {line}; "
                "ids must be unique"
            )
    return found


def splits(table: Table) -> np.ndarray | None:
    """Returns the column `split` as "train", "validation" or "test", or None if it is empty."""
    found = optional(table, "split")
    if found is None:
        return None
    meant = [names.split(text) for text in found.tolist()]
    if None in meant:
        place = meant.index(None)
        raise UsageError(
            f"{table.path}, line {table.rows[place][0]}: the split {quoted(str(found[place]))} is "
            f"none of {', '.join(names.SPLITS)}"
        )
    return np.array(meant)


def groups(table: Table) -> np.ndarray:
    """Numbers the column `group`: `[N]`, -1 where the cell is empty."""
    return numbered([names.tidy(cell) for cell in _cells(table, "group")])


def items(table: Table, modality: str) -> list[str]:
    """Returns the cells of a modality, "" where the item is missing, checked as a whole.

    An item is missing where its cell is, or where the column `present_<modality>` says so.
    """
    if modality not in table.columns:
        raise UsageError(_no_column(table, modality))
    if modality not in KINDS:
        raise UsageError(
            f"{table.path}: no file type is known for the modality {modality!r}; use "
            f"{', '.join(KINDS)}"
        )
    if not any(_cells(table, modality)):
        raise UsageError(f"{table.path}: the column {modality!r} is empty in every row")
    return cells(table, modality)


def cells(table: Table, modality: str) -> list[str]:
    """Returns the cells of a column of items, "" where the item is missing, as `items` has it."""
    found = _cells(table, modality)
    flagged = f"present_{modality}"
    if flagged in table.columns:
        for place, (line, row) in enumerate(table.rows):
            flag = np.array(row.get(flagged, ""))
            if not flags(flag, f"{table.path}, line {line}: {flagged}"):
                found[place] = ""
    return found


def warn_of_unused(table: Table, used: list[str]) -> None:
    """Logs in one line which columns, and how many rows, are not used."""
    unused = []
    absent = tuple(name for name in KNOWN if name not in table.columns)
    others = [
        shown(name) + names.suggestion(name, absent).replace("; ", " - ")
        for name in table.columns
        if name not in used
    ]
    if others:
        unused.append(f"{_counted(others, 'column')} ({listed(others, NAMED)})")
    if table.empty:
        rows = _counted(table.empty, "row")
        unused.append(f"{rows} without a filled cell (line {table.empty[0]})")
    if unused:
        logging.warning("%s: not used: %s", table.path, ", ".join(unused))


def true_labels(table: Table, labels: np.ndarray) -> np.ndarray | None:
    """Returns the column `true_label`, or None if it is empty; each must be a label of some row."""
    found = optional(table, "true_label")
    if found is None:
        return None
    given = {*clean(np.concatenate([labels, found]))[: len(labels)].tolist()}
    for text, (line, _) in zip(clean(np.concatenate([found, labels])).tolist(), table.rows):
        if text not in given:
            raise UsageError(
                f"{table.path}, line {line}: the true label {quoted(text)} is no row's label; "
                "correct it, or leave out the row"
            )
    return found


def _counted(found: list, what: str) -> str:
    return f"{len(found)} {what}" + ("s" if len(found) > 1 else "")


def _no_column(table: Table, name: str) -> str:
    """Says that a column is missing, and what it may be called, or that there is no header."""
    advice = names.suggestion(name, tuple(table.columns))
    if not advice and not set(table.columns) & set(KNOWN):
        advice = "; the first line must name the columns"
    there = listed([shown(column) for column in table.columns], NAMED)
    return f"{table.path} has no column {name!r}, only {there}{advice}"


def warn_of_missing(table: Table, modality: str) -> None:
    """Logs which words of a modality's column stand for a missing item."""
    words = Counter(strip(row.get(modality, "")) for _, row in table.rows)
    words = {word: count for word, count in words.items() if word and is_missing(word)}
    if words:
        logging.warning(
            "%s: %s in the column %r: a missing item",
            table.path, ", ".join(f"{quoted(w)} ({c} rows)" for w, c in words.items()), modality,
        )  # fmt: skip


def _cells(table: Table, name: str) -> list[str]:
    """Returns the cells of a column, "" where they are missing."""
    cells = [row.get(name, "") for _, row in table.rows]
    return ["" if is_missing(cell) else cell for cell in cells]
