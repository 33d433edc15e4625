"""The guards themselves, with any labels, masks, rows and numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import guards
from jaxcmr.errors import UsageError

few = settings(derandomize=True, max_examples=60, deadline=None)
whole = st.integers(-(2**63), 2**63 - 1)
near = st.integers(-3, 6)


def test_wrong_shapes_are_refused_with_the_right_ones():
    for array, axes, words in (
        (np.ones((2, 3)), ("N",), r"x has shape \(2, 3\): give \[N\]"),
        (np.ones((2, 1)), ("N",), r"give \[N\], as x\[..., 0\]"),
        (np.ones(3), ("...", "B", "K"), r"give \[..., B, K\]"),
        (np.ones((4, 2)), ("...", 3), r"give \[..., 3\]"),
        (1.0, ("N",), r"shape \(\)"),
    ):
        with pytest.raises(UsageError, match=words):
            guards.check_shape("x", array, *axes)
    assert guards.check_shape("x", [[1.0, 2.0]], "...", 2).shape == (1, 2)
    assert guards.check_shape("x", 1.0).shape == ()


@few
@given(st.lists(near | whole, min_size=4, max_size=4), st.sampled_from([np.int64, list]))
def test_labels_are_classes_none_or_refused(values, kind):
    labels = values if kind is list else np.array(values, kind)
    if max(values) >= 4:
        with pytest.raises(UsageError, match=f"labels hold {max(values)} in row"):
            guards.class_labels(labels, 4, (4,))
        return
    found = guards.class_labels(labels, 4, (4,))
    assert found.dtype == jnp.int32
    assert found.tolist() == [max(value, -1) for value in values]


hidden = jax.jit(lambda labels: guards.class_labels(labels, 4, (4,)))


@few
@given(st.lists(near | st.integers(-(2**31), 2**31 - 1), min_size=4, max_size=4))
def test_traced_labels_are_classes_or_none(values):
    found = hidden(np.array(values, np.int32))
    assert found.tolist() == [value if 0 <= value < 4 else -1 for value in values]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.uint32])
def test_labels_of_any_width_are_compared_with_any_number_of_classes(kind):
    for look in (lambda x: guards.class_labels(x, 70_000, (2,)), guards_of_many_classes):
        assert look(jnp.array([3, 100], kind)).tolist() == [3, 100]


guards_of_many_classes = jax.jit(lambda labels: guards.class_labels(labels, 70_000, (2,)))


@few
@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(-2, 2), st.floats(0, 3))
def test_numbers_are_in_their_range_or_refused(value, low, width):
    if low <= value <= low + width:
        guards.check_range("x", value, low, low + width)
    else:
        with pytest.raises(UsageError, match="x is "):
            guards.check_range("x", value, low, low + width)


@few
@given(st.integers(-5, 9) | st.floats() | st.text(max_size=2) | st.booleans() | st.none())
def test_whole_numbers_are_whole_and_in_range(value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and value in range(1, 6):
        found = guards.check_whole("k", value, 1, 5)
        assert isinstance(found, int)
        assert found == value
    else:
        with pytest.raises(UsageError, match="k is "):
            guards.check_whole("k", value, 1, 5)


@few
@given(st.lists(st.floats(width=32), min_size=6, max_size=6), st.integers(0, 7))
def test_rows_are_finite_where_the_mask_is_true(values, bits):
    rows = np.array(values, np.float32).reshape(3, 2)
    mask = np.array([bool(bits & 1 << row) for row in range(3)])
    bad = mask & ~np.isfinite(rows).all(1)
    for given_rows in (rows, jnp.asarray(rows), rows.astype(float)):
        if bad.any():
            with pytest.raises(UsageError, match=rf"in row {bad.argmax()} \(and {bad.sum() - 1}"):
                guards.check_rows("x", given_rows, mask)
        else:
            guards.check_rows("x", given_rows, mask)


def test_numbers_beyond_float32_are_not_finite():
    rows = np.array([[1e39, 0.0], [1e38, 1e38]])
    assert guards.finite_rows(rows).tolist() == [False, True]
    with pytest.raises(UsageError, match="beyond float32 in row 0"):
        guards.check_rows("x", rows)


def test_values_inside_a_trace_are_looked_at_where_they_are_known():
    known = jnp.array([[1.0, np.nan]])
    with pytest.raises(UsageError, match="x holds NaN"):
        jax.jit(lambda: guards.check_rows("x", known))()
    with pytest.raises(UsageError, match="labels hold 9"):
        jax.jit(lambda: guards.class_labels(np.array([9]), 3, (1,)))()
    jax.jit(lambda x: guards.check_rows("x", x))(known)
