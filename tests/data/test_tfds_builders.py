import subprocess
import sys

import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data.sources import tfds_builders
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


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


def paired(path, **more):
    rows = np.arange(10)
    arrays = {"image": rows[:, None] + np.ones((10, 2)), "text": np.ones((10, 3))}
    arrays |= {"labels": rows % 2, "true_labels": np.zeros(10), "class_names": ["a", "b"]}
    split = np.array(["train"] * 4 + ["validation"] * 2 + ["test"] * 4)
    np.savez(path, **arrays | {"split": split, "present_text": rows % 3 > 0} | more)


def test_presence_true_labels_and_the_validation_set_are_written(config, tmp_path):
    paired(tmp_path / "a.npz")
    config.name, config.path, config.modalities = (
        "arrays",
        str(tmp_path / "a.npz"),
        ("image", "text"),
    )
    builder = tfds_builders.builder(config, tmp_path)
    builder.download_and_prepare(file_format="array_record")
    there, truth, first = [], [], []
    for split, rows in (("train", 4), ("validation", 2), ("test", 4)):
        source = builder.as_data_source(split)
        assert len(source) == rows
        there += [bool(source[row]["present_text"]) for row in range(rows)]
        truth += [int(source[row]["true_label"]) for row in range(rows)]
        first += [float(source[row]["image"][0]) for row in range(rows)]
    assert there == [k % 3 > 0 for k in range(10)] and truth == [0] * 10
    assert first == [k + 1.0 for k in range(10)]
    # Other labels of the same items are another data set.
    paired(tmp_path / "a.npz", labels=np.arange(10) // 2 % 2)
    assert tfds_builders.builder(config, tmp_path).data_dir != builder.data_dir


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index": np.ones((10, 2))}, "a modality cannot be called 'index'"),
        ({"class_names": ["a", "b\nc"]}, r"a class cannot be called 'b\\nc'"),
    ],
)
def test_names_that_tfds_has_no_place_for(config, tmp_path, change, words):
    paired(tmp_path / "a.npz", **change)
    config.name, config.path = "arrays", str(tmp_path / "a.npz")
    config.modalities = ("image", "index") if "index" in change else ("image", "text")
    with pytest.raises(UsageError, match=words):
        tfds_builders.builder(config, tmp_path)


def test_the_arrays_of_a_mesh_are_nested(tmp_path):
    mesh = {"centers": np.arange(24.0, dtype=np.float32).reshape(2, 4, 3)}
    mesh |= {"mask": np.array([[True] * 4, [False] * 4])}
    labels, ids = np.arange(2, dtype=np.int32), np.array(["a", "b"])
    part = Dataset({"mesh": mesh}, labels, None, ids, ("a", "b"), {})
    builder = tfds_builders.PairedBuilder(Splits(part, part), "modelnet10", tmp_path)
    builder.download_and_prepare(file_format="array_record")
    found = builder.as_data_source("train")[1]
    np.testing.assert_array_equal(found["mesh"]["centers"], mesh["centers"][1])
    assert not found["mesh"]["mask"].any() and "true_label" not in found


def test_tensorflow_is_not_needed():
    code = "import jaxcmr.data.sources.tfds_builders, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
