"""Finds the file, or the words, behind rows of a run whose data are a manifest."""

import json
from collections.abc import Sequence
from pathlib import Path

from jaxcmr.data.cache import sha256
from jaxcmr.data.formats import tables
from jaxcmr.data.own import cellfiles, columns, rowlinks
from jaxcmr.errors import UsageError
from jaxcmr.workdir import folder


def of_rows(workdir: Path, rows: Sequence[tuple[str, str]]) -> list[str | None]:
    """Returns the path or the words of each row (id, modality); None where they are not known.

    They are known if the run's manifest is still what it was.

    Raises:
        UsageError: the folder holds no run.
    """
    path = Path(folder.read_data_config(workdir).path)
    if path.suffix.lower() not in tables.SUFFIXES or not _as_it_was(workdir, path):
        return [None] * len(rows)
    table = tables.read_table(path, columns.KNOWN)
    cells = {name: row for name, (_, row) in zip(columns.ids(table).tolist(), table.rows)}
    return [_source(path.parent, cells.get(name, {}).get(m, ""), m) for name, m in rows]


def _as_it_was(workdir: Path, path: Path) -> bool:
    try:
        provenance = json.loads((workdir / "result.json").read_bytes())["data"]
        return provenance["sha256"] == sha256(path)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _source(place: Path, cell: str, modality: str) -> str | None:
    if modality == "text":
        try:
            return rowlinks.text_of(place, cell) or None
        except UsageError:  # its file is gone
            return None
    file = cellfiles.look(place, cell) if cell else None
    return None if file is None else str(file)
