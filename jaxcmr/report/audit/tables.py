"""`audit.csv`: the columns of `labels.csv` and the reasons, the most suspect rows first."""

from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError, reading
from jaxcmr.storage.spreadsheet import blocks_of, safe, write_csv
from jaxcmr.workdir.labels import COLUMNS, LabelTable, cells

HEADER = (*COLUMNS, "why")


def check_free(path: Path) -> None:
    """Checks that `write_audit` overwrites nothing but a table of its own.

    Raises:
        UsageError: there is another file, such as one to which columns were added.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; choose another --output")
    if not path.exists():
        return
    with reading(path), open(path, "rb") as file:
        found = file.readline(1000).decode(errors="replace")
    if found.strip().split(",") != list(HEADER):
        raise UsageError(
            f"{path} exists and was changed, or is no audit, and is not overwritten; rename it, or "
            "choose another --output"
        )


def write_audit(table: LabelTable, why: list[str], path: Path) -> None:
    """Writes the columns of `labels.csv` and `why`, the most suspect rows first.

    Args:
        table: N rows.
        why: the reason of each row of the table.
        path: the file.

    Raises:
        UsageError: it cannot be written.
    """
    columns = table.to_dict()

    def block(rows: np.ndarray) -> list[list[str]]:
        return [*cells(columns, rows), [safe(why[row]) for row in rows.tolist()]]

    write_csv(path, HEADER, (block(rows) for rows in blocks_of(table.order)))
