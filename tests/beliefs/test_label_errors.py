"""Judging given labels: Bayes' rule and the transition matrix by hand, and noise that is known."""

import warnings

import numpy as np
import pytest

from jaxcmr.beliefs import label_errors
from jaxcmr.beliefs.error_scores import calibration_error
from jaxcmr.beliefs.label_errors import (
    Judgement,
    judge,
    judge_logits,
    noise_rate,
    none_of_these,
    posterior,
    transition,
)
from jaxcmr.errors import UsageError


def test_the_posterior_by_hand():
    """Class 1 is given as 0 every other time: .2 x .9 against .8 x .5."""
    T = np.array([[0.9, 0.1], [0.5, 0.5]])
    p = np.array([[0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    found = posterior(p, np.array([0, 1, -1]), T)
    assert found.dtype == np.float32
    first = [0.18 / (0.18 + 0.4), 0.4 / (0.18 + 0.4)]
    second = [0.02 / (0.02 + 0.4), 0.4 / (0.02 + 0.4)]
    np.testing.assert_allclose(found, [first, second, [0.2, 0.8]], rtol=1e-6)


def test_a_label_that_no_class_could_have_leaves_the_prediction():
    p = np.array([[1.0, 0.0]])
    np.testing.assert_array_equal(posterior(p, np.array([1]), np.eye(2)), p)


def test_the_transition_matrix_of_sure_predictions_by_hand():
    """Labels 0, 0, 1 for the class 0, 1 for 1, 2 for 2: m = (3, 3, 2) / 8; (4 + 1) / (5 + 2) right.

    The prior of class 0 has 2/7 for the wrong labels, of which 3/5 are for 1 and 2/5 for 2.
    """
    p, given = np.eye(3)[[0, 0, 0, 1, 2]], np.array([0, 0, 1, 1, 2])
    prior = np.array(
        [
            [5 / 7, 2 / 7 * 3 / 5, 2 / 7 * 2 / 5],
            [2 / 7 * 3 / 5, 5 / 7, 2 / 7 * 2 / 5],
            [2 / 7 / 2, 2 / 7 / 2, 5 / 7],
        ]
    )
    counts = np.array([[2, 1, 0], [0, 1, 0], [0, 0, 1]])
    for strength in (1.0, 10.0):
        expected = (counts + strength * prior) / (np.array([[3], [1], [1]]) + strength)
        np.testing.assert_allclose(transition(p, given, strength), expected, rtol=1e-6)


def test_a_round_of_expectation_and_maximisation_by_hand():
    """From .8 right labels: q = (.8, .2); then (.8 + 1) / (1 + 2) = .6 are right."""
    found = transition(np.array([[0.5, 0.5]]), np.array([0]), 1.0, rounds=1)
    expected = [[(0.8 + 0.6) / 1.8, 0.4 / 1.8], [(0.2 + 0.4) / 1.2, 0.6 / 1.2]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_noise_rate_and_its_interval_by_hand():
    q = np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    rate, low, high = noise_rate(q, np.array([0, 1, -1]))
    half = 1.96 * np.sqrt(0.1 * 0.9 + 0.5 * 0.5) / 2
    assert rate == pytest.approx((0.1 + 0.5) / 2)
    assert low == 0.0 > rate - half and high == pytest.approx(rate + half)
    many, of_many = np.tile(q, (100, 1)), np.tile([0, 1, -1], 100)
    rate, low, high = noise_rate(many, of_many)
    assert (rate, low, high) == pytest.approx((0.3, 0.3 - half / 10, 0.3 + half / 10))
    assert noise_rate(np.eye(2), np.array([0, 1])) == (0, 0, 0)
    assert np.isnan(noise_rate(q, np.full(3, -1))).all()


def test_an_item_of_no_class_has_a_wrong_label_that_no_other_class_explains():
    p = np.array([[0.4, 0.6], [0.9, 0.1], [0.4, 0.6]])
    q = np.array([[0.7, 0.3], [0.2, 0.8], [0.4, 0.6]])
    found = none_of_these(Judgement(p, np.eye(2), q, 1.0), np.array([0, 1, -1]))
    np.testing.assert_allclose(found, [0.4 * 0.3, 0.1 * 0.2, 0.4], rtol=1e-6)


def test_rows_are_ranked_by_their_probability_ties_in_their_order():
    order = label_errors.suspicion_order(np.array([0.5, np.nan, 0.1, 0.5, np.nan, 0.0]))
    np.testing.assert_array_equal(order, [5, 2, 0, 3, 1, 4])


def _drawn(rows, classes, mix, seed=0, sharpness=2.0, share=None):
    """Draws calibrated predictions, the true classes and given labels, of `mix` = P(given | true).

    Args:
        rows: N.
        classes: K.
        mix: `[K, K]`.
        seed: of the draw.
        sharpness: of predictions.
        share: of each class; None: all alike.
    """
    rng = np.random.default_rng(seed)
    draw = lambda p: (rng.random((len(p), 1)) > p.cumsum(1)).sum(1).clip(max=p.shape[1] - 1)
    share = np.full(classes, 1 / classes) if share is None else share
    logits = sharpness * rng.normal(size=(rows, classes)) + np.log(share)
    p = label_errors.softmax(logits + 2 * sharpness * np.eye(classes)[rng.choice(classes, rows)])
    true = draw(p)
    return p, true, draw(mix[true])


def _symmetric(classes, rate):
    others = rate / (classes - 1) * (1 - np.eye(classes))
    return (1 - rate) * np.eye(classes) + others


def _asymmetric(classes, rate):
    return (1 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, 1)


LONG_TAIL = 15.0 ** -np.linspace(0, 1, 10)
KNOWN = {
    "two classes, 20 %": (2000, 2, _symmetric(2, 0.2), None),
    "ten classes, 20 %": (2000, 10, _symmetric(10, 0.2), None),
    "ten classes, 40 %": (2000, 10, _symmetric(10, 0.4), None),
    "ten classes, 40 % to the next": (2000, 10, _asymmetric(10, 0.4), None),
    "a hundred classes, 40 %": (4000, 100, _symmetric(100, 0.4), None),
    "a long tail, 40 %": (3000, 10, _symmetric(10, 0.4), LONG_TAIL / LONG_TAIL.sum()),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_noise_is_found_and_beliefs_are_calibrated(name):
    rows, classes, mix, share = KNOWN[name]
    p, true, given = _drawn(rows, classes, mix, share=share)
    found = judge(p, given)
    q_given = found.probabilities[np.arange(rows), given]
    rate, low, high = noise_rate(found.probabilities, given)
    frequency = np.bincount(true, minlength=classes) / rows
    distance = np.abs(found.transition - mix).sum(1) @ frequency / 2
    assert abs(rate - (given != true).mean()) < 0.03
    assert low < rate < high and high - low < 0.06
    assert distance < 0.08
    assert calibration_error(q_given, given == true) < 0.05
    assert found.temperature == 1.0
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.transition.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("wanted", [0.25, 2.0, 16.0])
def test_predictions_of_any_sharpness_come_to_the_same_beliefs(wanted):
    p, _, given = _drawn(1000, 4, _symmetric(4, 0.3))
    logits = np.log(p)
    found, same = judge_logits(logits, given), judge_logits(wanted * logits, given)
    assert same.temperature == pytest.approx(wanted * found.temperature)
    np.testing.assert_allclose(same.predictions, found.predictions, atol=1e-6)
    np.testing.assert_allclose(same.probabilities, found.probabilities, atol=1e-6)


def test_judging_probabilities_is_judging_their_logits_up_to_a_constant_a_row():
    p, _, given = _drawn(300, 4, _symmetric(4, 0.3))
    shifted = np.log(p) + np.arange(300)[:, None]
    for ours, theirs in zip(judge(p, given), judge_logits(shifted, given)):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_classes_may_have_other_names():
    p, _, given = _drawn(600, 5, _asymmetric(5, 0.3))
    given[::7] = -1
    order = np.array([3, 0, 4, 1, 2])  # the new class k is the old one order[k]
    found = judge(p, given)
    renamed = judge(p[:, order], np.where(given < 0, -1, np.argsort(order)[given]))
    np.testing.assert_allclose(renamed.probabilities, found.probabilities[:, order], atol=1e-5)
    np.testing.assert_allclose(
        renamed.transition, found.transition[np.ix_(order, order)], atol=1e-5
    )
    assert renamed.temperature == found.temperature


def test_rows_may_come_in_another_order():
    """The halves by which temperature and strength are chosen are others: both may be, too."""
    p, _, given = _drawn(1500, 5, _asymmetric(5, 0.3))
    order = np.random.default_rng(1).permutation(1500)
    found, moved = judge(p, given), judge(p[order], given[order])
    assert moved.temperature == found.temperature
    np.testing.assert_allclose(moved.probabilities, found.probabilities[order], atol=1e-5)
    np.testing.assert_allclose(moved.transition, found.transition, atol=1e-5)


def test_rows_without_a_label_keep_their_prediction_and_change_no_other():
    p, _, given = _drawn(600, 5, _symmetric(5, 0.3))
    found = judge(p, given)
    more = judge(np.r_[p, p[:200]], np.r_[given, np.full(200, -1)])
    np.testing.assert_array_equal(more.probabilities[:600], found.probabilities)
    np.testing.assert_array_equal(more.transition, found.transition)
    np.testing.assert_array_equal(more.probabilities[600:], more.predictions[600:])
    np.testing.assert_array_equal(more.predictions[600:], found.predictions[:200])


def test_temperature_and_transition_are_found_by_out_of_fold_rows_if_there_are():
    p, _, given = _drawn(600, 5, _symmetric(5, 0.3))
    logits, seen = np.log(p), np.arange(900) >= 600
    taught = np.r_[logits, 9.0 * np.eye(5)[given[:300]]], np.r_[given, given[:300]]
    found = judge_logits(*taught, ~seen)
    np.testing.assert_array_equal(found.transition, judge(p, given).transition)
    assert not np.allclose(judge_logits(*taught).transition, found.transition, atol=1e-2)
    in_sample = judge_logits(*taught, np.zeros(900, bool))
    np.testing.assert_array_equal(in_sample.transition, judge_logits(*taught).transition)


@pytest.mark.parametrize("kind", ["constant", "noise"])
def test_predictions_that_say_nothing_suspect_nearly_nothing(kind):
    rng = np.random.default_rng(0)
    given = rng.integers(0, 5, 1000)
    logits = np.zeros((1000, 5)) if kind == "constant" else 3 * rng.normal(size=(1000, 5))
    found = judge_logits(logits, given)
    assert np.abs(found.predictions - 0.2).max() < 0.02
    assert (found.probabilities.argmax(1) != given).mean() < 0.01


ONE = np.ones((4, 1))
EXTREMES = {
    "one class": (ONE, [0, 0, -1, 0]),
    "one row": ([[0.7, 0.3]], [1]),
    "one row without a label": ([[0.7, 0.3]], [-1]),
    "no labels": (np.full((5, 3), 1 / 3), [-1] * 5),
    "no row": (np.zeros((0, 3)), []),
    "sure and right": (np.eye(3)[[0, 1, 2, 0]], [0, 1, 2, 0]),
    "sure and wrong": (np.eye(3)[[0, 1, 2, 0]], [1, 2, 0, 2]),
    "one label for all": (np.eye(3)[[0, 1, 2, 0]], [1, 1, 1, 1]),
    "more classes than rows": (np.full((3, 50), 1 / 50), [0, 49, 7]),
    "a class that nothing predicts": (np.eye(3)[[0, 1, 0, 1]], [0, 1, 2, 1]),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_are_finite_without_a_warning(name):
    p, given = (np.array(part, kind) for part, kind in zip(EXTREMES[name], (float, int)))
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        found = judge(p, given)
        rate = noise_rate(found.probabilities, given)
    for part in found:
        assert np.isfinite(part).all()
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.transition.sum(1), 1, rtol=1e-6)
    assert np.isfinite(rate).all() == (given >= 0).any()
    np.testing.assert_array_equal(found.probabilities[given < 0], found.predictions[given < 0])


def test_logits_of_any_size_are_finite():
    logits = np.array([[1e6, -1e6, 0.0], [0.0, 1e30, 1e30], [-1e30, 0.0, -1e30]] * 5, np.float64)
    with np.errstate(all="raise", under="ignore"):
        found = judge_logits(logits, np.array([1, 0, 2] * 5))
    assert all(np.isfinite(part).all() for part in found)


@pytest.mark.parametrize(
    "predictions, given, words",
    [
        (np.ones(3), [0, 0, 0], "predictions"),
        ([[0.5, 0.4]], [0], "predictions"),
        ([[1.5, -0.5]], [0], "predictions"),
        ([[0.5, 0.5]], [2], "labels"),
        ([[0.5, 0.5]], [0, 1], "labels"),
        ([[np.nan, 0.5]], [0], "predictions"),
    ],
)
def test_what_is_no_distribution_and_what_is_no_class_is_refused(predictions, given, words):
    with pytest.raises(UsageError, match=words):
        judge(np.array(predictions), np.array(given))
