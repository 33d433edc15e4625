"""The pieces of arithmetic that stay finite at the extremes; every loss is built on them.

Half-precision input is computed in float32, float64 stays float64: values of a loss are never
narrower than float32, and gradients come back in the dtype of the input.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.guards import native
from jaxcmr.shapes import Array, Bool, Float, Integer

# A row whose largest entry is below this counts as zero: it has no direction.
_ZERO_ROW = 1e-12


def at_least_float32(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns `values` in float32, or in their own dtype if that is wider."""
    values = jnp.asarray(native(values))
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def unit_rows(rows: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """Divide each row by its Euclidean length; a zero row stays zero, with a zero gradient.

    A row that holds NaN or infinity becomes NaN, with a zero gradient, too.

    `x / ||x||` has no value and no gradient at zero, and `||x||^2` overflows or underflows long
    before `x` does, so the rows are first divided by their largest entry.
    """
    rows = at_least_float32(rows)
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=-1, keepdims=True))
    sound = jnp.isfinite(largest)
    zero = (largest <= _ZERO_ROW) | ~sound
    # The reciprocal, by which compilers multiply, must not vanish.
    scale = jnp.minimum(largest, 2.0**125)
    # The length cancels the scale, so stopping the gradient of the scale leaves it exact.
    scaled = jnp.where(zero, 0.0, rows / jnp.where(zero, 1.0, scale))
    squared_length = jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)
    return jnp.where(sound, scaled * lax.rsqrt(jnp.where(zero, 1.0, squared_length)), jnp.nan)


def unit_of(values: Float[Array, "..."]) -> Float[Array, ""]:
    """Returns what to divide finite values by so that sums of their squares fit into float32.

    1 for values of usual size, so that these keep every bit; else their largest magnitude.
    """
    values = at_least_float32(values)
    largest = jnp.max(jnp.abs(values), initial=0.0)
    usual = (largest == 0) | ((largest > 2.0**-40) & (largest < 2.0**40))
    # The reciprocal, by which compilers multiply, must not vanish.
    return jnp.where(usual, 1.0, jnp.clip(largest, 2.0**-125, 2.0**125)).astype(values.dtype)


def weighted_logsumexp(
    scores: Float[Array, "..."],
    weights: Float[Array, "..."] | Bool[Array, "..."],
    axis: int | tuple[int, ...] = -1,
) -> Float[Array, "..."]:
    """Compute `log sum_k weights_k exp(scores_k)` with finite gradients; 0 if no weight is left.

    Args:
        scores: numbers of any size, or -inf: if all are, the result is -inf.
        weights: same shape; an entry whose weight is not above 0 is left out, whatever its score.
        axis: the axis or axes summed over.
    """
    scores, weights = jnp.asarray(native(scores)), jnp.asarray(native(weights))
    kept = weights > 0
    # Scores of -inf count as the lowest number, so that one maximum tells them from no entry at
    # all: a second reduction would be a second message between devices.
    lowest = jnp.finfo(jnp.result_type(scores)).min
    floored = jnp.maximum(scores, lowest)
    top = jnp.max(floored, axis=axis, keepdims=True, where=kept, initial=-jnp.inf)
    nothing = top == -jnp.inf
    top = lax.stop_gradient(jnp.where(nothing, 0.0, top))
    # The inner where keeps entries that are left out from overflowing: inf * 0 is NaN.
    below = jnp.where(kept, scores - top, -jnp.inf)
    # Compilers may contract `a * b - top` without rounding `a * b`, so that the largest score
    # (huge, a product) is not its own maximum. Then its share of the sum is still taken as 1.
    below -= lax.stop_gradient(jnp.maximum(below, 0.0))
    total = jnp.sum(jnp.where(kept, weights, 0) * jnp.exp(below), axis=axis)
    empty = jnp.where(jnp.squeeze(nothing, axis), 0.0, -jnp.inf)
    # Not `total > 0`: NaN scores must give NaN.
    some = jnp.log(jnp.where(total == 0, 1.0, total)) + jnp.squeeze(top, axis)
    return jnp.where(total == 0, empty, some)


