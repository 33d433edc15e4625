"""The pieces of arithmetic that stay finite at the extremes; every loss is built on them.

Half-precision input is computed in float32, float64 stays float64: values of a loss are never
narrower than float32, and gradients come back in the dtype of the input.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Integer

# A row whose largest entry is below this counts as zero: it has no direction.
_ZERO_ROW = 1e-12


def at_least_float32(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns `values` in float32, or in their own dtype if that is wider."""
    values = jnp.asarray(values)
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def unit_rows(rows: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """Divide each row by its Euclidean length; a zero row stays zero, with a zero gradient.

    `x / ||x||` has no value and no gradient at zero, and `||x||^2` overflows or underflows long
    before `x` does, so the rows are first divided by their largest entry.
    """
    rows = at_least_float32(rows)
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=-1, keepdims=True))
    zero = largest <= _ZERO_ROW
    # The length cancels the scale, so stopping the gradient of the scale leaves it exact.
    scaled = jnp.where(zero, 0.0, rows / jnp.where(zero, 1.0, largest))
    squared_length = jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)
    return scaled * lax.rsqrt(jnp.where(zero, 1.0, squared_length))


def weighted_logsumexp(
    scores: Float[Array, "..."],
    weights: Float[Array, "..."] | Bool[Array, "..."],
    axis: int | tuple[int, ...] = -1,
) -> Float[Array, "..."]:
    """Compute `log sum_k weights_k exp(scores_k)` with finite gradients; 0 if no weight is left.

    Args:
        scores: finite numbers of any size.
        weights: same shape, not negative; an entry of weight 0 is left out, whatever its score.
        axis: the axis or axes summed over.
    """
    kept = weights > 0
    top = jnp.max(scores, axis=axis, keepdims=True, where=kept, initial=-jnp.inf)
    top = lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    # The inner where keeps entries that are left out from overflowing: inf * 0 is NaN.
    below = jnp.where(kept, scores - top, -jnp.inf)
    # Compilers may contract `a * b - top` without rounding `a * b`, so that the largest score
    # (huge, a product) is not its own maximum. Then its share of the sum is still taken as 1.
    below -= lax.stop_gradient(jnp.maximum(below, 0.0))
    total = jnp.sum(weights * jnp.exp(below), axis=axis)
    return jnp.log(jnp.where(total > 0, total, 1.0)) + jnp.squeeze(top, axis)


def label_log_odds(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"]
) -> tuple[Float[Array, "*n"], Bool[Array, "*n"]]:
    """Compute `log(p_y / (1 - p_y))`, `p = softmax(logits)`, and whether the row has a label.

    Every loss of `p_y` is a function of these log-odds `o` alone: `p_y = sigmoid(o)` and
    `1 - p_y = sigmoid(-o)` are then both exact where the other one rounds to 1.

    A negative label means "no label": its log-odds are 0 and the second result is False. A label
    of `K` or more is a mistake and gives NaN, because a traced value cannot raise.

    Raises:
        ValueError: labels are not one a row, or there are fewer than two classes.
    """
    logits = at_least_float32(logits)
    labels = jnp.asarray(labels)
    check_labels(logits, labels)
    classes = logits.shape[-1]
    # Subtracting the largest logit first keeps the differences exact at logits of 1e4.
    logits = logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    own = jax.nn.one_hot(labels, classes, dtype=bool)
    own_logit = jnp.sum(jnp.where(own, logits, 0.0), axis=-1)
    odds = own_logit - weighted_logsumexp(logits, ~own)
    labelled = labels >= 0
    odds = jnp.where(labels < classes, odds, jnp.nan)
    return jnp.where(labelled, odds, 0.0), labelled


def log_rest(logits: Float[Array, "*n k"], targets: Float[Array, "*n k"]) -> Float[Array, "*n"]:
    """Compute `log(1 - <softmax(logits), targets>)` as `log sum_k p_k (1 - targets_k)`.

    The difference from 1 would round to 0 for confident rows; the sum does not.
    """
    targets = lax.stop_gradient(at_least_float32(targets))
    check_targets(logits, targets)
    log_p = jax.nn.log_softmax(at_least_float32(logits))
    return weighted_logsumexp(log_p, jnp.maximum(1.0 - targets, 0.0))


def check_labels(logits: Float[Array, "..."], labels: Integer[Array, "..."]) -> None:
    """Raises ValueError unless there is one label a row and at least two classes."""
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels have shape {labels.shape} and logits {logits.shape}: give one label a row of "
            f"logits, shape {logits.shape[:-1]}"
        )
    if logits.shape[-1] < 2:
        raise ValueError(
            f"logits have shape {logits.shape}, {logits.shape[-1]} class: give at least two classes"
        )


def check_targets(logits: Float[Array, "..."], targets: Float[Array, "..."]) -> None:
    """Raises ValueError unless targets and logits have the same shape."""
    if logits.shape != targets.shape:
        raise ValueError(
            f"targets have shape {targets.shape} and logits {logits.shape}: give one target "
            "probability a logit"
        )
