"""Posteriors of the true label, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.beliefs import posterior

T = jnp.array([[0.8, 0.2], [0.4, 0.6]])  # class by given label


def test_counts_are_of_proposals_against_labels():
    counts = posterior.count_transitions(
        jnp.array([[0, 1, -1, 1], [1, 1, 1, 1]]), jnp.array([0, 0, 1, -1]), 2
    )
    np.testing.assert_array_equal(counts, [[[1, 0], [1, 0]], [[0, 0], [2, 1]]])


def test_a_class_with_few_counts_is_drawn_to_the_frequencies_of_the_labels():
    """With m = (4, 2) / 6: (3 + 4/3) / 6 and (1 + 2/3) / 6; only the prior for the other."""
    found = posterior.transition(jnp.array([[3.0, 1.0], [0.0, 0.0]]), 2.0)
    np.testing.assert_allclose(found, [[13 / 18, 5 / 18], [2 / 3, 1 / 3]], rtol=1e-6)
    more = posterior.transition(jnp.array([[6.0, 0.0], [0.0, 2.0]]), 2.0)  # m = (.7, .3)
    np.testing.assert_allclose(more, [[7.4 / 8, 0.6 / 8], [1.4 / 4, 2.6 / 4]], rtol=1e-6)


def test_without_a_count_labels_say_nothing():
    flat = posterior.transition(jnp.zeros((3, 4, 4)), 5.0)
    np.testing.assert_allclose(flat, np.full((3, 4, 4), 0.25))
    beliefs = jnp.array([[0.1, 0.2, 0.3, 0.4]])
    unmoved = posterior.label_posterior(beliefs, jnp.array([2]), flat[0])
    np.testing.assert_allclose(unmoved, beliefs, rtol=1e-6)


def test_the_posterior_is_bayes_rule():
    """Even beliefs, label 0: .8 against .4. Sure of class 1 by .9: .08 against .36."""
    beliefs = jnp.array([[0.5, 0.5], [0.1, 0.9], [0.1, 0.9]])
    found = posterior.label_posterior(beliefs, jnp.array([0, 0, -1]), T)
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3], [2 / 11, 9 / 11], [0.1, 0.9]], rtol=1e-6)


def test_labels_that_are_never_wrong_are_believed_and_impossible_ones_tell_nothing():
    beliefs = jnp.array([[0.01, 0.99], [0.0, 1.0], [1e-20, 1.0]])
    found = posterior.label_posterior(beliefs, jnp.array([0, 0, 0]), jnp.eye(2))
    np.testing.assert_allclose(found, [[1, 0], [0, 1], [1, 0]])


def test_a_label_outside_the_classes_is_refused_and_none_where_it_cannot_be_seen():
    beliefs = jnp.array([[0.3, 0.7]])
    with pytest.raises(ValueError, match="labels hold 2 in row 0, beyond 1"):
        posterior.label_posterior(beliefs, jnp.array([2]), T)
    unseen = jax.jit(posterior.label_posterior)(beliefs, jnp.array([2]), T)
    np.testing.assert_array_equal(unseen, beliefs)
    assert jax.jit(posterior.likelihood)(beliefs, jnp.array([2]), T) == 0
    with pytest.raises(ValueError, match=r"transition has shape \(2, 3\): give \[..., 2, 2\]"):
        posterior.likelihood(beliefs, jnp.array([0]), jnp.ones((2, 3)))


def test_the_likelihood_is_that_of_the_given_label():
    beliefs = jnp.array([[[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]])
    found = posterior.likelihood(beliefs, jnp.array([0, -1, 1]), T[None])
    np.testing.assert_allclose(found, [[np.log(0.6), 0, np.log(0.2)]], rtol=1e-6)


def test_classes_may_be_renamed():
    beliefs, labels, order = jnp.array([[0.3, 0.7]]), jnp.array([0]), jnp.array([1, 0])
    turned = posterior.label_posterior(beliefs[:, order], order[labels], T[order][:, order])
    np.testing.assert_allclose(turned[:, order], posterior.label_posterior(beliefs, labels, T))
