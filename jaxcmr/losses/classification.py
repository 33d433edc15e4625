"""Losses of a classifier's logits against labels: cross-entropy and its noise-robust kin.

These losses and those of `losses.robust` take

* `logits`: unnormalised log-probabilities `[..., K]` of two classes or more;
* `labels`: classes `[...]` in `0..K-1`; negative where a row has no label;

and return `[...]`, 0 for rows without a label. `p` is `softmax(logits)`, `p_y` its entry at the
label. They raise a `UsageError` if labels are not one a row of logits or no classes, if `K < 2`, or
if a number is out of its range.

A row without a label sends no gradient back, whatever its logits. A label of K or more is refused
where it can be looked at; inside `jax.jit` it is no label. All values are finite, with finite
gradients, at logits of any size, -inf for a class left out included; only if the label is itself
such a class, a loss of `-log p_y` is infinite. A labelled row that holds NaN or +inf gives NaN, and
no gradient.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr import guards
from jaxcmr.guards import native
from jaxcmr.numerics import at_least_float32, label_log_odds, log_rest, sound_rows
from jaxcmr.shapes import Array, Float, Integer, ScalarLike


def cross_entropy(logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute the cross-entropy `-log p_y` of each row.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.cross_entropy(logits, jnp.array([0, -1])))  # -log 0.5
        [0.6931472 0.       ]
    """
    odds, labelled = label_log_odds(logits, labels)
    return jnp.where(labelled, jax.nn.softplus(-odds), 0.0)


def mean_absolute_error(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]
) -> Float[Array, "*n"]:
    """Compute `1 - p_y`, half the L1 distance between `p` and the one-hot label.

    Symmetric: summed over all labels it is the constant `K - 1`, so uniformly flipped labels leave
    its minimiser where it was. RONO's classification loss (CRC) is `scale` times this value.

    Returns:
        `[...]` in [0, 1], 0 for rows without a label.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.mean_absolute_error(logits, jnp.array([0, -1])))  # 1 - 0.5
        [0.5 0. ]

    References:
        Ghosh, Kumar, Sastry: Robust loss functions under label noise for deep neural networks,
        AAAI 2017. Feng et al.: RONO, CVPR 2023 (CRC). The papers' MAE is `2 (1 - p_y)`.
    """
    odds, labelled = label_log_odds(logits, labels)
    return jnp.where(labelled, jax.nn.sigmoid(-odds), 0.0)


def unhinged(logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute `mean_k logits_k - logits_y`, linear in the logits, which must be bounded.

    Symmetric: summed over all labels it is 0, so uniformly flipped labels only scale it. On logits
    `c_k . z / tau` of unit rows it draws z towards the mean center of its posterior,
    `sum_k p(k | x) c_k`: embeddings that show how likely each class is, instead of confident ones.

    Args:
        logits, labels: logits are bounded by how they are made (cosines), because the loss is not.

    Example:
        >>> cosines = jnp.array([[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
        >>> print(losses.unhinged(cosines, jnp.array([0, -1])))  # 0.5 - 1
        [-0.5  0. ]

    References:
        van Rooyen, Menon, Williamson: Learning with symmetric label noise: the importance of being
        unhinged, NeurIPS 2015.
    """
    odds, labelled = label_log_odds(logits, labels)
    logits, _ = sound_rows(logits, labelled)
    label = jax.nn.one_hot(jnp.asarray(native(labels)), logits.shape[-1], dtype=bool)
    values = logits.mean(-1) - jnp.sum(jnp.where(label, logits, 0.0), axis=-1)
    return jnp.where(labelled, jnp.where(jnp.isnan(odds), jnp.nan, values), 0.0)


def generalized_cross_entropy(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"], *, q: ScalarLike = 0.7
) -> Float[Array, "*n"]:
    """Compute `(1 - p_y^q) / q`, between cross-entropy (q -> 0) and MAE (q = 1).

    Args:
        q: in [0, 1]; 0 is taken as the limit, cross-entropy.

    Returns:
        `[...]` in [0, 1 / q], 0 for rows without a label.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.generalized_cross_entropy(logits, jnp.array([0, -1]), q=1.0))
        [0.5 0. ]

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
        alpha: weight of cross-entropy.
        beta: weight of reverse cross-entropy.
        log_zero: what stands for log 0, the paper's A; negative.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> values = losses.symmetric_cross_entropy(logits, jnp.array([0, -1]))
        >>> print(values)  # -0.1 log 0.5 + 4 (1 - 0.5)
        [2.0693147 0.       ]

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
        gamma: focusing exponent, not negative; 0 is cross-entropy.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.focal(logits, jnp.array([0, -1])))  # -(1 - 0.5)^2 log 0.5
        [0.1732868 0.       ]

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

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> targets = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> print(losses.soft_focal(logits, targets))  # -0.5 log 0.5, -0.2 log 0.8
        [0.3465736  0.04462871]

    References:
        The base loss of NRCL (noise-robust 2D-3D retrieval, 2025), with gamma 1 and the targets of
        its label bank. NRCL weighs the modalities and their joint prediction 1/2, 1/2 and 1.
    """
    guards.check_range("gamma", gamma, 0.0)
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
        epsilon: share of the uniform distribution, in [0, 1].

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.label_smoothing(logits, jnp.array([0, -1])))
        [0.7407177 0.       ]

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
