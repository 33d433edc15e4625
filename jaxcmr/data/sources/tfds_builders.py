"""Writes the data sets as TFDS data sets, without TensorFlow.

    builder = tfds_builders.builder(config.data, data_dir)
    builder.download_and_prepare(file_format="array_record")
    source = builder.as_data_source("train")

Rows keep the order of `jaxcmr.data.load` (no shuffling by key), and each carries its row as
`index`: label noise is given by row. Where items are missing, `present_<modality>` says which are
there; true labels, where they are known, are `true_label`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr import data, packages
from jaxcmr.data import cache
from jaxcmr.data.splits import parts, present_rows
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits

tfds = packages.load("tensorflow_datasets")
OURS = ("label", "true_label", "index", "id")  # features that are no modality


class PairedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes the splits of `jaxcmr.data.load(config)` as a TFDS data set."""

    VERSION = tfds.core.Version("1.1.0")

    def __init__(self, splits: Splits, name: str, data_dir: Path):
        self.name = name
        self._parts = parts(splits)
        # A feature is in every split, or in none.
        self._masked = {name for part in self._parts.values() for name in part.present}
        self._known = all(part.true_labels is not None for part in self._parts.values())
        super().__init__(data_dir=str(data_dir))

    def _info(self) -> tfds.core.DatasetInfo:
        train = self._parts["train"]
        tensor = lambda array: tfds.features.Tensor(shape=array.shape[1:], dtype=array.dtype)
        features: dict[str, Any] = jax.tree.map(tensor, dict(train.inputs))
        features |= {f"present_{name}": tfds.features.Scalar(np.bool_) for name in self._masked}
        features["label"] = tfds.features.ClassLabel(names=train.class_names)
        if self._known:
            features["true_label"] = tfds.features.ClassLabel(names=train.class_names)
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
        return {name: self._generate_examples(part) for name, part in self._parts.items()}

    def _generate_examples(self, part: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        masks = {name: present_rows(part, name) for name in self._masked}
        for row in range(len(part)):
            item = jax.tree.map(lambda array, row=row: np.asarray(array[row]), dict(part.inputs))
            item |= {f"present_{name}": bool(mask[row]) for name, mask in masks.items()}
            if self._known:
                item["true_label"] = int(part.true_labels[row])
            item |= {"label": int(part.labels[row]), "index": row, "id": str(part.ids[row])}
            yield row, item


def builder(config: ConfigDict, data_dir: Path) -> PairedBuilder:
    """Returns the builder of the data set that `config` (the part `data` of a config) names.

    Another config has another folder under `data_dir`, so that nothing stale is read.

    Raises:
        UsageError: as `jaxcmr.data.load`; or a modality or a class cannot have its name there.
    """
    splits = data.load(config)
    _check_names(splits)
    arrays = [
        (part.ids, part.labels, part.true_labels, dict(part.present), dict(part.inputs))
        for part in parts(splits).values()
    ]
    digests, classes = jax.tree.map(cache.digest, arrays), splits.train.class_names
    key = cache.fingerprint(config=config.to_dict(), digests=digests, classes=classes)
    return PairedBuilder(splits, config.name, Path(data_dir) / key)


def _check_names(splits: Splits) -> None:
    for name in splits.train.modalities:
        if name in OURS or name.startswith("present_"):
            raise UsageError(f"a modality cannot be called {name!r} in a TFDS data set; rename it")
    for name in splits.train.class_names:
        if name != name.strip() or len(name.splitlines()) != 1:  # TFDS keeps a name a line
            raise UsageError(f"a class cannot be called {name!r} in a TFDS data set; rename it")
