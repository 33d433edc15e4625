"""Terms that are added to a classification loss to keep it from fitting wrong labels."""

import jax
import jax.numpy as jnp

from jaxcmr import guards
from jaxcmr.numerics import at_least_float32, check_classes, log_rest, weighted_logsumexp
from jaxcmr.shapes import Array, Bool, Float


def early_learning_regularization(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"]
) -> Float[Array, "*n"]:
    """Compute the regulariser of ELR, `log(1 - <p, targets>)`.

    Minimising it keeps `p = softmax(logits)` near what it was before the wrong labels were
    learned: `targets` is a running average of the predictions on each row. The method's loss is
    cross-entropy plus a weight (the paper's lambda, 1 to 7) times this.

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        targets: target probabilities `[..., K]`, rows of a label bank; no gradient goes to them.

    Returns:
        `[...]`, never positive; towards minus infinity as `p` and `targets` both become certain.

    Raises:
        UsageError: targets and logits differ in shape, or targets are no probabilities.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> targets = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> values = losses.early_learning_regularization(logits, targets)
        >>> print(values)  # log 0.5, log 0.2
        [-0.6931472 -1.609438 ]

    References:
        Liu et al.: Early-learning regularization prevents memorization of noisy labels, NeurIPS
        2020, eq. 6. The released code clips `p` to [1e-4, 1 - 1e-4]; here the logarithm is taken
        of `sum_k p_k (1 - targets_k)`, which needs no clipping.
    """
    return log_rest(logits, targets)


def class_prior_penalty(
    logits: Float[Array, "n k"],
    prior: Float[Array, "k"] | None = None,
    *,
    mask: Bool[Array, "n"] | None = None,
) -> Float[Array, ""]:
    """Compute how far the batch's mean prediction is from the class prior (a KL divergence).

        sum_k prior_k log(prior_k / mean_i p_ik),   p_i = softmax(logits_i)

    It keeps a classifier from putting everything into few classes.

    Args:
        logits: unnormalised log-probabilities `[n, K]`.
        prior: `[K]` class probabilities; uniform if None.
        mask: `[n]` False for rows that do not count.

    Returns:
        A scalar, not one value a row: the mean stands inside the logarithm. 0 if all rows are
        masked; infinite where no row gives a class of the prior any probability.

    Raises:
        UsageError: shapes do not fit, or the prior are no probabilities.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.class_prior_penalty(logits))  # of the mean (0.3, 0.55, 0.15)
        0.1343643

    References:
        Tanaka et al.: Joint optimization framework for learning with noisy labels, CVPR 2018;
        also in the released loops of NRCL and DivideMix.
    """
    logits = guards.check_shape("logits", logits, "n", "K")
    check_classes(logits)
    logits = at_least_float32(logits)
    rows, classes = logits.shape
    prior = jnp.full((classes,), 1.0 / classes) if prior is None else prior
    prior = guards.check_shape("prior", prior, classes)
    guards.check_distributions("prior", prior)
    prior = at_least_float32(prior)
    mask = guards.row_mask(mask, (rows,))
    log_p = jax.nn.log_softmax(jnp.where(mask[:, None], logits, 0.0))
    counted = jnp.broadcast_to(mask[:, None], log_p.shape)
    # The mean is taken in log space: a class that no row predicts would give log 0.
    log_mean = weighted_logsumexp(log_p, counted, axis=0) - jnp.log(jnp.maximum(mask.sum(), 1))
    log_prior = jnp.log(jnp.where(prior > 0, prior, 1.0))
    terms = jnp.where(prior > 0, prior * (log_prior - log_mean), 0.0)
    return jnp.where(jnp.any(mask), jnp.sum(terms), 0.0)
