"""Cells that a spreadsheet takes for text, whatever they begin with.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to many
programs. A `'` in front makes it text; one that the text itself begins with is doubled, so that
every text comes back as it was.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxcmr.storage import files

MARK = "'"
STARTS = ("=", "+", "-", "@", "\t", "\r", MARK)
BLOCK = 20_000  # rows whose cells are made at once: a million rows fit into the memory


def safe(text: str) -> str:
    """Returns a cell that is text in every spreadsheet.

    Example:
        >>> safe("=SUM(A1)"), safe("chair")
        ("'=SUM(A1)", 'chair')
    """
    return MARK + text if text.startswith(STARTS) else text


def unsafe(cell: str) -> str:
    """Returns the text that `safe` made a cell of."""
    return cell[1:] if cell.startswith(MARK) and cell[1:].startswith(STARTS) else cell


def write_csv(path: Path, header: Sequence[str], blocks: Iterable[Iterable[Sequence[str]]]) -> None:
    """Writes a CSV file, whole or not at all.

    Args:
        path: the file.
        header: the names of the columns.
        blocks: of rows, each as its columns; texts are `safe`.

    Raises:
        UsageError: it cannot be written.
    """

    def write(file: io.RawIOBase) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(header)
        for columns in blocks:
            writer.writerows(zip(*columns, strict=True))
        text.flush()
        text.detach()

    files.write_atomically(path, write)


def blocks_of(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the rows in blocks of `BLOCK`."""
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
