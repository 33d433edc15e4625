"""From per-example values to the one number that is minimised."""

import jax.numpy as jnp

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import at_least_float32
from jaxcmr.shapes import Array, Bool, Float


def masked_mean(values: Float[Array, "..."], mask: Bool[Array, "..."]) -> Float[Array, ""]:
    """Average the values where the mask is True.

        sum_i mask_i values_i / max(sum_i mask_i, 1)

    Args:
        values: per-example values, any shape.
        mask: True for the values that count; a shape that broadcasts to that of `values` (a mask
            `[B]` of rows serves values `[V, B]` of all modalities).

    Returns:
        A scalar, 0 if everything is masked. Values under the mask may be anything, NaN included:
        neither the mean nor the gradient that it sends back sees them.

    Raises:
        UsageError: the mask does not broadcast to the values, or holds no truth values.

    Example:
        >>> values, mask = jnp.array([1.0, 5.0, jnp.nan]), jnp.array([True, True, False])
        >>> print(losses.masked_mean(values, mask))
        3.0
    """
    values = at_least_float32(values)
    mask = guards.truth(mask)
    pairs = zip(mask.shape[::-1], values.shape[::-1])
    if mask.ndim > values.ndim or any(size not in (1, wanted) for size, wanted in pairs):
        raise UsageError(
            f"mask has shape {mask.shape} and values {values.shape}: give one that broadcasts"
        )
    counted = jnp.broadcast_to(mask, values.shape)
    total = jnp.sum(jnp.where(counted, values, 0.0))
    return total / jnp.maximum(jnp.sum(counted), 1).astype(values.dtype)
