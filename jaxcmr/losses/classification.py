"""Losses of a classifier's logits against labels: cross-entropy and its noise-robust kin.

`p = softmax(logits)`, `p_y` its entry at the label. A row whose label is outside `0..K-1` has no
label: it gives 0 and no gradient, whatever its logits. (Where labels can be looked at, outside
`jax.jit`, one of K or more is refused.) All values are finite, with finite gradients, at logits of
any size, -inf for a class left out included; only if the label is itself such a class, a loss of
`-log p_y` is infinite. A labelled row that holds NaN or +inf gives NaN, and no gradient.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Integer, ScalarLike

from jaxcmr import guards
from jaxcmr.native import native
from jaxcmr.numerics import at_least_float32, check_targets, label_log_odds, log_rest, sound_rows


def cross_entropy(logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute the cross-entropy `-log p_y` of each row.

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.

    Returns:
        `[...]`, 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.
    """
    odds, labelled = label_log_odds(logits, labels)
    return jnp.where(labelled, jax.nn.softplus(-odds), 0.0)


def mean_absolute_error(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]
) -> Float[Array, "*n"]:
    """Compute `1 - p_y`, half the L1 distance between `p` and the one-hot label.

    Symmetric: summed over all labels it is the constant `K - 1`, so uniformly flipped labels leave
    its minimiser where it was. RONO's classification loss (CRC) is `scale` times this value.

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.

    Returns:
        `[...]` in [0, 1], 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.

    References:
        Ghosh, Kumar, Sastry: Robust loss functions under label noise for deep neural networks,
        AAAI 2017. Feng et al.: RONO, CVPR 2023 (CRC). The papers' own MAE is `2 (1 - p_y)`.
    """
    odds, labelled = label_log_odds(logits, labels)
    return jnp.where(labelled, jax.nn.sigmoid(-odds), 0.0)


