"""Audits finished runs: from their folders to the files of an audit."""

from collections.abc import Sequence
from pathlib import Path

from jaxcmr.report.audit import summary, tables
from jaxcmr.report.audit.combine import combine
from jaxcmr.report.audit.why import reasons
from jaxcmr.storage import files
from jaxcmr.workdir import labels

CSV, JSON = "audit.csv", "audit.json"


def audit(workdirs: Sequence[Path], output: Path) -> str:
    """Writes `audit.csv` and `audit.json` of finished runs, averaged if there are several.

    Args:
        workdirs: the folders of the runs.
        output: the folder for the files.

    Returns:
        What to print: counts, the most suspect rows, the paths.

    Raises:
        UsageError: a folder holds no finished run with labels, the runs do not belong together, or
            the output cannot be written.
    """
    tables.check_free(output / CSV)
    found = [labels.read(folder) for folder in workdirs]
    table = combine(found, [str(folder) for folder in workdirs])
    why, numbers = reasons(table), summary.summarize(table)
    tables.write_audit(table, why, output / CSV)
    files.write_json(output / JSON, numbers)
    suspects = tables.most_suspect(table, why)
    paths = "\n".join(f"  {output / name}" for name in (CSV, JSON))
    return "\n\n".join(part for part in (summary.in_words(numbers), suspects, paths) if part)
