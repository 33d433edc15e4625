"""Two pictures and a small table of a finished run."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

from absl import logging

from jaxcmr.report.contact_sheet import draw_contact_sheet
from jaxcmr.report.curves import draw_curves
from jaxcmr.report.table import result_table
from jaxcmr.train.log import read
from jaxcmr.train.run import Outcome

__all__ = ["draw_contact_sheet", "draw_curves", "result_table", "write_report"]


def write_report(outcome: Outcome, workdir: Path) -> str:
    """Draws the pictures of a finished run into its folder; returns the table with the paths.

    The contact sheet shows the first direction that is measured. A picture that cannot
    be drawn is one line of the log: everything else is saved, and the same command draws it again.
    """
    result, history = outcome.result, workdir / "metrics.jsonl"
    pictures = {"curves.png": lambda to: draw_curves(read(history), result["best_epoch"], to)}
    not_measured = result["scores"]["not_measured"]
    pairs = [p for p in permutations(outcome.embeddings, 2) if "->".join(p) not in not_measured]
    if pairs:
        pictures["contact_sheet.png"] = lambda to: draw_contact_sheet(
            outcome.test, outcome.embeddings, *pairs[0], to
        )
    drawn = [name for name, draw in pictures.items() if _drawn(draw, workdir / name)]
    files = ("result.json", "metrics.jsonl", "noise.npz", "embeddings/", *drawn)
    return "\n".join([result_table(result), "", *[f"  {workdir / name}" for name in files]])


def _drawn(draw: Callable[[Path], None], path: Path) -> bool:
    """Draws a picture; returns whether that worked."""
    try:
        draw(path)
    except Exception as error:  # any error: a picture is no reason to lose a finished run
        logging.warning(
            "%s could not be drawn (%s: %s); everything else is saved, and the same command draws "
            "it again",
            path.name,
            type(error).__name__,
            (" ".join(str(error).split()) or "no reason given")[:200],
        )
        return False
    return True
