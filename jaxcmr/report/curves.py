"""The picture of how a run went: losses, validation score and labels over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxcmr.beliefs.diagnosis import LOG_LIKELIHOODS
from jaxcmr.display import shown_direction
from jaxcmr.report import canvas

_NO_LOSS = {"step", "epoch", "steps_per_second", "wait_share", "seconds"}
History = Sequence[Mapping[str, Any]]


def draw_curves(history: History, best_epoch: int, path: Path) -> None:
    """Draws the records of `metrics.jsonl` into a PNG, a part for each unit.

    The loss terms; the validation mAP and the shares of labels, in per cent; log-likelihoods, in
    nats; and, where votes on labels were counted, those of the last epoch, for clean and for wrong
    labels. A part without a number is left out.

    Args:
        history: one record an epoch.
        best_epoch: the epoch that is reported; it is marked.
        path: where the picture goes.
    """
    found = list(dict.fromkeys(name for record in history for name in record))
    numbers = [name for name in found if any(_is_number(r.get(name)) for r in history)]
    labels = [name for name in numbers if name.startswith("labels ")]
    fits = [name for name in labels if name.removeprefix("labels ") in LOG_LIKELIHOODS]
    shares = [name for name in labels if name not in fits]
    scores = [name for name in numbers if name.startswith("val_mAP ")]
    terms = [n for n in numbers if n not in _NO_LOSS and not n.startswith(("val_", "labels "))]
    votes = {name: history[-1].get(f"labels votes {name}") for name in ("clean", "wrong")}
    votes = {name: counts for name, counts in votes.items() if counts}
    score_title = "validation mAP, by the labels as given" if scores else "labels found"
    if scores and shares:
        score_title += "; dashed: labels found"
    lines = [
        ("training loss and its terms", "", 1, terms),
        (score_title, "%", 100, scores + shares),
        ("log-likelihood of a label", "nats", 1, fits),
    ]
    lines = [line for line in lines if line[-1]]
    parts = len(lines) + bool(votes)
    with canvas.sheet(path, numbers, dpi=110) as figure:
        figure.set_size_inches(6.5 * parts + 2.5 * (_columns(scores + shares) - 1), 3.2)
        axes = figure.subplots(1, parts, squeeze=False)[0]
        for part, (title, unit, factor, names) in zip(axes, lines):
            _draw_lines(part, history, names, factor)
            part.xaxis.set_major_locator(MaxNLocator(integer=True))
            part.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":")
            part.set(xlabel="epoch (dotted: the reported one)", ylabel=unit, title=title)
        if votes:
            _draw_votes(axes[-1], votes)
        for part in axes:
            part.spines[["top", "right"]].set_visible(False)


def _columns(names: Sequence[str]) -> int:
    """Returns how many columns a legend needs."""
    return max(1, -(-len(names) // 14))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _draw_lines(axes: Axes, history: History, names: Sequence[str], factor: float) -> None:
    """Draws one line a name; a score that an epoch does not have is a gap."""
    epochs = [record["epoch"] for record in history]
    handles, shown = [], []
    for name in names:
        values = [record.get(name) for record in history]
        known = [place for place, value in enumerate(values) if _is_number(value)]
        style = {"color": "black", "linewidth": 2} if name == "loss" else {}
        style |= {"linestyle": "--"} if name.startswith("labels ") else {}
        handles += axes.plot(
            [epochs[place] for place in known],
            [factor * values[place] for place in known],
            marker="o" if len(known) == 1 else None,
            **style,
        )
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
