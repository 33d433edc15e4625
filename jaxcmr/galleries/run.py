"""Makes a gallery of the rows that a run has embedded itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.index import Index
from jaxcmr.types import UNKNOWN
from jaxcmr.workdir import embeddings, weights
from jaxcmr.workdir.labels import NONE_OF_THESE

SPLITS = ("train", "validation", "test")


def of_run(model: Any, split: str | None = None) -> Index:
    """Returns the rows of the model's run, each item that is there, by the ids of the data.

    Their metadata are `split`, `label` (as given, after noise and corrections) and, where some are
    known, `true_label`.

    Args:
        model: a `Model`.
        split: "train", "validation" or "test"; None: all rows.

    Raises:
        UsageError: the run has not kept its rows, or not by this model or these weights, or has
            none in this split.
    """
    index = Index(model.size, model.fingerprint)
    found = embeddings.read(model.workdir)
    sizes = {rows.embeddings.shape[1] for rows in found.values()}
    if model.checkpoint != "best" or sizes != {model.size}:
        raise UsageError(
            f"the rows of the run in {model.workdir} are embedded by all members of its best "
            "epoch; search them without --checkpoint and --member, or name a folder, a manifest or "
            "an index"
        )
    if weights.trained_further(model.workdir):
        raise UsageError(
            f"the run in {model.workdir} has been trained further since it embedded its rows; "
            "start its command again, which embeds them at its end, or name a folder, a manifest "
            "or an index"
        )
    for name, rows in found.items():
        there = rows.present if split is None else rows.present & (rows.split == split)
        places = np.flatnonzero(there)
        index.add(
            rows.embeddings[places],
            modality=name,
            ids=rows.ids[places].tolist(),
            metadata=_metadata(rows, places),
        )
    if not len(index):
        raise UsageError(f"the run in {model.workdir} has no rows for {split or 'a gallery'}")
    return index


def _metadata(rows: embeddings.Embeddings, places: np.ndarray) -> dict[str, list[str | None]]:
    names = {-1: None} | dict(enumerate(rows.class_names))
    true_names = names | {-1: NONE_OF_THESE, UNKNOWN: None}
    columns = {
        "split": rows.split[places].tolist(),
        "label": [names[label] for label in rows.labels[places].tolist()],
    }
    if (rows.true_labels != UNKNOWN).any():
        columns["true_label"] = [true_names[k] for k in rows.true_labels[places].tolist()]
    return columns
