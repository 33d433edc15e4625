"""Finds rows of a manifest that share a group, a file or a text, and splits the rows by them."""

import contextlib
import re
import unicodedata
from pathlib import Path

import numpy as np

from jaxcmr.data import heldout
from jaxcmr.data.formats.tables import Table
from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.items.texts import strange
from jaxcmr.data.own import cellfiles, columns
from jaxcmr.errors import UsageError

LOST = 0.1  # share of the test texts without a known word from which on texts are not kept together


def split_rows(table: Table, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Names the split of every row, and says which rows have what in common.

    The split is that of the column `split`, or drawn with `seed` (`heldout.held_out`). Texts that
    are words rather than descriptions, such as one emoji a kind of thing, are not kept together:
    where more than a tenth of the test texts had no word of the training rows for it.

    Returns:
        "train", "validation" or "test" `[N]`; and the links (`heldout.Links`) that tie rows.
    """
    words = texts(table)
    tied = links(table, words)
    named = columns.splits(table)
    if named is not None:
        return named, tied
    labels = columns.labels(table)
    named = heldout.held_out(labels, seed, tied)
    if "text" in tied and (lost := _lost(words, named)) > LOST:
        loose = {name: column for name, column in tied.items() if name != "text"}
        other = heldout.held_out(labels, seed, loose)
        named = other if _lost(words, other) < lost else named
    return named, tied


def _lost(words: list[str], named: np.ndarray) -> float:
    """Returns the share of the test texts that have no word of the training rows."""
    return float(strange(words, named == "train")[named == "test"].mean())


def links(table: Table, words: list[str]) -> dict[str, np.ndarray]:
    """Finds what rows have in common: their `group`, a file by its content, a text of `words`.

    Their names are "group" and those of modalities (`heldout.Links`). Links that tie no rows are
    left out, and those of unreadable files are by their names.
    """
    found = {heldout.GROUP: columns.groups(table)}
    for name in columns.kinds(table):
        if name == "text":
            # Without regard to case and blanks.
            plain = (unicodedata.normalize("NFKC", text).casefold().split() for text in words)
            found[name] = heldout.numbered([" ".join(letters) for letters in plain])
        else:
            cells = columns.items(table, name)
            files = {cell: _file_or_path(table.path.parent, cell) for cell in set(cells)}
            found[name] = cellfiles.same([files[cell] for cell in cells])
    ties = lambda column: len(np.unique(linked := column[column >= 0])) < len(linked)
    return {name: column for name, column in found.items() if ties(column)}


def _file_or_path(folder: Path, cell: str) -> Path | None:
    try:
        return cellfiles.find(folder, cell) if cell else None
    except UsageError:  # raised again when the file is read
        return folder / cell


def texts(table: Table) -> list[str]:
    """Returns the text of every row, "" where there is none; of an unreadable file, its name."""
    if "text" not in columns.kinds(table):
        return [""] * len(table.rows)
    found = columns.items(table, "text")
    for place, cell in enumerate(found):
        with contextlib.suppress(UsageError):  # raised again when the text is read
            found[place] = text_of(table.path.parent, cell)
    return found


def text_of(folder: Path, cell: str) -> str:
    """A cell is the text itself, or the path of a `.txt` file."""
    return read_text(cellfiles.find(folder, cell)) if names_file(cell) else cell


def names_file(cell: str) -> bool:
    """Tells whether a cell of texts is the path of a `.txt` file."""
    return re.search(r"\.txt\s*$", cell, re.IGNORECASE) is not None
