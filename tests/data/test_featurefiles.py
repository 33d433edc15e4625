import numpy as np
import pytest
import scipy.io

from jaxcmr import data
from jaxcmr.data.own import featurefiles
from jaxcmr.errors import UsageError

NAMES = {"image": "img_{split}", "text": "txt_{split}"}


def foreign():
    """Six training and four test rows under names of somebody else's; pictures are quantised."""
    return {
        "img_tr": np.arange(12, dtype=np.uint8).reshape(6, 2),
        "img_te": np.arange(100, 108, dtype=np.uint8).reshape(4, 2),
        "txt_tr": np.arange(18.0).reshape(6, 3),
        "txt_te": np.arange(12.0).reshape(4, 3),
        "y_tr": np.array([1, 2, 1, 2, 1, 2])[:, None],
        "y_te": np.array([[1, 2, 2, 1]]),
        "scale": np.array([0.5, 0.25], np.float32),
        "names": np.array(["cat", "dog"]),
    }


def convert(folder, arrays, **changes):
    np.savez(folder / "theirs.npz", **arrays)
    options = {
        "labels": "y_{split}",
        "classes": "names",
        "scales": {"image": "scale"},
        "splits": {"train": "tr", "test": "te"},
        "validation_rows": 1,
    }
    return featurefiles.convert(
        folder / "theirs.npz", folder / "wikipedia.npz", NAMES, **{**options, **changes}
    )


def test_other_names_a_scale_and_the_head_of_the_test_set(config, tmp_path):
    written = convert(tmp_path, foreign())
    assert written["train_image"] == "[6, 2] float32" and written["test_text"] == "[3, 3] float32"
    config.name, config.root, config.modalities = "wikipedia", str(tmp_path), ("image", "text")
    splits = data.load(config)
    np.testing.assert_array_equal(splits.train.inputs["image"][5], [10 * 0.5, 11 * 0.25])
    np.testing.assert_array_equal(splits.validation.inputs["image"], [[100 * 0.5, 101 * 0.25]])
    np.testing.assert_array_equal(splits.test.inputs["text"][0], [3, 4, 5])
    assert splits.train.class_names == ("cat", "dog")
    np.testing.assert_array_equal(splits.train.labels, [0, 1] * 3)
    np.testing.assert_array_equal(splits.validation.labels, [0])
    np.testing.assert_array_equal(splits.test.labels, [1, 1, 0])


def test_mat_files_and_features_without_labels(tmp_path):
    arrays = foreign()
    scipy.io.savemat(tmp_path / "theirs.mat", {"img_tr": arrays["img_tr"]})
    written = featurefiles.convert(
        tmp_path / "theirs.mat",
        tmp_path / "out.npz",
        {"features": "img_{split}"},
        splits={"train": "tr"},
    )
    assert written == {"train_features": "[6, 2] float32"}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"txt_te": None}, {}, r"theirs.npz has no array 'txt_te', only img_te"),
        ({"txt_te": np.ones((5, 3))}, {}, "5 rows of test_text, but 4 of test_image"),
        ({"y_tr": np.ones(5)}, {}, "5 rows of train_labels, but 6 of train_image"),
        (
            {"scale": np.ones(3)},
            {},
            r"the scale of 'image' has the shape \[3\], but the features \[6, 2\]",
        ),
        (
            {},
            {"labels": "y_tr"},
            "train_labels and test_labels are both the array 'y_tr'; each needs its own, with {sp",
        ),
        ({}, {"splits": {"train": "tr", "test": "tr"}}, "train_image and test_image are both the"),
        ({}, {"splits": {"train": "tr", "held": "te"}}, "the split 'held' is none of train, val"),
        ({}, {"splits": {"test": "tr", "testing": "te"}}, "the split 'test' is given twice"),
        ({}, {"scales": {"images": "scale"}}, "the scale of 'images' belongs to none of image, te"),
        (
            {"names": np.zeros(2, "M8[D]")},
            {},
            "theirs.npz: names holds datetime64.*; save numb",
        ),
        ({"txt_te": np.ones((3, 4))}, {}, "3 rows of test_text, but 4 of test_image; an item is"),
        ({"txt_te": np.full((4, 3), 1e39)}, {}, "txt_te holds 1e.39, more than the 3.4e38"),
        ({}, {"labels": "z_{split}"}, "has no array 'z_tr', only .*; did you mean 'y_tr'"),
        ({}, {"validation_rows": 4}, "has 4 test rows; 4 cannot validate"),
        ({}, {"splits": {"train": "tr"}}, "has a validation set, or no test set"),
    ],
)
def test_mistakes_leave_no_file_behind(tmp_path, change, options, message):
    arrays = {**foreign(), **change}
    with pytest.raises(UsageError, match=message):
        convert(tmp_path, {k: a for k, a in arrays.items() if a is not None}, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.npz"]


@pytest.mark.parametrize("name", ["labels", "ids", "present_x", "class_names", "a b", "a/b", "id"])
def test_names_that_a_modality_cannot_have(tmp_path, name):
    with pytest.raises(UsageError, match="a modality cannot be called"):
        featurefiles.convert(tmp_path / "a.npz", tmp_path / "b.npz", {name: "x_{split}"})


def test_class_names_in_a_cell_and_what_is_not_used(tmp_path, caplog):
    arrays = foreign() | {"sift": np.ones(3)}
    cell = np.empty(2, object)
    cell[:] = ["cat", "dög"]
    scipy.io.savemat(tmp_path / "theirs.mat", arrays | {"names": cell})
    featurefiles.convert(
        tmp_path / "theirs.mat",
        tmp_path / "out.npz",
        NAMES,
        labels="y_{split}",
        classes="names",
        splits={"train": "tr", "val": "te"},
    )
    with np.load(tmp_path / "out.npz") as file:
        assert file["class_names"].tolist() == ["cat", "dög"]
        assert file["validation_labels"].ravel().tolist() == [1, 2, 2, 1]
    assert "theirs.mat: 2 arrays are not used: scale, sift" in caplog.text


def test_the_real_wikipedia_file_of_other_names(shared, config, tmp_path):
    source = shared / "data" / "wikipedia" / "wikipedia.npz"
    featurefiles.convert(
        source,
        tmp_path / "wikipedia.npz",
        {"image": "img_cnn128_{split}", "text": "txt_tfidf1000_{split}"},
        labels="label_{split}",
        classes="class_names",
        validation_rows=231,
    )
    config.name, config.root, config.modalities = "wikipedia", str(tmp_path), ("image", "text")
    splits = data.load(config)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [2173, 231, 462]
    with np.load(source) as file:
        np.testing.assert_array_equal(splits.test.inputs["image"], file["img_cnn128_test"][231:])
        np.testing.assert_array_equal(splits.validation.labels, file["label_test"][:231])
