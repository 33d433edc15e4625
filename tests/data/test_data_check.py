import dataclasses

import numpy as np
import pytest

from jaxcmr.data import check, load
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


def dataset(prefix: str, rows: int = 6) -> Dataset:
    labels = (np.arange(rows) % 2).astype(np.int32)
    images = np.zeros((rows, 1, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0, 0] = np.arange(rows)
    return Dataset(
        inputs={
            "image": images,
            "mesh": {
                "centers": np.tile(images[..., 0, :1, 0], 15).reshape(rows, 5, 3) / 7,
                "mask": np.ones((rows, 5), bool),
            },
        },
        labels=labels,
        true_labels=labels,
        ids=np.array([f"{prefix}{k}" for k in range(rows)]),
        class_names=("cat", "dog"),
        provenance={},
    )


def splits(**change) -> Splits:
    return Splits(dataclasses.replace(dataset("a"), **change), dataset("b", 4), dataset("c", 2))


def with_nan():
    inputs = dict(dataset("a").inputs)
    centers = np.zeros((6, 5, 3))
    centers[4, 2, 1] = np.inf
    return {**inputs, "mesh": {"centers": centers, "mask": np.ones((6, 5), bool)}}


def test_good_data_pass():
    check(splits(), ("image", "mesh"))
    check(splits(true_labels=None), ("image",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(6, np.int32)}, "the class 'dog' has no sample in the training set"),
        (
            {"labels": np.zeros(6)},
            "labels of the training set must be one integer a row, not float",
        ),
        (
            {"labels": np.array([0, 1, 0, 2, 0, 1])},
            "hold 2 in row 3, but there are 2 classes, 0 to 1",
        ),
        ({"labels": np.array([0, 1, 0, -2, 0, 1])}, "hold -2 in row 3"),
        ({"true_labels": np.array([0, 1, 0, -1, 0, 1])}, "hold -1 in row 3"),
        (
            {"labels": np.zeros(5, np.int32)},
            "'image' of the training set has 6 rows, but there are 5",
        ),
        ({"labels": np.zeros(0, np.int32)}, "the training set has no sample"),
        ({"true_labels": np.array([9, 1, 0, 1, 0, 1])}, "true labels of the training set hold 9"),
        ({"inputs": with_nan()}, "not finite in row 4 (a4)"),
        (
            {"inputs": {"image": np.array([["x"]] * 6)}},
            "'image' of the training set is of type <U1",
        ),
        ({"inputs": {"points": np.zeros((6, 3))}}, "has no modality 'image', only points"),
        ({"inputs": {**with_nan(), "image": np.zeros((6, 1, 8, 8, 1))}}, "not finite"),
        ({"ids": np.array(["a"] * 5)}, "has 6 labels but 5 ids"),
        (
            {"ids": np.array(["a", "a", "b", "c", "d", "e"])},
            "the id 'a' is used twice, in the training set",
        ),
        (
            {"ids": np.array(["b0", "a", "b", "c", "d", "e"])},
            "the id 'b0' is used twice, in the training and the test set; ids must be unique",
        ),
        ({"present": {"image": np.ones(3, bool)}}, "has 6 labels but 3 flags 'image'"),
        ({"class_names": ("cat", "cow")}, "the test set has other classes than the training set"),
    ],
)
def test_each_mistake_is_one_sentence(change, message):
    with pytest.raises(UsageError) as error:
        check(splits(**change), ("image", "mesh"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def without(modality: str, rows: int, absent) -> dict:
    mask = np.ones(rows, bool)
    mask[absent] = False
    return {modality: mask}


def test_a_value_that_is_not_finite_is_allowed_where_the_item_is_missing():
    check(splits(inputs=with_nan(), present=without("mesh", 6, 4)), ("image", "mesh"))
    with pytest.raises(UsageError, match=r"row 4 \(a4\); repair it, or mark the item as missing"):
        check(splits(inputs=with_nan(), present=without("mesh", 6, 3)), ("image", "mesh"))


def test_a_modality_that_no_training_row_has():
    with pytest.raises(UsageError, match=r"no row of the training set has .* 'mesh'"):
        check(splits(present=without("mesh", 6, slice(None))), ("image", "mesh"))


@pytest.mark.parametrize(("field", "name", "rows"), [("test", "test", 4), ("validation", "v", 2)])
def test_nothing_could_be_measured(field, name, rows, caplog):
    good = splits()
    part = getattr(good, field)
    part = dataclasses.replace(part, present=without("mesh", rows, slice(None)))
    bad = dataclasses.replace(good, **{field: part})
    with pytest.raises(UsageError, match=rf"no row of the {name}.* has .* can be measured"):
        check(bad, ("image", "mesh"))
    # Between the other two something can be.
    three = {
        split: dataclasses.replace(
            getattr(bad, split),
            inputs={**getattr(bad, split).inputs, "text": np.ones((len(getattr(bad, split)), 2))},
        )
        for split in ("train", "test", "validation")
    }
    check(Splits(**three), ("image", "mesh", "text"))
    assert f"no row of the {field} set has 'mesh': nothing is measured" in caplog.text


def test_what_cannot_be_learned_is_named(caplog):
    # Rows 0, 2, 4 are cats, 1, 3, 5 dogs.
    apart = without("mesh", 6, [1, 3, 5]) | without("image", 6, [0, 2, 4])
    check(splits(present=apart), ("image", "mesh"))
    assert "no training row has a pair of items" in caplog.text
    assert "no training item of 'image' in 1 classes: 'cat'" in caplog.text
    assert "no training item of 'mesh' in 1 classes: 'dog'" in caplog.text
    caplog.clear()
    check(splits(present=without("mesh", 6, 1) | without("image", 6, 1)), ("image", "mesh"))
    assert caplog.text.count("\n") == 1
    assert "1 rows of the training set have no item at all" in caplog.text


def test_one_class_is_none():
    one = {"class_names": ("cat",), "labels": np.zeros(6, np.int32), "true_labels": None}
    data = splits(**one)
    others = [
        dataclasses.replace(part, **{**one, "labels": np.zeros(len(part), np.int32)})
        for part in (data.test, data.validation)
    ]
    with pytest.raises(UsageError, match="all rows have the class 'cat'; at least two"):
        check(Splits(data.train, *others), ("image", "mesh"))


def test_items_that_are_all_the_same_are_named(caplog):
    alike = dict(dataset("a").inputs)
    alike["image"] = np.full_like(alike["image"], 7)
    check(splits(inputs=alike), ("image", "mesh"))
    assert "all items of 'image' in the training set are the same" in caplog.text
    caplog.clear()
    check(splits(), ("image", "mesh"))
    assert not caplog.messages


def test_different_shapes_in_the_splits():
    other = dataclasses.replace(
        dataset("a"), inputs={**dataset("a").inputs, "image": np.zeros((6, 1, 8, 8, 1))}
    )
    with pytest.raises(UsageError, match="'image' items of the test set have the shape"):
        check(Splits(other, dataset("b")), ("image",))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("points", 0, "config.data.points is 0, but it must be at least 1"),
        ("image_size", -4, "config.data.image_size is -4, but it must be at least 1"),
        ("views", 0, "config.data.views is 0"),
        ("train_size", 0, "config.data.train_size is 0"),
        ("channels", 2, "config.data.channels is 2, but it must be one of 1, 3"),
        ("seed", -1, "config.data.seed is -1, but it must be at least 0"),
        ("name", "none", "config.data.name is 'none', but it must be one of mnist3d"),
    ],
)
def test_fields_that_cannot_work(config, field, value, words):
    config.name = "procedural10"
    config[field] = value
    with pytest.raises(UsageError, match=words):
        load(config)
