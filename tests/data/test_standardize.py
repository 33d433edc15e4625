import dataclasses

import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data.items.standardize import standardize
from jaxcmr.errors import UsageError
from jaxcmr.storage.lazy import LazyRows
from jaxcmr.types import Dataset, Splits


def part(rows, present=None):
    rows = np.array(rows, np.float32)
    return Dataset(
        inputs={"text": rows, "image": np.zeros((len(rows), 4, 4, 1), np.uint8)},
        labels=np.arange(len(rows), dtype=np.int32),
        true_labels=None,
        ids=np.arange(len(rows)).astype(str),
        class_names=tuple("abcd"),
        provenance={"source": "files"},
        present={} if present is None else {"text": np.array(present)},
    )


def test_each_feature_loses_its_training_mean_and_all_one_deviation():
    # Means 2 and 10; centred: -1, 1, -1, 1 and -3, 3, 3, -3; mean square (4 * 1 + 4 * 9) / 8 = 5.
    train = part([[1, 7], [3, 13], [1, 13], [3, 7]])
    splits = standardize(Splits(train, part([[2, 10], [7, 20]])), ("text",))
    expected = np.array([[-1, -3], [1, 3], [-1, 3], [1, -3]]) / np.sqrt(5)
    np.testing.assert_allclose(splits.train.inputs["text"], expected, rtol=1e-6)
    np.testing.assert_allclose(
        splits.test.inputs["text"], np.array([[0, 0], [5, 10]]) / np.sqrt(5), rtol=1e-6
    )
    assert splits.train.inputs["text"].dtype == np.float32
    assert splits.test.provenance["standardized"] == {"text": pytest.approx(np.sqrt(5))}
    np.testing.assert_array_equal(train.inputs["text"][0], [1, 7])  # the caller's rows stay


def test_missing_items_do_not_count_and_stay_zero():
    train = part([[1, 7], [3, 13], [1, 13], [3, 7], [0, 0]], [True] * 4 + [False])
    splits = standardize(Splits(train, part([[2, 10]]), part([[2, 10]])), ("text",))
    np.testing.assert_array_equal(splits.train.inputs["text"][4], [0, 0])
    np.testing.assert_allclose(splits.train.inputs["text"][1], np.array([1, 3]) / np.sqrt(5))
    np.testing.assert_array_equal(splits.validation.inputs["text"], [[0, 0]])


def test_rows_on_the_disk_stay_there_and_get_the_same_numbers(tmp_path):
    rows = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    plain = part(rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    far = dataclasses.replace(plain, inputs={"text": mapped}, present={"text": np.arange(50) > 0})
    near = dataclasses.replace(plain, present={"text": np.arange(50) > 0})
    found = standardize(Splits(far, far), ("text",)).test.inputs["text"]
    assert isinstance(found, LazyRows)
    expected = standardize(Splits(near, near), ("text",)).test.inputs["text"]
    np.testing.assert_array_equal(found[:], expected)
    np.testing.assert_array_equal(found.rows(np.array([7, 0]))[:], expected[[7, 0]])
    assert not expected[0].any()


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        ([[1, 2], [3, 4]], "sound", "names 'sound', but the data have text, image"),
        ([[1, 2], [3, 4]], "image", r"names 'image', but its items are no vectors \[N, D\]"),
        ([[1, 2], [1, 2]], "text", "'text' is the same in all training rows"),
    ],
)
def test_what_cannot_be_standardised(rows, name, message):
    with pytest.raises(UsageError, match=message):
        standardize(Splits(part(rows), part(rows)), (name,))


def test_the_config_field_asks_for_it(config, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"{s}_{m}": 5 + rng.normal(size=(8, 3)) for s in ("train", "test") for m in "xy"}
    labels = {f"{split}_labels": np.arange(8) % 2 for split in ("train", "test")}
    np.savez(tmp_path / "own.npz", **arrays, **labels)
    config.name, config.path = "arrays", str(tmp_path / "own.npz")
    config.modalities, config.standardize = ("x", "y"), ("x",)
    splits = data.load(config)
    np.testing.assert_allclose(splits.train.inputs["x"].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(splits.train.inputs["x"]).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(splits.train.inputs["y"], arrays["train_y"], rtol=1e-6)
