"""Standardisation of feature vectors, with the statistics of the training set alone."""

import dataclasses

import numpy as np
from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


def standardize(splits: Splits, modalities: tuple[str, ...]) -> Splits:
    """Centers every feature and divides a modality by ONE number, in all splits alike.

    `x' = (x - mean_train(x)) / s`, the mean for each feature apart, `s` the root of the mean square
    of all centred training numbers: features keep their variances relative to each other. Items
    that are missing take no part and stay zero.

    Args:
        splits: the data; the modalities named must be vectors `[N, D]`.
        modalities: which ones.

    Raises:
        UsageError: a modality is missing, is no vector, or is constant over the training set.
    """
    for name in modalities:
        items = splits.train.inputs.get(name)
        if items is None:
            raise UsageError(
                f"config.data.standardize names {name!r}, but the data have "
                f"{', '.join(splits.train.inputs)}"
            )
        if not isinstance(items, np.ndarray) or items.ndim != 2:
            raise UsageError(
                f"config.data.standardize names {name!r}, but its items are no vectors [N, D]"
            )
        present = splits.train.present.get(name, np.ones(len(items), bool))
        rows = items[present].astype(np.float64)
        mean = rows.mean(0)
        scale = float(np.sqrt(np.square(rows - mean).mean()))
        if not scale > 0:
            raise UsageError(
                f"the modality {name!r} is the same in all training rows; it cannot be standardised"
            )
        logging.info("%s: mean of each feature subtracted, all divided by %.4g", name, scale)
        apply = lambda part, n=name, m=mean, s=scale: _applied(part, n, m, s)
        splits = Splits(
            apply(splits.train),
            apply(splits.test),
            None if splits.validation is None else apply(splits.validation),
        )
    return splits


def _applied(part: Dataset, name: str, mean: np.ndarray, scale: float) -> Dataset:
    items = ((part.inputs[name] - mean) / scale).astype(np.float32)
    if name in part.present:
        items[~part.present[name]] = 0
    done = {**part.provenance.get("standardized", {}), name: scale}
    return dataclasses.replace(
        part,
        inputs={**part.inputs, name: items},
        provenance={**part.provenance, "standardized": done},
    )
