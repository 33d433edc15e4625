"""What people look at after a run: two pictures and a small table."""

from pathlib import Path

from jaxcmr.report.contact_sheet import draw_contact_sheet
from jaxcmr.report.curves import draw_curves
from jaxcmr.report.table import result_table
from jaxcmr.train.log import read
from jaxcmr.train.run import Outcome

__all__ = ["draw_contact_sheet", "draw_curves", "result_table", "write_report"]


def write_report(outcome: Outcome, workdir: Path) -> str:
    """Draws the pictures of a finished run into its folder; returns the table with the paths."""
    draw_curves(
        read(workdir / "metrics.jsonl"), outcome.result["best_epoch"], workdir / "curves.png"
    )
    source, target, *_ = outcome.embeddings
    draw_contact_sheet(
        outcome.test, outcome.embeddings, source, target, workdir / "contact_sheet.png"
    )
    files = ("result.json", "metrics.jsonl", "noise.npz", "embeddings/", "curves.png")
    paths = [f"  {workdir / name}" for name in (*files, "contact_sheet.png")]
    return "\n".join([result_table(outcome.result), "", *paths])
