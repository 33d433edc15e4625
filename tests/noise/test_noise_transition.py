"""Transition matrices: draws with counts as exact as rows allow, estimates from beliefs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxcmr.errors import UsageError
from jaxcmr.noise.transition import estimate_transition, inject_transition


@st.composite
def matrices(draw):
    num_classes = draw(st.integers(1, 6))
    weights = draw(hnp.arrays(float, (num_classes, num_classes), elements=st.floats(0, 1)))
    weights += 1e-3 * np.eye(num_classes)
    return weights / weights.sum(axis=1, keepdims=True)


def table(true, given_labels, num_classes):
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (true, given_labels), 1)
    return counts


@settings(max_examples=80, deadline=None)
@given(matrices(), st.integers(0, 60), st.integers(0, 2**32))
def test_counts_are_the_expected_ones_up_to_one(matrix, size, seed):
    labels = np.random.default_rng(seed).integers(0, len(matrix), size)
    record = inject_transition(labels, matrix, seed=seed)
    counts = table(labels, record.labels, len(matrix))
    expected = np.bincount(labels, minlength=len(matrix))[:, None] * matrix
    assert np.all(np.abs(counts - expected) < 1 + 1e-5)
    again = inject_transition(labels, matrix, seed=seed)
    np.testing.assert_array_equal(again.labels, record.labels)
    if size:
        assert record.rate == pytest.approx(1 - np.trace(expected) / size)


def test_whole_counts_are_exact():
    matrix = np.array([[0.6, 0.3, 0.1], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]])
    labels = np.repeat(np.arange(3), 10)
    for seed in range(5):
        counts = table(labels, inject_transition(labels, matrix, seed=seed).labels, 3)
        np.testing.assert_array_equal(counts, 10 * matrix)


def test_counts_of_single_rows_follow_the_matrix_on_average():
    matrix = np.array([[0.5, 0.5], [0.25, 0.75]])
    draws = [inject_transition([0, 1], matrix, seed=seed).labels for seed in range(400)]
    # Means of 400 coin throws: deviations .025 and .022.
    np.testing.assert_allclose(np.mean(draws, axis=0), [0.5, 0.75], atol=0.1)


def test_modalities_draw_separately():
    matrix = 0.6 * np.eye(4) + 0.1
    labels = np.repeat(np.arange(4), 50)
    record = inject_transition(labels, matrix, seed=0, modalities=("image", "text"))
    np.testing.assert_array_equal(record.changed.sum(axis=1), [60, 60])
    assert np.any(record.labels[0] != record.labels[1])


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((2, 3)) / 3, r"shape \(2, 3\)"),
        ([[0.5, 0.4], [0, 1]], r"row 0 .* sums to 0\.9"),
        ([[1.5, -0.5], [0, 1]], r"holds -0\.5"),
        ([[np.nan, 1], [0, 1]], "holds nan"),
    ],
)
def test_a_wrong_matrix_is_one_sentence(matrix, words):
    with pytest.raises(UsageError, match=words):
        inject_transition([0, 1], np.array(matrix), seed=0)


def test_estimate_by_hand():
    labels = np.array([0, 0, 1, 1])
    beliefs = np.array([[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]])
    # Class 0 has the belief 1 + .5 + .5 = 2, of which 1.5 was labelled 0.
    np.testing.assert_allclose(
        estimate_transition(labels, beliefs), [[1.5 / 2, 0.5 / 2], [0.5 / 2, 1.5 / 2]]
    )


def test_estimate_finds_the_matrix_that_made_the_noise():
    matrix = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    true = np.repeat(np.arange(3), 100)
    record = inject_transition(true, matrix, seed=2)
    np.testing.assert_allclose(
        estimate_transition(record.labels, np.eye(3)[true]), matrix, atol=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(matrices(), st.integers(0, 2**32))
def test_rows_of_the_estimate_sum_to_one(beliefs, seed):
    labels = np.random.default_rng(seed).integers(0, beliefs.shape[1], len(beliefs))
    estimate = estimate_transition(labels, beliefs)
    np.testing.assert_allclose(estimate.sum(axis=1), 1)
    assert np.all(estimate >= 0)


def test_rows_without_a_label_count_nowhere():
    matrix = np.array([[0.5, 0.5], [0.25, 0.75]])
    true = np.repeat(np.arange(2), 40)
    some = np.where(np.arange(80) % 10 < 2, -1, true)
    record = inject_transition(some, matrix, seed=0)
    assert (record.labels[some < 0] == -1).all()
    assert record.rate == pytest.approx((0.5 + 0.25) / 2)
    np.testing.assert_allclose(estimate_transition(record.labels, np.eye(2)[true]), matrix)


def test_a_class_without_any_belief_keeps_its_labels():
    np.testing.assert_array_equal(
        estimate_transition(np.array([0, 2]), np.array([[1.0, 0, 0], [1, 0, 0]])),
        [[0.5, 0, 0.5], [0, 1, 0], [0, 0, 1]],
    )


def test_beliefs_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"a row that sums to 1\.5"):
        estimate_transition([0, 1], [[0.5, 0.5], [1.0, 0.5]])


def test_wrong_beliefs_are_refused():
    with pytest.raises(ValueError, match=r"give \[2, K\]"):
        estimate_transition(np.array([0, 1]), np.ones((3, 2)))
    with pytest.raises(ValueError, match="holds -1"):
        estimate_transition(np.array([0, 1]), np.array([[1.0, 0], [-1, 2]]))
