"""Audits finished runs: from their folders to the files of an audit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.report.audit import summary, tables
from jaxcmr.report.audit.combine import combine
from jaxcmr.report.audit.why import reasons
from jaxcmr.report.suspects import suspects_text
from jaxcmr.storage import files
from jaxcmr.workdir import labels
from jaxcmr.workdir.labels import LabelTable

if TYPE_CHECKING:
    from jaxcmr.report.items import Items

CSV, JSON, HTML = "audit.csv", "audit.json", "audit.html"


def audit(workdirs: Sequence[Path], output: Path) -> str:
    """Writes `audit.csv`, `audit.json` and `audit.html` of finished runs, averaged if several.

    A page that cannot be made, as without jinja2, is one line of the log.

    Args:
        workdirs: the folders of the runs.
        output: the folder for the files.

    Returns:
        What to print: counts, the most suspect rows, the paths.

    Raises:
        UsageError: a folder holds no finished run with labels, the runs do not belong together, or
            the output cannot be written.
    """
    if len({folder.resolve() for folder in workdirs}) < len(workdirs):
        raise UsageError("a run is named twice with --workdir, and would count twice; name it once")
    tables.check_free(output / CSV)
    found = [labels.read(folder) for folder in workdirs]
    table = combine(found, [str(folder) for folder in workdirs])
    why, numbers = reasons(table), summary.summarize(table)
    tables.write_audit(table, why, output / CSV)
    files.write_json(output / JSON, numbers)
    written = [CSV, JSON]
    try:
        _write_page(table, why, numbers, workdirs, output / HTML)
        written.append(HTML)
    except UsageError as error:
        logging.warning("no page is written (%s); everything else is there", error)
    paths = "\n".join(f"  {output / name}" for name in written)
    return "\n\n".join(part for part in (suspects_text(table, why), paths) if part)


def _write_page(
    table: LabelTable,
    why: Sequence[str],
    numbers: dict[str, Any],
    workdirs: Sequence[Path],
    path: Path,
) -> None:
    """Writes the page; what a reader should know of its pictures is logged."""
    from jaxcmr.report.audit.page import write_page

    items = _items(workdirs, table)
    counts = write_page(table, why, numbers, items, path)
    for remark in items.remarks():
        logging.warning("%s", remark)
    if counts.rows < len(table):
        logging.info(
            "the page holds the %d most suspect of %d rows; %s has all",
            counts.rows, len(table), CSV,
        )  # fmt: skip


def _items(workdirs: Sequence[Path], table: LabelTable) -> "Items":
    """Returns the items of the runs; all are missing where the folders do not say what they are."""
    from jaxcmr.report.items import Items, open_items

    try:
        return open_items(workdirs, table.ids)
    except UsageError as error:
        return Items(table.ids, table.modalities, None, f"no item can be shown: {error}")
