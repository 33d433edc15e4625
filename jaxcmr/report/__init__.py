"""Two pictures and a small table of a finished run."""

import shlex
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.report.suspects import suspects_text
from jaxcmr.report.table import result_table

if TYPE_CHECKING:  # reading a finished run needs nothing of the training
    from jaxcmr.train.run import Outcome

__all__ = ["result_table", "write_report"]


def write_report(outcome: "Outcome", workdir: Path) -> str:
    """Draws the pictures of a finished run into its folder; returns the table with the paths.

    The contact sheet shows the first direction that is measured. A picture that cannot
    be drawn is one line of the log: everything else is saved, and the same command draws it again.
    """
    pictures = _pictures(outcome, workdir)
    drawn = [name for name, draw in pictures.items() if _drawn(draw, workdir / name)]
    believed = [] if outcome.labels is None else ["labels.csv", "labels.npz"]
    files = ("result.json", "metrics.jsonl", "noise.npz", "embeddings/", *believed, *drawn)
    texts = [result_table(outcome.result)]
    if outcome.labels is not None and (suspects := suspects_text(outcome.labels)):
        command = f"python launch/audit.py --workdir={shlex.quote(str(workdir))}"
        texts.append(f"{suspects}\n\nto look through them: {command}")
    return "\n\n".join([*texts, "\n".join(f"  {workdir / name}" for name in files)])


def _pictures(outcome: "Outcome", workdir: Path) -> dict[str, Callable[[Path], None]]:
    """Returns what draws each picture, by the name of its file; nothing without matplotlib."""
    from jaxcmr.train.log import read

    try:
        from jaxcmr.report.contact_sheet import draw_contact_sheet
        from jaxcmr.report.curves import draw_curves
    except UsageError as error:
        logging.warning(
            "no picture is drawn (%s); everything else is saved, and the same command draws them",
            error,
        )
        return {}
    result, history = outcome.result, workdir / "metrics.jsonl"
    pictures = {"curves.png": lambda to: draw_curves(read(history), result["best_epoch"], to)}
    not_measured = result["scores"]["not_measured"]
    pairs = [p for p in permutations(outcome.embeddings, 2) if "->".join(p) not in not_measured]
    if pairs:
        pictures["contact_sheet.png"] = lambda to: draw_contact_sheet(
            outcome.test, outcome.embeddings, *pairs[0], to
        )
    return pictures


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
