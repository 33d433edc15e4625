"""The picture of how a run went: losses, validation score and labels over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.beliefs.diagnosis import LOG_LIKELIHOODS
from jaxcmr.display import shown_direction
from jaxcmr.report import canvas  # before matplotlib, which it imports with care

# isort: split
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

_NO_LOSS = {"step", "epoch", "steps_per_second", "wait_share", "seconds"}
History = Sequence[Mapping[str, Any]]


def draw_curves(history: History, best_epoch: int, path: Path) -> None:
    """Draws the records of `metrics.jsonl` into a PNG, one panel a unit.

    The loss terms; the validation mAP and the shares of labels, in per cent; log-likelihoods, in
    nats; and, where votes on labels were counted, those of the last epoch, for clean and for wrong
    labels. A panel without a number is left out.

    Args:
        history: one record an epoch.
        best_epoch: the reported epoch, which is marked.
        path: file of the picture.
    """
    names = dict.fromkeys(name for record in history for name in record)
    names = [name for name in names if any(_is_number(record.get(name)) for record in history)]
    labels = [name for name in names if name.startswith("labels ")]
    fits = [name for name in labels if name.removeprefix("labels ") in LOG_LIKELIHOODS]
    shares = [name for name in labels if name not in fits]
    scores = [name for name in names if name.startswith("val_mAP ")]
    terms = [n for n in names if n not in _NO_LOSS and not n.startswith(("val_", "labels "))]
    votes = {name: history[-1].get(f"labels votes {name}") for name in ("clean", "wrong")}
    votes = {name: counts for name, counts in votes.items() if counts}
    score_title = "validation mAP, by the labels as given" if scores else "labels found"
    if scores and shares:
        score_title += "; dashed: labels found"
    panels = [
        ("training loss and its terms", "", 1, terms),
        (score_title, "%", 100, scores + shares),
        ("log-likelihood of a label", "nats", 1, fits),
    ]
    panels = [panel for panel in panels if panel[-1]]
    count = len(panels) + bool(votes)
    with canvas.sheet(path, names, dpi=110) as figure:
        figure.set_size_inches(6.5 * count + 2.5 * (_columns(scores + shares) - 1), 3.2)
        axes = figure.subplots(1, count, squeeze=False)[0]
        for panel, (title, unit, factor, lines) in zip(axes, panels):
            _draw_lines(panel, history, lines, factor)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":")
            panel.set(xlabel="epoch (dotted: the reported one)", ylabel=unit, title=title)
        if votes:
            _draw_votes(axes[-1], votes)
        for panel in axes:
            panel.spines[["top", "right"]].set_visible(False)


def _columns(names: Sequence[str]) -> int:
    """Returns how many columns a legend needs."""
    return max(1, -(-len(names) // 14))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _draw_lines(axes: Axes, history: History, names: Sequence[str], factor: float) -> None:
    """Draws one line a name; a score that an epoch does not have is a gap."""
    handles, shown = [], []
    for name in names:
        known = [record for record in history if _is_number(record.get(name))]
        style = {"color": "black", "linewidth": 2} if name == "loss" else {}
        style |= {"linestyle": "--"} if name.startswith("labels ") else {}
        style |= {"marker": "o"} if len(known) == 1 else {}
        epochs = [record["epoch"] for record in known]
        handles += axes.plot(epochs, [factor * record[name] for record in known], **style)
        short = name.removeprefix("labels ").removeprefix("val_mAP ")
        shown.append(shown_direction(short) if name.startswith("val_mAP ") else short)
    canvas.legend(
        axes, handles, shown, loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=_columns(names)
    )


def _draw_votes(axes: Axes, votes: Mapping[str, Sequence[float]]) -> None:
    """Draws which shares of clean and wrong labels have votes in each tenth of [0, 1]."""
    bars = []
    for counts in votes.values():
        places = (np.arange(len(counts)) + 0.5) / len(counts)
        bars.append(axes.bar(places, 100 * np.array(counts), 1 / len(counts), alpha=0.5))
    axes.set(xlabel="remembered vote", ylabel="%", title="votes on clean and wrong labels")
    canvas.legend(axes, bars, list(votes))
