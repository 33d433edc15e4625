"""Classification losses made for labels (or pseudo labels) of which some are wrong.

Logits, labels, results and errors are those of `losses.classification`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.numerics import label_log_odds
from jaxcmr.shapes import Array, Float, Integer, ScalarLike

# Above these log-odds, log(-log p) is -odds to the last bit of a float64.
_CERTAIN = 40.0


def robust_clustering(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]
) -> Float[Array, "*n"]:
    """Compute MRL's robust clustering loss (RC), `log(1 - p_y)`.

    Its gradient is largest on rows that already fit their label and vanishes on rows that
    contradict it, the reverse of cross-entropy.

    Args:
        logits: `<c_k, z_i> / tau`, products of embeddings and unit class centers, `[..., K]`.
        labels: classes `[...]` in `0..K-1`; negative where a row has no label.

    Returns:
        `[...]`, never positive, 0 for rows without a label. As `p_y -> 1` it falls without bound,
        about as `-log-odds`; value and gradient stay finite, because `1 - p_y` is computed as
        the sum of the other probabilities, in log space. (The released code has no guard.)

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.robust_clustering(logits, jnp.array([0, -1])))  # log(1 - 0.5)
        [-0.6931472  0.       ]

    References:
        Hu et al.: Learning cross-modal retrieval with noisy labels (MRL), CVPR 2021, eq. 3.
    """
    odds, labelled = label_log_odds(logits, labels)
    return jnp.where(labelled, -jax.nn.softplus(odds), 0.0)


def robust_concentrating(
    logits: Float[Array, "*n k"],
    labels: Integer[Array, "*n"],
    *,
    alpha: ScalarLike = 0.25,
    clip: ScalarLike | None = None,
) -> Float[Array, "*n"]:
    """Compute RoMo's robust concentrating loss (RCLL).

        f(max(p_y, clip)),   f(p) = (-log p)^alpha (1 - p)

    A row whose pseudo label is less probable than `clip` is too uncertain to learn from: it gives
    the constant `f(clip)` and no gradient.

    Args:
        logits: unnormalised log-probabilities `[..., K]`.
        labels: pseudo labels `[...]` in `0..K-1`; negative where a row has no label.
        alpha: exponent; 0 is the mean absolute error, larger values lean towards cross-entropy.
        clip: least probability, in [0, 1); `1 / K` if None. 0 never clips: the loss of the first
            released version.

    Returns:
        `[...]`, not negative, 0 for rows without a label.

    Example:
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
        >>> print(losses.robust_concentrating(logits, jnp.array([0, 2])))  # p = 0.5, 1/3
        [0.45622215 0.68252707]

    References:
        Li et al.: RoMo, robust unsupervised multimodal learning with noisy pseudo labels, IEEE TIP
        33:5086-5097, 2024. The released code uses the batch size for K; here K is the number of
        classes.
    """
    guards.check_range("alpha", alpha, 0.0)
    guards.check_range("clip", 0.0 if clip is None else clip, 0.0, 1 - 2**-24)
    odds, labelled = label_log_odds(logits, labels)
    clip = jnp.asarray(1.0 / np.shape(logits)[-1] if clip is None else clip, odds.dtype)
    least_odds = lax.stop_gradient(jnp.log(clip) - jnp.log1p(-clip))
    clipped = jnp.where(odds < least_odds, least_odds, odds)
    return jnp.where(labelled, _concentrating(clipped, alpha), 0.0)


def _concentrating(odds: Float[Array, "*n"], alpha: ScalarLike) -> Float[Array, "*n"]:
    """`(-log p)^alpha (1 - p)` of `p = sigmoid(odds)`, as one exponential.

    As p -> 1 the power has an infinite slope and the other factor is 0: only together, in log
    space, are they finite.
    """
    certain = odds > _CERTAIN
    log_minus_log_p = jnp.log(jax.nn.softplus(-jnp.where(certain, 0.0, odds)))
    log_minus_log_p = jnp.where(certain, -odds, log_minus_log_p)
    # At p = 0 the logarithm is infinite, and would be NaN times an alpha of 0.
    log_minus_log_p = jnp.minimum(log_minus_log_p, jnp.finfo(odds.dtype).max)
    return jnp.exp(alpha * log_minus_log_p - jax.nn.softplus(odds))
