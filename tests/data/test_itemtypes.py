"""The same values mean the same items, whatever type, order or layout they are saved in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.items import itemtypes
from jaxcmr.data.own.arrays import to_splits
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy

TYPES = [
    "i1",
    "u1",
    "<i2",
    ">i2",
    "<u2",
    ">u4",
    "<i8",
    ">i8",
    ">u8",
    "<f4",
    ">f4",
    "f8",
    ">f8",
    "g",
]
FEW = settings(derandomize=True, max_examples=40, deadline=None)


def one(array, present=None, name="a.npz: x"):
    """What becomes of one split's array."""
    there = {} if present is None else {"train": np.array(present)}
    return itemtypes.items({"train": array}, there, name)["train"]


def laid_out(array, layout):
    """The same array in another place and order of memory."""
    if layout == "columns":
        return np.asfortranarray(array)
    if layout == "reversed":
        return array[::-1].copy()[::-1]
    if layout == "every other":
        return np.repeat(array, 2, axis=0)[::2]
    return lazy.LazyRows(lambda rows: array[rows], array.shape, array.dtype)


LAYOUTS = st.sampled_from(["columns", "reversed", "every other", "lazy"])


@FEW
@given(st.sampled_from(TYPES), LAYOUTS, st.integers(1, 5), st.integers(1, 4), st.randoms())
def test_vectors_of_the_same_values_are_the_same(dtype, layout, rows, columns, random):
    values = np.array([[random.randint(0, 100) for _ in range(columns)] for _ in range(rows)])
    found = one(laid_out(values.astype(dtype), layout))
    assert found.dtype == np.float32 and found.dtype.isnative
    np.testing.assert_array_equal(np.asarray(found), values)


@FEW
@given(st.sampled_from(TYPES[1:]), LAYOUTS, st.randoms())
def test_pictures_of_the_same_values_are_the_same(dtype, layout, random):
    values = np.array([random.randint(0, 255) for _ in range(32)]).reshape(2, 4, 4, 1)
    values[0, 0, 0] = 255
    found = np.asarray(one(laid_out(values.astype(dtype), layout)))
    # As the encoders take them: integers divided by 255.
    found = found / np.float32(255) if found.dtype == np.uint8 else found
    np.testing.assert_array_equal(found, values.astype(np.uint8) / np.float32(255))


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 1], "?", [0, 255]),
        ([0, 1], "i8", [0, 255]),
        ([0, 1], "u1", [0, 255]),
        ([0, 0], "i4", [0, 0]),
        ([3, 200], "u1", [3, 200]),
        ([3, 200], ">i4", [3, 200]),
        ([0, 51, 255], "f2", np.float32([0, 0.2, 1])),
        ([0, 257 * 51, 65535], ">u2", np.float32([0, 0.2, 1])),
        ([0, 257 * 51, 65535], "i4", np.float32([0, 0.2, 1])),
        ([0.25, 1.0], "f8", np.float32([0.25, 1])),
        ([-0.0005, 1.0005], "f4", np.float32([0, 1])),
    ],
)
def test_scales_that_are_known(values, dtype, expected):
    pictures = np.array(values, dtype).reshape(1, -1, 1, 1)
    found = one(pictures)
    expected = np.array(expected, np.float32 if isinstance(expected, np.ndarray) else np.uint8)
    assert found.dtype == expected.dtype and found.shape == pictures.shape
    np.testing.assert_array_equal(found.ravel(), expected)


@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        ([-1, 1], "f4", r"from -1 to 1 \(float32\).*: \(x \+ 1\) / 2 if -1 is black"),
        ([-2.1, 2.6], "f4", r"from -2\.1 to 2\.6 \(float32\)"),
        ([0, 16], "f8", r"from 0 to 16 \(float64\)"),  # scikit-learn's digits
        ([0, 16], "i8", r"from 0 to 16 \(int64\)"),
        ([0, 4095], "u2", r"from 0 to 4095 \(uint16\)"),  # 12 bits
        ([-5, 200], "i2", r"from -5 to 200 \(int16\)"),
        ([0, 70000], "i4", r"from 0 to 70000 \(int32\)"),
        ([0, 1.5], "f4", r"from 0 to 1\.5 \(float32\).*floats in \[0, 1\]"),
    ],
)
def test_ranges_that_fit_no_scale_are_named(values, dtype, words):
    with pytest.raises(UsageError, match="a.npz: x: the pixels run " + words):
        one(np.array(values, dtype).reshape(1, -1, 1, 1))


def test_one_scale_for_all_splits():
    bright, dark = np.full((1, 2, 2, 1), 255.0), np.full((1, 2, 2, 1), 2.0)
    found = itemtypes.items({"train": bright, "test": dark}, {}, "x")
    np.testing.assert_array_equal(found["test"], np.float32(2 / 255) * np.ones((1, 2, 2, 1)))
    mixed = itemtypes.items({"train": bright.astype(np.uint8), "test": bright / 255}, {}, "x")
    assert mixed["train"].dtype == mixed["test"].dtype == np.float32
    np.testing.assert_array_equal(mixed["train"], mixed["test"])


@pytest.mark.parametrize("dtype", ["f8", "i4", "u1"])
def test_splits_on_different_scales_are_refused(dtype):
    parts = {"train": np.full((1, 2, 2, 1), 255, dtype), "test": np.full((1, 2, 2, 1), 1, dtype)}
    with pytest.raises(UsageError, match="x: the pixels of one split reach 1 and those of another"):
        itemtypes.items(parts, {}, "x")


