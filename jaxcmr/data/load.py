"""Loads the splits of any source of paired data: `load(config)`.

Adding a source: one file with a function `(config, workers) -> Splits`, one line in `SOURCES`.
"""

import dataclasses
from collections.abc import Callable

from absl import logging
from ml_collections import ConfigDict

from jaxcmr.config.checks import check_value
from jaxcmr.data import correction_tables
from jaxcmr.data.check import check
from jaxcmr.data.items.standardize import standardize
from jaxcmr.data.own.arrays import load_arrays
from jaxcmr.data.own.manifest import load_manifest
from jaxcmr.data.own.own import load_own
from jaxcmr.data.preparation import learned
from jaxcmr.data.sources.features import LAYOUTS, load_features
from jaxcmr.data.sources.mnist3d import load_digits, load_mnist3d
from jaxcmr.data.sources.modelnet import load_modelnet10, load_modelnet40, load_procedural10
from jaxcmr.data.sources.rgbd import load_rgbd_object
from jaxcmr.data.splits import changed
from jaxcmr.errors import check_choice
from jaxcmr.types import Splits

SOURCES: dict[str, Callable[[ConfigDict, int], Splits]] = {
    "mnist3d": load_mnist3d,
    "digits": load_digits,
    "modelnet10": load_modelnet10,
    "modelnet40": load_modelnet40,
    "procedural10": load_procedural10,
    "rgbd_object": load_rgbd_object,
    "arrays": load_arrays,
    "manifest": load_manifest,
    "own": load_own,
    **dict.fromkeys(LAYOUTS, load_features),
}
NUMBERS = (
    "points", "faces", "views", "image_size", "channels", "train_size", "test_size", "seed",
)  # fmt: skip


def load(config: ConfigDict, workers: int = 0) -> Splits:
    """Loads the data set that `config` (the part `data` of a config) names, and checks it.

    `workers` is the number of processes that prepare objects; 0: one a core.

    Raises:
        UsageError: unknown name, no data, or data that cannot be used, in one sentence.
    """
    check_choice("data.name", config.name, SOURCES)
    _check_numbers(config)
    for path in correction_tables.paths(config.get("corrections", "")):
        correction_tables.read(path)  # a mistake there is found before minutes of work
    splits = SOURCES[config.name](config, workers)
    check(splits, tuple(config.modalities))
    others = [name for name in splits.train.modalities if name not in config.modalities]
    if others:
        left_out = ", ".join(others)
        logging.info("not used, for config.data.modalities leaves them out: %s", left_out)
        splits = changed(splits, lambda _, part: part.only(config.modalities))
    splits = dataclasses.replace(splits, preparation=learned.complete(splits))
    return standardize(splits, tuple(config.get("standardize", ())))


def _check_numbers(config: ConfigDict) -> None:
    """Checks the ranges again: `launch/prepare.py` loads data without a check of the config."""
    for field in NUMBERS:
        if field in config:
            check_value(f"data.{field}", config[field])
