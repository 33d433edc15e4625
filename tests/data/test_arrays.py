import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxcmr import data
from jaxcmr.data.own.arrays import to_splits
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy, numpyfiles


def whole(rows=20):
    return {
        "image": np.arange(rows * 4.0).reshape(rows, 4),
        "text": np.ones((rows, 3), np.float32),
        "labels": np.array(["cat", "dog"] * (rows // 2)),
    }


@pytest.fixture
def files(config, tmp_path):
    """A config that reads `tmp_path / "own.npz"`, and a function that writes it."""
    fields = config.to_dict() | {"name": "arrays", "modalities": ("image", "text")}
    config = ConfigDict(fields | {"path": str(tmp_path / "own.npz")})
    return config, lambda arrays: np.savez(tmp_path / "own.npz", **arrays)


def test_rows_without_a_split_are_split_by_class(files, caplog):
    config, write = files
    write(whole())
    splits = data.load(config)
    assert (len(splits.train), len(splits.test)) == (16, 4)
    np.testing.assert_array_equal(np.bincount(splits.test.labels), [2, 2])
    assert splits.train.class_names == ("cat", "dog")
    assert splits.train.true_labels is None
    # The ids are the rows of the file, so every item is where it was.
    for part in (splits.train, splits.test):
        np.testing.assert_array_equal(part.inputs["image"][:, 0], 4 * part.ids.astype(int))
    np.testing.assert_array_equal(data.load(config).test.ids, splits.test.ids)


def test_a_split_column_true_labels_ids_and_missing_items(files):
    config, write = files
    arrays = whole()
    arrays["split"] = np.array(["train"] * 10 + ["validation"] * 4 + ["test"] * 6)
    arrays["true_labels"] = np.array(["dog"] * 20)
    arrays["ids"] = np.array([f"item{k}" for k in range(20)])
    arrays["present_text"] = np.arange(20) % 3 > 0
    write(arrays)
    splits = data.load(config)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 4, 6]
    np.testing.assert_array_equal(splits.test.true_labels, [1] * 6)
    assert splits.test.ids[0] == "item14"
    np.testing.assert_array_equal(splits.train.present["text"], np.arange(10) % 3 > 0)


def test_arrays_by_split_and_a_folder_of_npy(files, tmp_path):
    config, _ = files
    folder = tmp_path / "folder"
    folder.mkdir()
    for split, rows in (("train", 8), ("test", 4)):
        for name, array in whole(rows).items():
            np.save(folder / f"{split}_{name}.npy", array)
    config.path = str(folder)
    splits = data.load(config)
    assert (len(splits.train), len(splits.test)) == (8, 4) and splits.validation is None
    (folder / "test_text.npy").unlink()
    with pytest.raises(UsageError, match="has no test items of the modality 'text'"):
        data.load(config)
    (folder / "train_text.npy").rename(folder / "train_text.NPY")
    np.save(folder / "test_text.npy", whole(4)["text"])
    assert data.load(config).train.inputs["text"].shape[0] == 8
    np.save(folder / "train_text.npy", whole(8)["text"])
    with pytest.raises(UsageError, match="has two files train_text"):
        data.load(config)
    (folder / "train_text.NPY").unlink()
    (folder / "test_text.npy").write_bytes(b"junk")
    with pytest.raises(UsageError, match=r"test_text.npy cannot be read"):
        data.load(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "has no array 'labels', only"),
        ({"image": None, "text": None}, "has labels but no modality"),
        ({"text": np.ones((7, 3))}, r"text has the shape \[7, 3\] for 20 labels"),
        ({"image": np.ones((0, 3)), "text": np.ones((0, 3)), "labels": []}, "has no row: its"),
        ({"true_labels": np.array(["x"] * 20)}, "the true label 'x' is no row's label"),
        ({"split": np.array(["train"] * 20)}, "has no row whose split is 'test'"),
        ({"split": np.array(["train", "held"] * 10)}, "the split 'held' is none of"),
        ({"image": np.full((20, 4), np.nan)}, "not finite in row 0"),
        ({"ids": np.array(["a"] * 20)}, "the id 'a' is used twice"),
        ({"class_names": np.array(["cat"])}, "the label 'dog' is none of the class names"),
        ({"labels": np.array([object()] * 20)}, "labels are of type object; save numbers or text"),
        ({"image": np.array([["x"]] * 20)}, "is of type <U1; numbers are needed"),
    ],
)
def test_mistakes_are_one_sentence(files, change, message):
    config, write = files
    arrays = {**whole(), **change}
    write({name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(UsageError, match=message) as error:
        data.load(config)
    assert "\n" not in str(error.value)


def test_large_files_of_a_folder_stay_on_the_disk(files, tmp_path, monkeypatch):
    config, write = files
    arrays = {**whole(), "split": np.array((["train"] * 3 + ["test"]) * 5)}
    write(arrays)
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    read = data.load(config)
    config.path = str(tmp_path)
    monkeypatch.setattr(numpyfiles, "MAPPED", 400)  # only the image, of doubles, is larger
    mapped = data.load(config)
    for one, other in ((read.train, mapped.train), (read.test, mapped.test)):
        assert isinstance(other.inputs["image"], lazy.LazyRows)
        assert isinstance(other.inputs["text"], np.ndarray)
        assert other.inputs["image"].dtype == np.float32
        for name in one.inputs:
            np.testing.assert_array_equal(one.inputs[name], np.asarray(other.inputs[name]))
        np.testing.assert_array_equal(one.labels, other.labels)


def test_no_such_file(files):
    config, _ = files
    with pytest.raises(UsageError, match="there is no such file or folder"):
        data.load(config)


def test_true_labels_count_from_the_same_number_as_the_given_ones():
    table = {"train_labels": np.array([1, 2, 3]), "test_labels": np.array([1, 2])}
    table |= {"train_true_labels": np.array([1, 2, 2]), "test_true_labels": np.array([2, 2])}
    table |= {"train_text": np.ones((3, 2)), "test_text": np.ones((2, 2))}
    splits = to_splits(table, "own", {}, 0)
    np.testing.assert_array_equal(splits.train.labels, [0, 1, 2])
    np.testing.assert_array_equal(splits.train.true_labels, [0, 1, 1])
    np.testing.assert_array_equal(splits.test.true_labels, [1, 1])