def test_dark_pictures_are_worth_a_word(caplog):
    one(np.full((1, 2, 2, 1), 16, np.uint8))
    assert "a.npz: x: no pixel is brighter than 16 of 255" in caplog.text
    one(np.full((1, 2, 2, 1), 1 / 255))  # divided by 255 twice
    assert "a.npz: x: no pixel is brighter than 0.00392 of 1" in caplog.text


def test_grey_pictures_get_their_axis():
    assert one(np.full((2, 5, 4), 255, np.uint8)).shape == (2, 5, 4, 1)
    rows = lazy.stored(np.full((2, 5, 4), 255, np.uint8))
    assert one(rows).shape == (2, 5, 4, 1) and one(rows)[1].shape == (5, 4, 1)


@pytest.mark.parametrize("rest", [np.nan, np.inf, 1e300, -7])
def test_what_stands_in_a_missing_items_place_is_not_looked_at(rest):
    for array in (np.array([[1.0, 2.0], [rest, rest]]), np.array([[[[0.5]]], [[[rest]]]])):
        for layout in (array, lazy.LazyRows(lambda rows, a=array: a[rows], array.shape, "f8")):
            found = np.asarray(one(layout, [True, False]))
            np.testing.assert_array_equal(found[0], array[0].astype(np.float32))
            assert not found[1].any()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((2, 3), complex), "complex128; numbers are needed: save the real and the imag"),
        (np.zeros((2, 3), "M8[D]"), "numbers are needed: save numbers, such as days"),
        (np.zeros(2, [("a", "f4"), ("b", "f4")]), "numbers are needed: save its fields"),
        (np.array([["1", "2"]]), "<U1; numbers are needed: save numbers"),
        (np.array([[1, None]], object), "object; numbers are needed"),
        (np.full((1, 2), 1e39), r"holds 1e\+39, more than the 3.4e38 of 32 bits; scale it"),
        (np.full((1, 2), 1e39, ">f8"), "more than the 3.4e38"),
    ],
)
def test_types_that_are_no_numbers(array, words):
    with pytest.raises(UsageError, match=words):
        one(array)


def own(**change):
    arrays = {"text": np.ones((4, 2)), "image": np.ones((4, 3)), "labels": np.array([0, 1, 0, 1])}
    arrays |= {"split": np.array(["train", "train", "test", "test"])} | change
    return to_splits({k: v for k, v in arrays.items() if v is not None}, "a.npz", {}, 0)


@pytest.mark.parametrize(
    "flags",
    [
        np.array(["True", "False", "yes", "NO"]),
        np.array([1.0, 0.0, 1.0, 0.0]),
        np.array([[1], [0], [1], [0]], ">i8"),
        np.array([b"1", b"0", b"t", b"f"]),
    ],
)
def test_flags_of_what_is_present_in_any_spelling(flags):
    splits = own(present_text=flags)
    assert splits.train.present["text"].tolist() == [True, False]
    assert splits.test.present["text"].tolist() == [True, False]
    assert not splits.train.inputs["text"][1].any()


@pytest.mark.parametrize("wrong", [np.nan, 2, 0.5])
def test_flags_that_are_neither(wrong):
    with pytest.raises(UsageError, match=r"a\.npz: present_text has .* in row 1, which is"):
        own(present_text=np.array([1, wrong, 1, 0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": np.ones((2, 4))}, r"shape \[2, 4\] for 4 labels; an item is a row: save its t"),
        ({"image": np.ones((12, 5, 5, 1))}, "if each has 3 views, save them as"),
        ({"split": np.array(["train", "", "test", "test"])}, "a.npz: split has '' in row 1"),
        ({"split": np.array(["train", "tset", "test", "test"])}, "the split 'tset' is none of"),
        ({"ids": np.array(["a", "NaN", "b", "c"])}, "a.npz: ids has 'NaN' in row 1"),
        ({"ids": np.ones((4, 2))}, r"a.npz: ids holds float64 \[4, 2\]; it must be text"),
        ({"class_names": np.ones(2, complex)}, "a.npz: class_names holds complex128; save text"),
        ({"groups": np.ones((4, 2))}, r"a.npz: groups has the shape \[4, 2\], not \[N\]"),
    ],
)
def test_mistakes_of_rows_and_names(change, words):
    with pytest.raises(UsageError, match=words):
        own(**change)


def test_labels_that_lie_on_their_side():
    labels = np.eye(2)[[0, 1, 0, 1]].T
    with pytest.raises(
        UsageError, match=r"labels has the shape \[2, 4\] for 4 rows of text; .* tra"
    ):
        own(labels=labels)


def test_single_numbers_beside_the_arrays_are_no_modality(caplog):
    splits = own(version=np.array(3), class_names=np.array([1.0, 2.0]))
    assert splits.train.modalities == ("text", "image")
    assert splits.train.class_names == ("1", "2")
    assert "a.npz: 1 array is not used: version" in caplog.text


def test_columns_and_rows_of_matlab_are_vectors():
    column = {"labels": np.array([[0, 1, 0, 1]]), "ids": np.array([["a"], ["b"], ["c"], ["d"]])}
    splits = own(**column, split=np.array([["Train", " training ", "val", "TEST"]]))
    assert splits.train.ids.tolist() == ["a", "b"] and splits.validation.ids.tolist() == ["c"]
    assert splits.test.labels.tolist() == [1]


def test_rows_of_a_group_stay_together_and_shared_groups_are_counted(caplog):
    rows = np.arange(20)
    arrays = {"text": np.ones((20, 2)), "labels": rows % 2, "groups": rows // 4}
    splits = to_splits(arrays, "a.npz", {}, 0)
    trained, tested = (set(part.ids.astype(int) // 4) for part in (splits.train, splits.test))
    assert tested and not trained & tested
    own(group=np.array(["p", "q", "q", ""]))
    assert "scores flatter: group 1 of 2 test rows" in caplog.text
