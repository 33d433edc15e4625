"""Makes, lists or changes all splits of a data set at once."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr.types import Dataset, Splits


def parts(splits: Splits) -> dict[str, Dataset]:
    """Returns the splits that there are, by the names "train", "validation" and "test"."""
    found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: part for name, part in found.items() if part is not None}


def changed(splits: Splits, change: Callable[[str, Dataset], Dataset]) -> Splits:
    """Returns `change(name, part)` of every split that there is."""
    made = {name: change(name, part) for name, part in parts(splits).items()}
    return dataclasses.replace(splits, **made)


def present_rows(part: Dataset, modality: str) -> np.ndarray:
    """Returns `[N]` bool, False where the item of a modality is missing."""
    return part.present.get(modality, np.ones(len(part), bool))


def train_and_test(
    arrays: Mapping[str, np.ndarray],
    inputs: Mapping[str, Any],
    train: int,
    config: ConfigDict,
    *,
    preparation: Any,
    provenance: Mapping[str, Any],
    present: Mapping[str, np.ndarray] | None = None,
) -> Splits:
    """Makes the splits of a published set, whose labels are true: the first rows, and the others.

    Args:
        arrays: `labels [N]` and `ids [N]`; other arrays are not used.
        inputs: modality -> items `[N, ...]`; taken are those of `config.modalities`.
        train: the number of rows of the training set.
        config: the section `data`.
        preparation: as in `Splits`; with the names of the classes.
        provenance, present: as in `Dataset`, of all rows.
    """
    splits = {}
    for split, rows in (("train", slice(None, train)), ("test", slice(train, None))):
        labels = arrays["labels"][rows].astype(np.int32)
        chosen = {name: inputs[name] for name in config.modalities if name in inputs}
        splits[split] = Dataset(
            inputs=jax.tree.map(lambda array, rows=rows: array[rows], chosen),
            labels=labels,
            true_labels=labels,
            ids=arrays["ids"][rows],
            class_names=preparation.class_names,
            provenance={**provenance, "split": split, "count": len(labels)},
            present={name: mask[rows] for name, mask in (present or {}).items()},
        )
    return Splits(**splits, preparation=preparation)
