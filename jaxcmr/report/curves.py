"""The picture of how a run went: its losses and its validation score over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_NO_LOSS = {"step", "epoch", "steps_per_second", "wait_share", "seconds"}


def draw_curves(history: Sequence[Mapping[str, Any]], best_epoch: int, path: Path) -> None:
    """Draws the loss terms and the validation mAP of `metrics.jsonl`'s records into a PNG.

    Args:
        history: one record an epoch.
        best_epoch: the epoch that is reported; it is marked.
        path: where the picture goes.
    """
    terms = [k for k in history[-1] if k not in _NO_LOSS and not k.startswith(("val_", "labels "))]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    epochs = [record["epoch"] for record in history]
    for term in terms:
        style = {"color": "black", "linewidth": 2} if term == "loss" else {}
        left.plot(epochs, [record[term] for record in history], label=term, **style)
    left.set(xlabel="epoch", title="training loss and its terms")
    left.legend(frameon=False)

    shares = [k for k in history[-1] if k.startswith("labels ")]
    scored = [record for record in history if "val_mAP" in record]
    for name in (*(k for k in history[-1] if k.startswith("val_mAP ")), *shares):
        records = [record for record in history if name in record]
        values = [100 * record[name] for record in records]
        style = "--" if name in shares else "-"
        label = name.removeprefix("val_mAP ").removeprefix("labels ")
        right.plot([record["epoch"] for record in records], values, style, label=label)
    right.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":", label="reported")
    title = "validation mAP, against the noisy labels" if scored else "labels found"
    right.set(xlabel="epoch", ylabel="%", title=title)
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
