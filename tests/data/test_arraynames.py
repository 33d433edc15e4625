"""What the names of arrays say, however people spell them."""

import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data.own.arraynames import sort
from jaxcmr.data.own.arrays import to_splits
from jaxcmr.errors import UsageError


def table(rows=4):
    """Arrays of a training set of `rows` and a test set of two rows."""
    found = {}
    for split, count in (("train", rows), ("test", 2)):
        found[f"{split}_image"] = np.ones((count, 3), np.float32)
        found[f"{split}_text"] = np.ones((count, 2), np.float32)
        found[f"{split}_labels"] = np.arange(count) % 2
    return found


def test_splits_and_roles_may_be_spelled_as_people_do():
    keys = [
        "Train_Image", "train_label", "training_ids", "val_image", "val_Labels", "valid_True_Label",
        "test/image", "test/labels", "test/present_IMAGE", "class_names",
    ]  # fmt: skip
    names = sort(keys, "a.npz")
    assert names.parts == {
        "train": {"Image": "Train_Image", "labels": "train_label", "ids": "training_ids"},
        "validation": {
            "Image": "val_image", "labels": "val_Labels", "true_labels": "valid_True_Label",
        },
        "test": {
            "Image": "test/image", "labels": "test/labels", "present_Image": "test/present_IMAGE",
        },
    }  # fmt: skip
    assert (names.classes, names.unused, names.modalities()) == ("class_names", (), ("Image",))


def test_without_splits_every_array_is_a_modality_or_a_role():
    names = sort(["image", "Label", "id", "split", "group", "test_score"], "a.npz")
    assert names.parts[""] == {
        "image": "image", "labels": "Label", "ids": "id", "split": "split", "groups": "group",
        "test_score": "test_score",
    }  # fmt: skip


def test_what_is_not_used_is_named_and_counted(caplog):
    more = {
        "sift": np.ones(3),
        "train_split": np.ones(4),
        "test_audio": np.ones((2, 2)),
        "train_class_names": np.ones(2),
    }
    splits = to_splits(table() | more, "a.npz", {}, 0)
    assert (
        "a.npz: 4 arrays are not used: sift, train_class_names, train_split, test_audio"
        in caplog.text
    )
    assert splits.train.modalities == ("image", "text")


@pytest.mark.parametrize("form", ["own.npz", "own"])
def test_a_dictionary_beside_the_arrays_is_no_hindrance(config, tmp_path, caplog, form):
    arrays = table() | {"meta": np.array({"made": "today"}, object)}
    if form == "own":
        (tmp_path / form).mkdir()
        for name, array in arrays.items():
            np.save(tmp_path / form / f"{name}.npy", array)
    else:
        np.savez(tmp_path / form, **arrays)
    config.name, config.path, config.modalities = "own", str(tmp_path / form), ("image", "text")
    assert len(data.load(config).train) == 4
    assert "1 array is not used: meta" in caplog.text


def test_a_folder_without_arrays_names_what_it_holds(config, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "items.npz").write_bytes(b"")
    config.name, config.path = "own", str(tmp_path / "own")
    for load in (data.load, data.outline):
        with pytest.raises(UsageError, match=r"own holds no \.npy file, only items\.npz; name"):
            load(config)


def test_other_files_of_a_folder_are_named(config, tmp_path, caplog):
    for name, array in table().items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "labels.csv").write_text("a\n")
    config.name, config.path, config.modalities = "arrays", str(tmp_path), ("image", "text")
    data.load(config)
    assert f"{tmp_path}: 1 file is not used: labels.csv" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train_label": np.zeros(4)},
            "a.npz has train_labels and train_label, which mean the same; remove one",
        ),
        ({"train_Image": np.zeros((4, 3))}, "has train_image and train_Image, which mean the same"),
        ({"val_image": np.zeros((1, 3))}, "a.npz has no array validation_labels, only"),
        (
            {"test_image": None, "test_images": np.ones((2, 3))},
            r"has no test items of the modality 'image'; is it test_images\? give it one name",
        ),
        (
            {"train_labels": None, "train_lables": np.zeros(4)},
            "has no array train_labels, only .*; did you mean 'lables'?",
        ),
        (
            {"test_present_txt": np.ones(2, bool)},
            "test_present_txt says which items are present of no modality that it has; "
            "did you mean 'text'?",
        ),
        (
            {"test_present_depth": np.ones(2, bool)},
            "present of no modality that it has; it has image, text",
        ),
    ],
)
def test_names_that_cannot_be_meant_so(change, message):
    arrays = {k: v for k, v in (table() | change).items() if v is not None}
    with pytest.raises(UsageError, match=message):
        to_splits(arrays, "a.npz", {}, 0)


def test_groups_around_all_arrays_say_nothing():
    keys = ["data/v1/train/x", "data/v1/train/labels", "data/v1/test-x", "data/v1/test.labels"]
    assert sort(keys, "a.h5").parts == {
        "train": {"x": "data/v1/train/x", "labels": "data/v1/train/labels"},
        "test": {"x": "data/v1/test-x", "labels": "data/v1/test.labels"},
    }  # fmt: skip
    assert sort(["data/x", "data/labels"], "a.h5").parts[""]["x"] == "data/x"


def test_names_of_another_schema_are_refused_with_ours():
    with pytest.raises(
        UsageError, match="no array 'labels', only X_train, y_train; arrays are cal"
    ):
        sort(["X_train", "y_train"], "a.npz")


def test_a_misspelt_array_of_labels_is_suggested():
    with pytest.raises(UsageError, match="no array 'labels', only image, lables; did you mean 'l"):
        sort(["image", "lables"], "a.npz")
