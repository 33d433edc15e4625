"""Posteriors of the true label, from votes, a given label and a noise transition matrix.

With p_k the out-of-fold prediction of the class k, and the noise transition matrix `T[k, y]`, how
often an item of the class k is given the label y, Bayes' rule gives

    q_k = P(true label k | votes, given label y) = p_k T[k, y] / sum_j p_j T[j, y]

With few wrong labels q is near the given label, unless the votes are sure of another one; with many
it is near p; labels without information (all rows of T alike) leave `q = p`. T and the sharpness of
p are estimated from the given labels: T on the rows with the most confident votes (Northcutt et
al., "Confident learning", JAIR 2021), the sharpness by likelihood. Both need out-of-fold votes;
wrong votes make the estimate of T flatter, so that labels count less.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.numerics import at_least_float32

TINY = 1e-12


def count_transitions(proposals: jax.Array, labels: jax.Array, num_classes: int) -> jax.Array:
    """Counts which label was given where the votes propose which class, as sums over the rows.

    Args:
        proposals: `[..., B]` int class ids; -1 is none and is not counted.
        labels: `[B]` class ids as given; negative ones are not counted.
        num_classes: K.

    Returns:
        `[..., K, K]` float32, class proposed by label given. Over batches: `old * decay + new`.

    Raises:
        UsageError: shapes do not fit, or proposals or labels are no classes.
    """
    num_classes = guards.check_whole("num_classes", num_classes, 1)
    proposals = guards.check_shape("proposals", proposals, "...", "B")
    shape = np.shape(proposals)
    proposals = guards.class_labels(proposals, num_classes, shape, name="proposals")
    labels = guards.class_labels(labels, num_classes, shape[-1:])
    proposed = jax.nn.one_hot(proposals, num_classes)  # a row of zeros for -1
    given = jax.nn.one_hot(labels, num_classes)
    return jnp.einsum("...bk,bj->...kj", proposed, given)


def transition(counts: jax.Array, prior: jax.Array | float) -> jax.Array:
    """Estimates T from counts: `T[k, j] = (n_kj + prior m_j) / (sum_j n_kj + prior)`.

    m are the frequencies of the labels, with one pseudo-count each: a class with few counts is
    treated as one whose labels carry no information.

    Args:
        counts: `[..., K, K]` from `count_transitions`.
        prior: pseudo-counts a class, positive.

    Returns:
        `[..., K, K]` float32, rows of sum 1; all alike without a count.

    Raises:
        UsageError: counts are negative or not finite, or the prior is not positive.
    """
    counts = guards.check_shape("counts", counts, "...", "K", "K")
    guards.check_range("counts", counts, 0.0)
    guards.check_positive("prior", prior)
    counts = at_least_float32(counts)
    given = counts.sum(-2, keepdims=True)
    frequencies = (given + 1) / (given.sum(-1, keepdims=True) + counts.shape[-1])
    return (counts + prior * frequencies) / (counts.sum(-1, keepdims=True) + prior)


def likelihood(beliefs: jax.Array, labels: jax.Array, transition: jax.Array) -> jax.Array:
    """Returns `log P(given label y | votes) = log sum_k p_k T[k, y]`, 0 where there is no label.

    Args:
        beliefs: p, `[..., B, K]`.
        labels: `[B]` class ids as given, negative for none.
        transition: T, `[..., K, K]`.

    Returns:
        `[..., B]` float32.

    Raises:
        UsageError: shapes do not fit, or labels are no classes.
    """
    beliefs, labels = _checked(beliefs, labels, transition)
    joint = (beliefs * _given(labels, transition)).sum(-1)
    there = jnp.broadcast_to(labels >= 0, joint.shape)
    return jnp.where(there, jnp.log(jnp.maximum(joint, TINY)), 0.0)


def label_posterior(beliefs: jax.Array, labels: jax.Array, transition: jax.Array) -> jax.Array:
    """Returns `q_k = p_k T[k, y] / sum_j p_j T[j, y]`; p where there is no label.

    For a label that the votes and T together rule out it is p, too.

    Args:
        beliefs: p, `[..., B, K]`.
        labels: `[B]` class ids as given, negative for none.
        transition: T, `[..., K, K]`.

    Returns:
        `[..., B, K]` float32, rows of sum 1.

    Raises:
        UsageError: shapes do not fit, or labels are no classes.
    """
    beliefs, labels = _checked(beliefs, labels, transition)
    joint = beliefs * _given(labels, transition)
    largest = joint.max(-1, keepdims=True)  # divided out first: the sum may be next to nothing
    labelled = jnp.broadcast_to((labels >= 0)[:, None], largest.shape) & (largest > 0)
    joint = joint / jnp.where(largest > 0, largest, 1.0)
    total = jnp.where(labelled, joint.sum(-1, keepdims=True), 1.0)
    return jnp.where(labelled, joint / total, beliefs)


def _checked(beliefs, labels, transition) -> tuple[jax.Array, jax.Array]:
    beliefs = guards.check_shape("beliefs", beliefs, "...", "B", "K")
    classes = np.shape(beliefs)[-1]
    transition = guards.check_shape("transition", transition, "...", classes, classes)
    labels = guards.class_labels(labels, classes, np.shape(beliefs)[-2:-1])
    return at_least_float32(beliefs), labels


def _given(labels: jax.Array, transition: jax.Array) -> jax.Array:
    """Returns `T[k, y_i]` as `[..., B, K]`."""
    return jnp.swapaxes(jnp.take(transition, jnp.maximum(labels, 0), axis=-1), -1, -2)
