"""Rows without a label, under a mask or without numbers touch no other row, not even by NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr import losses

JUNK = [np.nan, np.inf, -np.inf]
SOUND = [0.0, 1.0, -2.0]
CENTERS = jnp.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]])

BY_LABEL = {
    "cross_entropy": losses.cross_entropy,
    "mean_absolute_error": losses.mean_absolute_error,
    "unhinged": losses.unhinged,
    "generalized_cross_entropy": losses.generalized_cross_entropy,
    "symmetric_cross_entropy": losses.symmetric_cross_entropy,
    "focal": losses.focal,
    "label_smoothing": losses.label_smoothing,
    "robust_clustering": losses.robust_clustering,
    "robust_concentrating": losses.robust_concentrating,
    "robust_center": lambda x, y: losses.robust_center(
        x, y, CENTERS, ramp=0.5, tau1=0.5, tau2=0.5, margin=0.2
    ),
    "center_classification": lambda x, y: losses.center_classification(x, y, CENTERS),
    "center_distance": lambda x, y: losses.center_distance(x, y, CENTERS),
    "pure_label_loss": lambda x, y: losses.pure_label_loss(jnp.stack([x, x]), y),
    "hard_label_loss": lambda x, y: losses.hard_label_loss(jnp.stack([x, x]), y),
}


def value_and_slope(function, x):
    values, backward = jax.vjp(function, jnp.asarray(x))
    return np.asarray(values), np.asarray(backward(jnp.ones_like(values))[0])


@pytest.mark.parametrize("name", BY_LABEL)
def test_a_row_without_a_label_gives_nothing_whatever_it_holds(name):
    loss = BY_LABEL[name]
    for junk in (JUNK, [np.inf] * 3, [1e30, -1e30, 0.0]):
        values, slopes = value_and_slope(lambda x: loss(x, jnp.array([-1, 1])), [junk, SOUND])
        alone, slope = value_and_slope(lambda x: loss(x, jnp.array([1])), [SOUND])
        np.testing.assert_allclose(values, [0.0, alone[0]], rtol=1e-6)
        np.testing.assert_allclose(slopes, [np.zeros(3), slope[0]], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", BY_LABEL)
def test_a_labelled_row_that_holds_nan_shows_it_and_a_mask_hides_it(name):
    loss, labels = BY_LABEL[name], jnp.array([0, 1])
    assert np.isnan(loss(jnp.array([[np.nan, 0.0, 1.0], SOUND]), labels)[0])
    mean = lambda x: losses.masked_mean(loss(x, labels), jnp.array([False, True]))
    value, slope = jax.value_and_grad(mean)(jnp.array([[np.nan, 0.0, 1.0], SOUND]))
    expected = loss(jnp.array([SOUND]), labels[1:])[0]
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert not slope[0].any()
    assert np.isfinite(slope).all()


def test_labels_are_whole_numbers_below_the_classes():
    logits = jnp.zeros((2, 3))
    for labels, words in (
        (np.array([0, 2**32]), "labels hold 4294967296 in row 1, beyond 2"),
        (np.array([0.0, 1.0]), "labels are float64: give whole numbers"),
        (jnp.array([0.0, 1.0]), "labels are float32: give whole numbers"),
        (np.array([True, False]), "labels are bool"),
        (np.array([[0], [1]]), r"shape \(2, 1\): give \[2\], as labels\[..., 0\]"),
    ):
        with pytest.raises(ValueError, match=words):
            losses.cross_entropy(logits, labels)
    for labels in (np.array([2**32, -1]), np.array([0.0, 1.0])):
        with pytest.raises(ValueError, match="labels"):
            losses.denoising_contrastive(jnp.ones((2, 2, 3)), labels, temperature=1.0)
    for kind in (np.int8, np.uint8, np.uint64, np.int64):
        np.testing.assert_allclose(losses.cross_entropy(logits, np.ones(2, kind)), np.log([3, 3]))


def test_a_class_left_out_by_a_logit_of_minus_infinity_costs_nothing():
    """With p = softmax(1, 2) = (s, 1 - s) with s = 1 / (1 + e): the third class is not there."""
    logits, share = jnp.array([[1.0, 2.0, -np.inf]]), 1 / (1 + np.e)
    focal = -(1 - share) * np.log(share)
    np.testing.assert_allclose(losses.focal(logits, jnp.array([0]), gamma=1.0), [focal], rtol=1e-6)
    value, slope = value_and_slope(lambda x: losses.soft_focal(x, jnp.array([[1.0, 0, 0]])), logits)
    np.testing.assert_allclose(value, [focal], rtol=1e-6)
    assert np.isfinite(slope).all()
    for gamma in (0.0, 2.0):
        only = losses.focal(jnp.array([[3.0, -np.inf]]), jnp.array([0]), gamma=gamma)
        np.testing.assert_array_equal(only, [0.0])
    certain = jnp.array([[3.0, -np.inf]])
    np.testing.assert_array_equal(losses.cross_entropy(certain, jnp.array([0])), [0.0])
    np.testing.assert_array_equal(losses.cross_entropy(certain, jnp.array([1])), [np.inf])
    np.testing.assert_allclose(losses.mean_absolute_error(certain, jnp.array([1])), [1.0])
    unsmoothed = losses.label_smoothing(certain, jnp.array([0]), epsilon=0.0)
    np.testing.assert_array_equal(unsmoothed, [0.0])


def test_a_prior_on_a_class_that_no_row_may_have_costs_infinitely_much():
    logits = jnp.array([[1.0, 2.0, -np.inf]])
    value, slope = value_and_slope(losses.class_prior_penalty, logits)
    assert value == np.inf
    assert np.isfinite(slope).all()
    # With no prior on it: KL((1/2, 1/2), (s, 1 - s)).
    share = 1 / (1 + np.e)
    rest = losses.class_prior_penalty(logits, jnp.array([0.5, 0.5, 0.0]))
    np.testing.assert_allclose(rest, -np.log(4 * share * (1 - share)) / 2, rtol=1e-5)


def test_the_weight_of_an_absent_row_changes_no_other_row():
    z = jax.random.normal(jax.random.key(0), (2, 4, 3))
    labels, present = jnp.array([0, 0, 0, -1]), jnp.array([[True, True, False, True]] * 2)

    def slope(weights):
        mean = lambda z: losses.masked_mean(
            losses.denoising_contrastive(z, labels, weights, temperature=0.5, present=present),
            present,
        )
        return jax.grad(mean)(z)

    spoiled = slope(jnp.array([1.0, 0.5, np.nan, np.nan]))
    np.testing.assert_allclose(spoiled, slope(jnp.array([1.0, 0.5, 0.0, 0.0])), rtol=1e-6)
    assert np.isfinite(spoiled).all()


def test_masks_have_the_shape_of_what_they_mask_and_hold_truth_values():
    p = jnp.full((2, 3, 2), 0.5)
    with pytest.raises(ValueError, match=r"present has shape \(3,\): give \[2, 3\]"):
        losses.negative_information(p, jnp.array([True, True, False]))
    with pytest.raises(ValueError, match="sums to 2"):
        losses.negative_information(2 * jnp.ones((2, 3, 2)) / 2)
    with pytest.raises(ValueError, match=r"mask has shape \(2,\) and values \(2, 3\)"):
        losses.masked_mean(jnp.ones((2, 3)), jnp.array([True, False]))
    with pytest.raises(ValueError, match="mask holds 2"):
        losses.masked_mean(jnp.ones(3), np.array([0, 2, 1]))
    assert losses.masked_mean(jnp.arange(3.0), np.array([0.0, 1.0, 1.0])) == 1.5


def test_numbers_out_of_range_are_named():
    z, logits, labels = jnp.ones((2, 2, 3)), jnp.zeros((2, 3)), jnp.array([0, 1])
    for call, words in (
        (lambda: losses.multimodal_contrastive(z, temperature=0.0), "temperature is 0"),
        (lambda: losses.supervised_contrastive(z, labels, temperature=-1), "temperature is -1"),
        (lambda: losses.cross_modal_margin(z, margin=np.nan), "margin is nan"),
        (lambda: losses.cross_modal_margin(z, block_size=1.5), "block_size is 1.5"),
        (lambda: losses.focal(logits, labels, gamma=-1.0), "gamma is -1"),
        (lambda: losses.label_smoothing(logits, labels, epsilon=1.5), "epsilon is 1.5"),
        (lambda: losses.robust_concentrating(logits, labels, clip=1.0), "clip is 1"),
        (lambda: losses.soft_focal(logits, logits + 2.0), "targets hold 2"),
        (lambda: losses.class_prior_penalty(logits, jnp.ones(3)), "sums to 3"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
