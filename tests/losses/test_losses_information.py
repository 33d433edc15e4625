"""Mutual information between modalities: limits, hand arithmetic, masks, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr import losses


def _sure(classes, clusters=3):
    return jnp.stack([jax.nn.one_hot(jnp.array(row), clusters) for row in classes])


def test_agreeing_balanced_certain_assignments_share_all_there_is():
    values = losses.negative_information(_sure([[0, 1, 2], [0, 1, 2]]))
    np.testing.assert_allclose(values, -np.log(3), rtol=1e-5)


def test_the_names_of_clusters_are_compared_as_they_are_but_not_their_order():
    one = losses.negative_information(_sure([[0, 0, 1, 2], [0, 1, 1, 2]]))
    swap = [2, 0, 1]
    other = [[swap[k] for k in row] for row in ([0, 0, 1, 2], [0, 1, 1, 2])]
    np.testing.assert_allclose(losses.negative_information(_sure(other)), one, rtol=1e-5)


@pytest.mark.parametrize("rows", [jnp.full((2, 4, 3), 1 / 3), _sure([[1] * 4, [1] * 4])])
def test_indecision_and_collapse_share_nothing(rows):
    np.testing.assert_allclose(losses.negative_information(rows).mean(), 0.0, atol=1e-6)


def test_hand_arithmetic_of_two_clusters():
    p = jnp.array([[[0.8, 0.2], [0.4, 0.6]], [[0.7, 0.3], [0.1, 0.9]]])
    joint = np.zeros((2, 2))
    for i in range(2):
        joint += np.outer(p[0, i], p[1, i]) / 2
    joint = (joint + joint.T) / 2
    expected = -(joint * np.log(joint / np.outer(joint.sum(1), joint.sum(0)))).sum()
    np.testing.assert_allclose(losses.negative_information(p).mean(), expected, rtol=1e-5)


def test_rows_without_a_partner_give_nothing_and_change_nothing():
    p = jax.nn.softmax(jax.random.normal(jax.random.key(0), (2, 6, 4)))
    present = jnp.ones((2, 6), bool).at[1, 5].set(False)
    values = losses.negative_information(p.at[1, 5].set(jnp.nan), present)
    expected = losses.negative_information(p[:, :5])
    np.testing.assert_allclose(values[:, :5], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(values[:, 5], 0.0)


def test_gradients_are_finite_at_certainty_and_point_towards_agreement():
    mean = lambda logits: losses.negative_information(jax.nn.softmax(logits)).mean()
    certain = 50.0 * _sure([[0, 1, 2], [0, 1, 2]])
    assert np.isfinite(jax.grad(mean)(certain)).all()
    logits = jax.random.normal(jax.random.key(1), (2, 30, 3))
    step = logits - 10.0 * jax.grad(mean)(logits)
    assert mean(step) < mean(logits)


def test_one_modality_shares_no_information():
    with pytest.raises(ValueError, match="two or more"):
        losses.negative_information(jnp.ones((1, 2, 2)) / 2)
