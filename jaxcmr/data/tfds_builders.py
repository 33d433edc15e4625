"""TFDS builders of the data sets, which work without TensorFlow.

    builder = tfds_builders.builder(config.data, data_dir)
    builder.download_and_prepare(file_format="array_record")
    source = builder.as_data_source("train")

Rows keep the order of `jaxcmr.data.load` (no shuffling by key), and each carries its row as
`index`: label noise is given by row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from jaxcmr import data
from jaxcmr.data import cache
from jaxcmr.types import Dataset, Splits


class PairedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes the splits of `jaxcmr.data.load(config)` as a TFDS data set."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, splits: Splits, name: str, data_dir: Path):
        self.name = name
        self._paired = splits
        super().__init__(data_dir=str(data_dir))

    def _info(self) -> tfds.core.DatasetInfo:
        train = self._paired.train
        features: dict[str, Any] = {
            modality: tfds.features.Tensor(shape=array.shape[1:], dtype=array.dtype)
            for modality, array in train.inputs.items()
        }
        features["label"] = tfds.features.ClassLabel(names=train.class_names)
        features["index"] = tfds.features.Scalar(np.int64)
        features["id"] = tfds.features.Text()
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Paired items; {dict(train.provenance)}",
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        del dl_manager
        parts = {"train": self._paired.train, "test": self._paired.test}
        return {name: self._generate_examples(part) for name, part in parts.items()}

    def _generate_examples(self, part: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in range(len(part)):
            items = {modality: np.asarray(array[row]) for modality, array in part.inputs.items()}
            rest = {"label": int(part.labels[row]), "index": row, "id": str(part.ids[row])}
            yield row, {**items, **rest}


def builder(config: ConfigDict, data_dir: Path) -> PairedBuilder:
    """Returns the builder of the data set that `config` (the part `data` of a config) names.

    Another config has another folder under `data_dir`, so that nothing stale is read.
    """
    splits = data.load(config)
    key = cache.fingerprint(
        config=config.to_dict(), ids=[str(i) for i in splits.train.ids],
        arrays={name: cache.digest(array) for name, array in splits.train.inputs.items()},
    )  # fmt: skip
    return PairedBuilder(splits, config.name, Path(data_dir) / key)