def sound_rows(
    logits: Float[Array, "*n k"], counted: Bool[Array, "*n"] | bool = True
) -> tuple[Float[Array, "*n k"], Bool[Array, "*n"]]:
    """Returns logits in float32 or wider, 0 in rows that give no value, and which rows do.

    A row gives no value where it is not `counted`, holds NaN or +inf, or nothing but -inf. With
    zeros in its place nothing of it reaches a gradient: not even `0 * NaN`.
    """
    logits = at_least_float32(logits)
    sound = jnp.isfinite(jnp.max(logits, axis=-1)) & counted
    return jnp.where(sound[..., None], logits, 0.0), sound


def label_log_odds(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]
) -> tuple[Float[Array, "*n"], Bool[Array, "*n"]]:
    """Compute `log(p_y / (1 - p_y))`, `p = softmax(logits)`, and whether the row has a label.

    Every loss of `p_y` is a function of only these log-odds `o`: `p_y = sigmoid(o)` and
    `1 - p_y = sigmoid(-o)` are then both exact where the other one rounds to 1.

    A label outside `0..K-1` is no label: its log-odds are 0 and the second result is False. A
    labelled row of which no softmax can be taken (NaN, +inf) has NaN log-odds. Neither sends a
    gradient back. Log-odds of +inf are the largest finite number.

    Raises:
        UsageError: labels are not one a row, are no whole numbers or not below K (where they can
            be looked at), or there are fewer than two classes.
    """
    logits = check_classes(logits)
    classes = logits.shape[-1]
    labels = guards.class_labels(labels, classes, logits.shape[:-1])
    labelled = labels >= 0
    logits, sound = sound_rows(logits, labelled)
    # Subtracting the largest logit first keeps the differences exact at logits of 1e4.
    logits = logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    label = jax.nn.one_hot(labels, classes, dtype=bool)
    label_logit = jnp.sum(jnp.where(label, logits, 0.0), axis=-1)
    odds = label_logit - weighted_logsumexp(logits, ~label)
    odds = jnp.minimum(odds, jnp.finfo(odds.dtype).max)
    return jnp.where(labelled, jnp.where(sound, odds, jnp.nan), 0.0), labelled


def log_rest(logits: Float[Array, "*n k"], targets: Float[Array, "*n k"]) -> Float[Array, "*n"]:
    """Compute `log(1 - <softmax(logits), targets>)` as `log sum_k p_k (1 - targets_k)`.

    The difference from 1 would round to 0 for confident rows; the sum does not. NaN, without a
    gradient, in rows of which no softmax can be taken.
    """
    check_targets(logits, targets)
    targets = lax.stop_gradient(at_least_float32(targets))
    logits, sound = sound_rows(logits, jnp.all(jnp.isfinite(targets), axis=-1))
    rest = weighted_logsumexp(jax.nn.log_softmax(logits), jnp.maximum(1.0 - targets, 0.0))
    return jnp.where(sound, rest, jnp.nan)


def check_classes(logits: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """Returns logits; raises a `UsageError` unless they are of at least two classes."""
    logits = guards.check_shape("logits", logits, "...", "K")
    if logits.shape[-1] < 2:
        raise UsageError(
            f"logits have shape {logits.shape}: give [..., K] with at least two classes"
        )
    return logits


def check_targets(logits: Float[Array, "..."], targets: Float[Array, "..."]) -> None:
    """Raises a `UsageError` unless targets are probabilities of the shape of logits."""
    if np.shape(logits) != np.shape(targets):
        raise UsageError(
            f"targets have shape {np.shape(targets)} and logits {np.shape(logits)}: give one "
            "target probability a logit"
        )
    guards.check_range("targets", targets, 0.0, 1.0, slack=guards.SLACK)
