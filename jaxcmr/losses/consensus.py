"""The label terms of NIRNL (AAAI 2026): the modalities of an instance decide how its label is used.

Instances are divided by whether the labels of their nearest neighbours agree with the given one in
all modalities (pure), in some (hard) or in none (noisy), see `beliefs.neighbors.divide`; each kind
has a term. All terms take

* `logits [V, B, K]`: products of the embeddings with class barycenters, which are constants;
* `labels [B]`: given labels; negative where there is none;

and return `[B]`, 0 where there is no label. They raise a `UsageError` if shapes do not fit, or
labels are no classes.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr import guards
from jaxcmr.losses.classification import cross_entropy, mean_absolute_error
from jaxcmr.numerics import at_least_float32
from jaxcmr.shapes import Array, Float, Integer


def consensus(logits: Float[Array, "v b k"]) -> Float[Array, "b k"]:
    """Compute the probability that at least one modality is right about a class.

        w_k = 1 - prod_v (1 - softmax(logits_v)_k)

    Returns:
        `[B, K]` in [0, 1], a constant: no gradient flows through it. Rows do not sum to 1. They are
        the weights of NIRNL's hard pairs.

    Example:
        >>> logits = jnp.log(jnp.array([[[0.5, 0.5]], [[0.8, 0.2]]]))  # two modalities, one row
        >>> print(losses.consensus(logits))  # 1 - 0.5 * 0.2, 1 - 0.5 * 0.8
        [[0.9 0.6]]
    """
    logits = guards.check_shape("logits", logits, "V", "B", "K")
    p = jax.nn.softmax(lax.stop_gradient(at_least_float32(logits)))
    return -jnp.expm1(jnp.sum(jnp.log1p(-p), axis=0))


def pure_label_loss(
    logits: Float[Array, "v b k"], labels: Integer[Array, "b"]
) -> Float[Array, "b"]:
    """Compute `-sum_v log p_vy`: a pure pair trusts its label in every modality.

    Example:
        >>> logits = jnp.log(jnp.array([[[0.5, 0.5]], [[0.8, 0.2]]]))
        >>> print(losses.pure_label_loss(logits, jnp.array([0])))  # -log(0.5 * 0.8)
        [0.91629076]
    """
    logits = guards.check_shape("logits", logits, "V", "B", "K")
    labels = guards.class_labels(labels, logits.shape[-1], logits.shape[1:2])
    return jnp.sum(jax.vmap(cross_entropy, in_axes=(0, None))(logits, labels), axis=0)


def hard_label_loss(
    logits: Float[Array, "v b k"], labels: Integer[Array, "b"]
) -> Float[Array, "b"]:
    """Compute `-w_y sum_v log p_vy`: a hard pair trusts its label as far as the modalities do.

    `w` is `consensus(logits)`, a constant.

    Example:
        >>> logits = jnp.log(jnp.array([[[0.5, 0.5]], [[0.8, 0.2]]]))
        >>> print(losses.hard_label_loss(logits, jnp.array([0])))  # -0.9 log(0.5 * 0.8)
        [0.8246617]
    """
    logits = guards.check_shape("logits", logits, "V", "B", "K")
    weights = consensus(logits)
    labels = guards.class_labels(labels, logits.shape[-1], logits.shape[1:2])
    trust = jnp.take_along_axis(weights, jnp.maximum(labels, 0)[:, None], axis=-1)[:, 0]
    # A row without a label may hold anything: NaN times its loss of 0 would be NaN.
    trust = jnp.where(labels >= 0, trust, 0.0)
    return trust * pure_label_loss(logits, labels)


def noisy_label_loss(logits: Float[Array, "v b k"]) -> Float[Array, "b"]:
    """Compute `sum_v sum_k |t_k - p_vk|`: a noisy pair follows the consensus, not its label.

    `t` is the one-hot of the class with the largest `consensus(logits)`, a constant, so the term
    is `2 sum_v (1 - p_vt)`.

    Example:
        >>> logits = jnp.log(jnp.array([[[0.5, 0.5]], [[0.8, 0.2]]]))
        >>> print(losses.noisy_label_loss(logits))  # 2 (1 - 0.5 + 1 - 0.8)
        [1.4]
    """
    logits = guards.check_shape("logits", logits, "V", "B", "K")
    pseudo_labels = jnp.argmax(consensus(logits), axis=-1)
    errors = jax.vmap(mean_absolute_error, in_axes=(0, None))(logits, pseudo_labels)
    return 2.0 * jnp.sum(errors, axis=0)
