"""Rows that are read when they are used: the face of an array, and nothing read too early."""

import numpy as np
import pytest

from jaxcmr.storage import lazy
from jaxcmr.types import Dataset


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal((7, 2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    "index",
    [
        3,
        -1,
        slice(1, 5),
        slice(None),
        np.array([4, 4, 0]),
        np.arange(7) % 2 == 0,
        np.array([], int),
        (1, 1, 2),
        (slice(2, 5), 0),
        (np.array([4, 1]), slice(1), 2),
        (Ellipsis, 1),
        (np.array([4, 1]), np.array([0, 1])),
    ],
)
def test_indexing_is_that_of_an_array(values, index):
    for rows in (lazy.stored(values), lazy.decoded(range(7), lambda row: values[row])):
        np.testing.assert_array_equal(rows[index], values[index])


def test_shape_dtype_and_bytes_are_known_without_reading(values):
    def read(rows):
        raise AssertionError("read")

    rows = lazy.LazyRows(read, (7, 2, 3), np.float32)
    assert (len(rows), rows.shape, rows.ndim, rows.nbytes) == (7, (7, 2, 3), 3, values.nbytes)
    assert lazy.size({"a": rows, "b": {"c": values}}) == 2 * values.nbytes
    assert rows.rows(np.array([1, 2])).shape == (2, 2, 3)


def test_rows_of_rows_are_read_once_from_the_source(values):
    seen = []

    def read(rows):
        seen.append(rows.tolist())
        return values[rows]

    rows = lazy.LazyRows(read, values.shape, values.dtype)
    some = rows.rows(np.array([6, 2, 4, 0])).rows(np.array([True, False, True, True]))
    assert seen == []
    np.testing.assert_array_equal(np.asarray(some), values[[6, 4, 0]])
    assert seen == [[6, 4, 0]]


def test_a_data_set_takes_lazy_rows_without_reading_them(values):
    def read(rows):
        raise AssertionError("read")

    rows = lazy.LazyRows(read, (7, 2, 3), np.float32)
    ids, labels = np.arange(7).astype(str), np.arange(7)
    dataset = Dataset({"a": rows, "b": {"c": values}}, labels, None, ids, ("x",) * 7, {})
    part = dataset.rows(np.array([5, 1]))
    assert part.inputs["a"].shape == (2, 2, 3)
    np.testing.assert_array_equal(part.inputs["b"]["c"], values[[5, 1]])


def test_a_missing_item_is_zeros_and_doubles_become_floats(values):
    rows = lazy.decoded([None, 2, 5], lambda row: values[row])
    np.testing.assert_array_equal(rows[:], np.stack([0 * values[0], values[2], values[5]]))
    doubles = lazy.stored(values.astype(np.float64))
    assert doubles.dtype == np.float32 and doubles[2:4].dtype == np.float32
