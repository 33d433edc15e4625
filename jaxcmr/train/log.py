"""The metrics of a run: `metrics.jsonl` for programs, one line an epoch on the screen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxcmr.display import shown_direction
from jaxcmr.storage import files


class MetricsLog:
    """Appends one JSON object a line to `metrics.jsonl`.

    Args:
        path: the file; None: nothing is written.
        epochs: lines of this many epochs are kept; later ones, written by a run that was stopped
            before its checkpoint was complete, are dropped, because they are about to come again.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path | None, epochs: int):
        self._path = path
        if path is None:
            return
        kept = []
        if path.exists() and epochs > 0:
            with files.writing(path):
                text = path.read_text(encoding="utf-8", errors="replace")
            kept = [line for line in text.split("\n") if 1 <= _epoch(line) <= epochs]
        if len(kept) < epochs:
            logging.warning("%s has lost the lines of %d epochs", path, epochs - len(kept))
        files.write_text(path, "".join(line + "\n" for line in kept))

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a record."""
        if self._path is not None:
            with files.writing(self._path), self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the records of a `metrics.jsonl`."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def means(terms: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Averages loss terms `[steps, E]` over steps and living members, whose loss is finite."""
    living = np.isfinite(terms["loss"])
    return {
        name: float((values if living.all() else values[living]).mean())
        for name, values in terms.items()
    }


def log_progress(line: Mapping[str, Any], epochs: int, left: float) -> None:
    """Logs the progress of the run in one line; `left` is in seconds."""
    quiet = {"step", "epoch", "steps_per_second", "wait_share"}
    terms = {
        k.removeprefix("labels "): v
        for k, v in line.items()
        if k not in quiet and not k.startswith("val_") and not isinstance(v, list)
    }
    losses = [f"{k} {v:.3f}" for k, v in sorted(terms.items(), key=lambda term: term[0] != "loss")]
    scores = [
        f"{shown_direction(k.removeprefix('val_mAP '))} {'-' if v is None else f'{100 * v:.1f}'}"
        for k, v in line.items()
        if k.startswith("val_mAP ")
    ]
    waited = f" ({line['wait_share']:.0%} waiting)" if "wait_share" in line else ""
    minutes, seconds = divmod(round(left), 60)
    logging.info(
        "epoch %d/%d  %s%s  %.1f steps/s%s  %d:%02d left",
        line["epoch"],
        epochs,
        "  ".join(losses),
        f"  val mAP {', '.join(scores)}" if scores else "",
        line["steps_per_second"],
        waited,
        minutes,
        seconds,
    )


def _epoch(line: str) -> float:
    """Returns the epoch of a line; infinity for one that was cut short or damaged."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")
