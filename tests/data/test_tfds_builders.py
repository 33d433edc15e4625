import subprocess
import sys

import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data import tfds_builders


def write_clouds(path, classes):
    """A point file of few clouds, the labels in no order."""
    rng = np.random.default_rng(0)
    arrays = {"class_names": np.array([f"class{k}" for k in range(classes)])}
    for split, count in (("train", 2 * classes), ("test", classes)):
        arrays[f"{split}_points"] = rng.normal(size=(count, 30, 3)).astype(np.float32)
        arrays[f"{split}_labels"] = rng.permutation(np.arange(count) % classes)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("name", "fallback"),
    [
        ("procedural10", "none"),
        ("mnist3d", "digits"),
        ("modelnet10", "none"),
        ("modelnet40", "none"),
    ],
)
def test_rows_keep_their_order(config, tmp_path, name, fallback):
    config.name, config.fallback = name, fallback
    if name.startswith("modelnet"):
        config.root = str(tmp_path)
        write_clouds(tmp_path / f"{name}.npz", int(name.removeprefix("modelnet")))
    config.train_size, config.test_size = 60, 30
    builder = tfds_builders.builder(config, tmp_path)
    builder.download_and_prepare(file_format="array_record")
    splits = data.load(config)
    for split, part in (("train", splits.train), ("test", splits.test)):
        source = builder.as_data_source(split)
        assert len(source) == len(part)
        for row in range(len(part)):
            item = source[row]
            assert item["index"] == row and item["label"] == part.labels[row]
            assert item["id"].decode() == part.ids[row]
            for modality, array in part.inputs.items():
                np.testing.assert_array_equal(item[modality], array[row])
    assert builder.info.features["label"].names == list(splits.train.class_names)


def test_another_config_reads_nothing_stale(config, tmp_path):
    config.name = "procedural10"
    first = tfds_builders.builder(config, tmp_path)
    config.seed = 3
    assert tfds_builders.builder(config, tmp_path).data_dir != first.data_dir


def test_tensorflow_is_not_needed():
    code = "import jaxcmr.data.tfds_builders, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
