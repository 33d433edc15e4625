"""What the rows of a manifest have in common, so that they are not independent of each other."""

import re
import unicodedata
from pathlib import Path

import numpy as np

from jaxcmr.data import cellfiles, columns, heldout
from jaxcmr.data.tables import Table
from jaxcmr.data.textfiles import read_text
from jaxcmr.errors import UsageError


def links(table: Table) -> dict[str, np.ndarray]:
    """Finds what rows have in common: their `group`, a file by its content, a text.

    Links that tie no rows are left out, and those of unreadable files are by their names.

    Returns:
        `heldout.Links`: "group" or a modality -> `[N]` numbers, -1 for none.
    """
    found = {heldout.GROUP: columns.groups(table)}
    for name in columns.kinds(table):
        cells = columns.items(table, name)
        if name == "text":
            texts = [_text_or_cell(table, cell) for cell in cells]
            found[name] = columns.numbered([_plain(text) for text in texts])
        else:
            found[name] = cellfiles.same([_file_or_path(table, cell) for cell in cells])
    return {name: column for name, column in found.items() if _ties(column)}


def _ties(column: np.ndarray) -> bool:
    numbers = column[column >= 0]
    return len(np.unique(numbers)) < len(numbers)


def _plain(text: str) -> str:
    """Returns a text as it is compared with others: without regard to case and blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _file_or_path(table: Table, cell: str) -> Path | None:
    try:
        return cellfiles.find(table.path.parent, cell) if cell else None
    except UsageError:  # told when the file is needed
        return table.path.parent / cell


def _text_or_cell(table: Table, cell: str) -> str:
    try:
        return text_of(table.path.parent, cell)
    except UsageError:  # told when the text is needed
        return cell


def text_of(folder: Path, cell: str) -> str:
    """A cell is the text itself, or the path of a `.txt` file."""
    is_path = re.search(r"\.txt\s*$", cell, re.IGNORECASE)
    return read_text(cellfiles.find(folder, cell)) if is_path else cell