def unhinged(logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute `mean_k logits_k - logits_y`, linear in the logits, which must be bounded.

    Symmetric: summed over all labels it is 0, so uniformly flipped labels only scale it. On logits
    `c_k . z / tau` of unit rows it draws z towards the mean center of its posterior,
    `sum_k p(k | x) c_k`: embeddings that say how likely each class is, instead of sure ones.

    Args:
        logits: `[..., K]`, bounded by how they are made (cosines); the loss has no lower bound.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.

    Returns:
        `[...]`, 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.

    References:
        van Rooyen, Menon, Williamson: Learning with symmetric label noise: the importance of being
        unhinged, NeurIPS 2015.
    """
    odds, labelled = label_log_odds(logits, labels)
    logits, _ = sound_rows(logits, labelled)
    own = jax.nn.one_hot(jnp.asarray(native(labels)), logits.shape[-1], dtype=bool)
    values = logits.mean(-1) - jnp.sum(jnp.where(own, logits, 0.0), axis=-1)
    return jnp.where(labelled, jnp.where(jnp.isnan(odds), jnp.nan, values), 0.0)


def generalized_cross_entropy(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"], *, q: ScalarLike = 0.7
) -> Float[Array, "*n"]:
    """Compute `(1 - p_y^q) / q`, between cross-entropy (q -> 0) and MAE (q = 1).

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.
        q: in [0, 1]; 0 is taken as the limit, cross-entropy.

    Returns:
        `[...]` in [0, 1 / q], 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.

    References:
        Zhang, Sabuncu: Generalized cross entropy loss for training deep neural networks with noisy
        labels, NeurIPS 2018, eq. 6 (the form without truncation).
    """
    guards.check_range("q", q, 0.0, 1.0)
    odds, labelled = label_log_odds(logits, labels)
    minus_log_p = jax.nn.softplus(-odds)
    q = jnp.asarray(q, odds.dtype)
    exponent = jnp.where(q > 0, q, 1.0)
    values = jnp.where(q > 0, -jnp.expm1(-exponent * minus_log_p) / exponent, minus_log_p)
    return jnp.where(labelled, values, 0.0)


def symmetric_cross_entropy(
    logits: Float[Array, "*n k"],
    labels: Integer[Array, "*n"],
    *,
    alpha: ScalarLike = 0.1,
    beta: ScalarLike = 1.0,
    log_zero: ScalarLike = -4.0,
) -> Float[Array, "*n"]:
    """Compute `alpha CE + beta RCE`, cross-entropy plus its mirror image.

        RCE = -sum_k p_k log(onehot_k) = -log_zero (1 - p_y),   log 0 := log_zero

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.
        alpha: weight of cross-entropy.
        beta: weight of reverse cross-entropy.
        log_zero: what stands for log 0, the paper's A; negative.

    Returns:
        `[...]`, 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.

    References:
        Wang et al.: Symmetric cross entropy for robust learning with noisy labels, ICCV 2019,
        eqs. 4-7; the defaults are those of its CIFAR-10 runs.
    """
    guards.check_range("alpha", alpha, 0.0)
    guards.check_range("beta", beta, 0.0)
    guards.check_range("log_zero", log_zero, high=0.0)
    odds, labelled = label_log_odds(logits, labels)
    values = _times(alpha, jax.nn.softplus(-odds)) - beta * log_zero * jax.nn.sigmoid(-odds)
    return jnp.where(labelled, values, 0.0)


def focal(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"], *, gamma: ScalarLike = 2.0
) -> Float[Array, "*n"]:
    """Compute `(1 - p_y)^gamma (-log p_y)`, cross-entropy that fades on easy rows.

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.
        gamma: focusing exponent, not negative; 0 is cross-entropy.

    Returns:
        `[...]`, 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.

    References:
        Lin et al.: Focal loss for dense object detection, ICCV 2017, eq. 4 (softmax instead of
        sigmoid, without class weights).
    """
    guards.check_range("gamma", gamma, 0.0)
    odds, labelled = label_log_odds(logits, labels)
    # The power is taken of log(1 - p_y): 0^gamma has no gradient for gamma < 1.
    fade = jnp.exp(-gamma * jax.nn.softplus(odds))
    return jnp.where(labelled, fade * jax.nn.softplus(-odds), 0.0)


def soft_focal(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], *, gamma: ScalarLike = 1.0
) -> Float[Array, "*n"]:
    """Compute the focal loss against soft targets, which are constants.

        (1 - sum_k p_k t_k)^gamma (-sum_k t_k log p_k)

    One-hot targets give `focal`.

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        targets: target probabilities `[..., K]` in [0, 1]; no gradient goes to them.
        gamma: focusing exponent, not negative; 0 is cross-entropy.

    Returns:
        `[...]`.

    Raises:
        UsageError: targets and logits differ in shape, or targets are no probabilities.

    References:
        The base loss of NRCL (noise-robust 2D-3D retrieval, 2025), with gamma 1 and the targets of
        its label bank. NRCL weighs the modalities and their joint prediction 1/2, 1/2 and 1.
    """
    guards.check_range("gamma", gamma, 0.0)
    check_targets(logits, targets)
    rest = log_rest(logits, targets)
    sound = ~jnp.isnan(rest)
    # Never -inf: a gamma of 0 would make it NaN.
    rest = jnp.where(sound, jnp.maximum(rest, jnp.finfo(jnp.float32).min), 0.0)
    targets = lax.stop_gradient(at_least_float32(targets))
    log_p = jax.nn.log_softmax(sound_rows(logits)[0])
    # A class that is left out, of logit -inf, may have the target 0: their product is NaN.
    fits = jnp.sum(jnp.where(targets > 0, targets, 0.0) * jnp.where(targets > 0, log_p, 0.0), -1)
    return jnp.where(sound, -jnp.exp(gamma * rest) * fits, jnp.nan)


def label_smoothing(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"], *, epsilon: ScalarLike = 0.1
) -> Float[Array, "*n"]:
    """Compute cross-entropy against the label mixed with the uniform distribution.

        -(1 - epsilon) log p_y - epsilon / K sum_k log p_k

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.
        epsilon: share of the uniform distribution, in [0, 1].

    Returns:
        `[...]`, 0 for rows without a label.

    Raises:
        UsageError: labels are not one a row of logits or no classes, or `K < 2`.

    References:
        Szegedy et al.: Rethinking the Inception architecture, CVPR 2016, section 7.
    """
    guards.check_range("epsilon", epsilon, 0.0, 1.0)
    odds, labelled = label_log_odds(logits, labels)
    uniform = -jnp.mean(jax.nn.log_softmax(sound_rows(logits, labelled)[0]), axis=-1)
    values = _times(1.0 - epsilon, jax.nn.softplus(-odds)) + _times(epsilon, uniform)
    return jnp.where(labelled, values, 0.0)


def _times(weight: ScalarLike, values: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """`weight * values`, 0 where the weight is: without one, an infinite value does not count."""
    infinite = (weight == 0) & jnp.isinf(values)
    return weight * jnp.where(infinite, 0.0, values)
