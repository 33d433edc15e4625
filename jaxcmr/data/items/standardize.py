"""Standardises feature vectors with the statistics of the training set alone."""

import dataclasses

import numpy as np
from absl import logging

from jaxcmr.data.splits import changed, present_rows
from jaxcmr.errors import UsageError
from jaxcmr.storage.lazy import LazyRows
from jaxcmr.types import Dataset, Splits

BLOCK = 4096  # rows that are read at once


@dataclasses.dataclass(frozen=True, eq=False)
class Standard:
    """The numbers by which vectors are standardised: the `mean [D]`, and one `scale`."""

    mean: np.ndarray
    scale: float

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns `(rows - mean) / scale`, `[N, D]` float32."""
        return ((np.asarray(rows) - self.mean) / self.scale).astype(np.float32)


def standardize(splits: Splits, modalities: tuple[str, ...]) -> Splits:
    """Centers every feature and divides a modality by ONE number, in all splits alike.

    `x' = (x - mean_train(x)) / s`, the mean for each feature apart, `s` the root of the mean square
    of all centred training numbers: features keep their variances relative to each other. Items
    that are missing take no part and stay zero.

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
        if getattr(items, "ndim", 0) != 2:
            raise UsageError(
                f"config.data.standardize names {name!r}, but its items are no vectors [N, D]; "
                "leave it out (none: --config.data.standardize='()')"
            )
        mean, scale = statistics(items, present_rows(splits.train, name))
        if not scale > 0:
            raise UsageError(
                f"the modality {name!r} is the same in all training rows; it cannot be standardised"
            )
        logging.info("%s: mean of each feature subtracted, all divided by %.4g", name, scale)
        standard = Standard(mean, scale)
        splits = changed(splits, lambda _, part, n=name, s=standard: _applied(part, n, s))
        if splits.preparation is not None:
            kept = splits.preparation.standardized(name, standard)
            splits = dataclasses.replace(splits, preparation=kept)
    return splits


def statistics(items: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the mean `[D]` of the rows that are present, and their one deviation from it.

    Two passes in blocks: `items [N, D]` may stay on the disk.
    """
    rows = np.flatnonzero(present)
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    read = lambda block: np.asarray(items[block], np.float64)
    count = max(len(rows), 1)
    mean = sum((read(block).sum(0) for block in blocks), np.zeros(items.shape[1])) / count
    square = sum(np.square(read(block) - mean).sum() for block in blocks)
    return mean, float(np.sqrt(square / (count * items.shape[1])))


def _applied(part: Dataset, name: str, standard: Standard) -> Dataset:
    items, present = part.inputs[name], part.present.get(name)

    def scaled(rows: np.ndarray) -> np.ndarray:
        result = standard(items[rows])
        if present is not None:
            result[~present[rows]] = 0
        return result

    if isinstance(items, np.memmap | LazyRows):
        done = LazyRows(scaled, items.shape, np.float32)
    else:
        done = scaled(np.arange(len(items)))
    numbers = {**part.provenance.get("standardized", {}), name: standard.scale}
    return dataclasses.replace(
        part,
        inputs={**part.inputs, name: done},
        provenance={**part.provenance, "standardized": numbers},
    )
