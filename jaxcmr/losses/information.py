"""Mutual information between the cluster assignments of modalities."""

import jax.numpy as jnp

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import at_least_float32
from jaxcmr.shapes import Array, Bool, Float

_TINY = 1e-12


def negative_information(
    probabilities: Float[Array, "v b k"], present: Bool[Array, "v b"] | None = None
) -> Float[Array, "v b"]:
    """Compute the share of each item in `-I(c; c')`, the negated information that partners share.

        P_kl = mean_i p_ik q_il, made symmetric
        value_i = - sum_kl p_ik q_il log( P_kl / (P_k P_l) )

    with p the assignments of i and q the mean of those of its partners, its items in the other
    modalities. The mean over all rows is `-I`, least (`-log K`) where partners agree with certainty
    and all K clusters are equally large: neither collapse nor indecision pays.

    Args:
        probabilities: `[V, B, K]`, rows sum to 1. The batch must be large against K^2.
        present: `[V, B]`, False for rows that take no part.

    Returns:
        `[V, B]`, 0 for a row without a partner.

    Raises:
        UsageError: fewer than two modalities, shapes do not fit, or rows are no probabilities.

    Example:
        >>> p = jnp.stack([jnp.eye(2), jnp.eye(2)])  # certain, balanced, in agreement
        >>> print(losses.negative_information(p).mean())  # -log 2
        -0.6931472

    References:
        Ji, Henriques, Vedaldi: Invariant information clustering, ICCV 2019, eq. 3, with modalities
        as the two views.
    """
    probabilities = guards.check_shape("probabilities", probabilities, "V", "B", "K")
    if len(probabilities) < 2:
        raise UsageError("information is shared between modalities: give two or more")
    there = guards.row_mask(present, probabilities.shape[:2], name="present")
    guards.check_distributions("probabilities", probabilities, present)
    p = at_least_float32(probabilities)
    weight = there.astype(p.dtype)[..., None]
    p = jnp.where(there[..., None], p, 0.0)
    partners = p.sum(0, keepdims=True) - p
    count = weight.sum(0, keepdims=True) - weight
    paired = there & (count[..., 0] > 0)
    q = partners / jnp.maximum(count, 1.0)
    pairs = jnp.maximum(paired.sum(), 1)
    joint = jnp.einsum("vbk,vbl->kl", jnp.where(paired[..., None], p, 0.0), q) / pairs
    joint = jnp.maximum((joint + joint.T) / 2, _TINY)
    log_ratio = jnp.log(joint) - jnp.log(joint.sum(1)[:, None]) - jnp.log(joint.sum(0)[None])
    values = -jnp.einsum("vbk,vbl,kl->vb", p, q, log_ratio)
    return jnp.where(paired, values, 0.0)
