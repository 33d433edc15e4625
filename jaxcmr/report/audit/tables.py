"""`audit.csv`, the most suspect rows first, and the few of them that a command prints."""

from pathlib import Path

import numpy as np

from jaxcmr import display
from jaxcmr.display import padded, shown
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


def most_suspect(table: LabelTable, why: list[str], count: int = 10) -> str:
    """Returns the most suspect of the rows that look wrong as a small table; "" without one."""
    order = table.order[table.looks_wrong[table.order]][:count].tolist()
    if not order:
        return ""
    lines = [("id", "given", "right", "suggested", "why")]
    for row in order:
        names = (str(table.ids[row]), table.name_of(table.given[row]))
        suggested = shown(table.name_of(table.suggested[row]), 20)
        right = f"{100 * table.probability_given[row]:.0f} %"
        lines.append((shown(names[0], 30), shown(names[1], 20), right, suggested, why[row]))
    widths = [max(display.columns(line[at]) for line in lines) for at in range(4)]
    return "\n".join(
        "  ".join((*(padded(cell, width) for cell, width in zip(line, widths)), line[4]))
        for line in lines
    )
