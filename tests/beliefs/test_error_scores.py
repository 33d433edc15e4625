"""Scores of a list of suspects: by hand, under ties, against scikit-learn."""

import numpy as np
import pytest

from jaxcmr.beliefs import error_scores
from jaxcmr.errors import UsageError

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
WRONG = np.array([True, False, True, False, False])


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    assert error_scores.roc_auc(SCORES, WRONG) == pytest.approx((3 + 2) / (2 * 3))


def test_equal_scores_count_one_half():
    assert error_scores.roc_auc(np.zeros(5), WRONG) == 0.5
    assert error_scores.roc_auc(np.array([2, 1, 1, 0]), np.array([1, 1, 0, 0])) == 3.5 / 4


def test_average_precision_by_hand():
    assert error_scores.average_precision(SCORES, WRONG) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert error_scores.average_precision(np.zeros(5), WRONG) == pytest.approx(2 / 5)


@pytest.mark.parametrize("k, expected", [(1, 1), (2, 1 / 2), (3, 2 / 3), (5, 2 / 5), (100, 2 / 5)])
def test_precision_at_k_by_hand(k, expected):
    assert error_scores.precision_at(SCORES, WRONG, k) == pytest.approx(expected)


def test_precision_at_k_takes_of_equal_scores_the_share_that_fits():
    scores, wrong = np.array([3, 1, 1, 1, 0]), np.array([True, True, False, False, False])
    assert error_scores.precision_at(scores, wrong, 2) == pytest.approx((1 + 1 / 3) / 2)


def test_reliability_and_calibration_error_by_hand():
    probabilities = np.array([0.0, 0.4, 0.5, 0.9, 1.0])
    came_true = np.array([False, True, False, True, True])
    found = error_scores.reliability(probabilities, came_true, bins=2)
    np.testing.assert_array_equal(found.rows, [3, 2])  # a bin holds its upper edge
    np.testing.assert_allclose(found.probability, [0.9 / 3, 1.9 / 2])
    np.testing.assert_allclose(found.share, [1 / 3, 1])
    expected = (3 * (1 / 3 - 0.3) + 2 * (1 - 0.95)) / 5
    assert error_scores.calibration_error(probabilities, came_true, 2) == pytest.approx(expected)


def test_empty_bins_have_no_share_and_do_not_count():
    found = error_scores.reliability(np.array([0.99]), np.array([True]))
    assert found.rows.tolist() == [0] * 14 + [1] and np.isnan(found.share[:-1]).all()
    assert error_scores.calibration_error(np.array([0.99]), np.array([True])) == pytest.approx(0.01)


def test_without_rows_of_both_kinds_there_is_no_score():
    nothing, none = np.zeros(0), np.zeros(0, bool)
    for score in (error_scores.roc_auc, error_scores.average_precision):
        assert np.isnan(score(nothing, none))
        assert np.isnan(score(SCORES, np.zeros(5, bool)))
    assert np.isnan(error_scores.roc_auc(SCORES, np.ones(5, bool)))
    assert error_scores.average_precision(SCORES, np.ones(5, bool)) == 1
    assert np.isnan(error_scores.precision_at(nothing, none, 3))
    assert np.isnan(error_scores.calibration_error(nothing, none))


def test_no_score_depends_on_how_rows_lie():
    rng = np.random.default_rng(0)
    scores, wrong = rng.integers(0, 5, 60) / 4, rng.random(60) < 0.3
    order = rng.permutation(60)
    for score in (
        error_scores.roc_auc,
        error_scores.average_precision,
        error_scores.calibration_error,
        lambda scores, wrong: error_scores.precision_at(scores, wrong, 7),
    ):
        assert score(scores, wrong) == pytest.approx(score(scores[order], wrong[order]))


@pytest.mark.parametrize("levels", [4, 1000])
def test_the_scores_are_those_of_scikit_learn(levels):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(levels)
    wrong = rng.random(300) < 0.2
    scores = rng.integers(0, levels, 300) / levels + 0.3 * wrong
    assert error_scores.roc_auc(scores, wrong) == pytest.approx(
        metrics.roc_auc_score(wrong, scores)
    )
    assert error_scores.average_precision(scores, wrong) == pytest.approx(
        metrics.average_precision_score(wrong, scores)
    )


def test_what_cannot_be_scored_is_one_sentence():
    with pytest.raises(UsageError, match="positive has shape"):
        error_scores.roc_auc(SCORES, WRONG[:2])
    with pytest.raises(UsageError, match="NaN"):
        error_scores.average_precision(np.array([np.nan, 1.0]), np.array([True, False]))
    with pytest.raises(UsageError, match="probabilities"):
        error_scores.calibration_error(np.array([1.5, 0]), np.array([True, False]))
    with pytest.raises(UsageError, match="k is 0"):
        error_scores.precision_at(SCORES, WRONG, 0)
