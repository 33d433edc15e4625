"""Takes classes out of a data set, of which some items keep a label of others: open-set noise."""

import dataclasses

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import noise
from jaxcmr.data.splits import changed
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


def take_out(splits: Splits, config: ConfigDict) -> tuple[Splits, noise.NoiseRecord | None]:
    """Takes the classes out that open-set noise draws.

    Training rows of these classes stay where the noise keeps them, with the label -1 as that before
    the noise; validation and test rows leave if their given or their true label is one of them. The
    `provenance` of each part gets the entry `open_set`: the names of the `classes`, and how many of
    the rows of the part are `kept` with a label of others, or have `left`.

    Args:
        splits: what a source delivers.
        config: the section `noise`; another kind than "open_set" changes nothing.

    Returns:
        The splits over the classes that are left, labels before the noise; and the noise of the
        training rows, None for another kind.

    Raises:
        UsageError: fewer than two classes would be left, or no test row.
    """
    if config.kind != "open_set":
        return splits, None
    names = splits.train.class_names
    draw = {"open_classes": config.open_classes, "rate": config.rate, "seed": config.seed}
    drawn = noise.inject_open_set(splits.train.labels, len(names), **draw)
    taken = [names[k] for k in drawn.open_classes]

    def left(split: str, part: Dataset) -> Dataset:
        truth = part.labels if part.true_labels is None else part.true_labels
        gone = np.isin(part.labels, drawn.open_classes) | np.isin(truth, drawn.open_classes)
        rows = drawn.rows if split == "train" else np.flatnonzero(~gone)
        if not len(rows):
            raise UsageError(
                f"all {len(part)} rows of the {split} set are of the classes that open-set noise "
                f"takes out ({listed([quoted(name) for name in taken])}); choose another "
                "config.noise.seed, or lower config.noise.open_classes"
            )
        kept = len(drawn.record.rows) if split == "train" else 0
        note = {"classes": taken, "kept": kept, "left": len(part) - len(rows)}
        provenance = {**part.provenance, "open_set": note}
        if "count" in provenance:
            provenance["count"] = len(rows)
        part = part.rows(rows)
        truth = part.true_labels
        return dataclasses.replace(
            part,
            labels=drawn.renumbered(part.labels),
            true_labels=None if truth is None else drawn.renumbered(truth),
            class_names=tuple(names[k] for k in drawn.classes),
            provenance=provenance,
        )

    splits = changed(splits, left)
    if splits.preparation is not None:
        kept = dataclasses.replace(splits.preparation, class_names=splits.train.class_names)
        splits = dataclasses.replace(splits, preparation=kept)
    note = splits.train.provenance["open_set"]
    logging.info(
        "open-set noise takes out %s: of %d training rows %d stay with a label of other classes",
        listed([quoted(name) for name in taken]), note["kept"] + note["left"], note["kept"],
    )  # fmt: skip
    return splits, drawn.record
