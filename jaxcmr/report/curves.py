"""The picture of how a run went: losses, validation score and labels over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_NO_LOSS = {"step", "epoch", "steps_per_second", "wait_share", "seconds"}


def draw_curves(history: Sequence[Mapping[str, Any]], best_epoch: int, path: Path) -> None:
    """Draws the loss terms and the validation mAP of `metrics.jsonl`'s records into a PNG.

    Where votes on labels were counted, a third part shows those of the last epoch, for clean and
    for wrong labels.

    Args:
        history: one record an epoch.
        best_epoch: the epoch that is reported; it is marked.
        path: where the picture goes.
    """
    terms = [k for k in history[-1] if k not in _NO_LOSS and not k.startswith(("val_", "labels "))]
    votes = {name: history[-1].get(f"labels votes {name}") for name in ("clean", "wrong")}
    parts = 3 if votes["clean"] else 2
    figure, axes = plt.subplots(1, parts, figsize=(5 * parts, 3.2), layout="constrained")
    left, right = axes[:2]
    epochs = [record["epoch"] for record in history]
    for term in terms:
        style = {"color": "black", "linewidth": 2} if term == "loss" else {}
        left.plot(epochs, [record[term] for record in history], label=term, **style)
    left.set(xlabel="epoch", title="training loss and its terms")
    left.legend(frameon=False)

    shares = [
        k for k, v in history[-1].items() if k.startswith("labels ") and not isinstance(v, list)
    ]
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
    if parts == 3:
        for name, counts in votes.items():
            places = (np.arange(len(counts)) + 0.5) / len(counts)
            axes[2].bar(places, 100 * np.array(counts), 1 / len(counts), alpha=0.5, label=name)
        axes[2].set(xlabel="remembered vote", ylabel="%", title="votes on clean and wrong labels")
        axes[2].legend(frameon=False)
    for part in axes:
        part.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
