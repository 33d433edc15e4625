"""A linear layer with its batch norm and ReLU, applied to every point separately, in few passes.

A batch norm needs the moments of its input, and normalising writes it once more: on a CPU these
passes over `[B, N, C]` cost several times the matmul between them. The moments of `y = x W` follow
from those of `x`, which is narrower:

    mean_y = mean_x W,    var_y = diag(W^T cov_x W)

and the scale of the norm folds into `W`, so that `y` is written once, normalised.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.linear import torch_kernel
from jaxcmr.encoders.norm import BatchNorm, Moments, along
from jaxcmr.encoders.parts import map_parts, number_of_parts

BLOCK_BYTES = 2**21  # of a product on a CPU; timed at 0.25 to 64 MiB


class Kernel(nn.Module):
    """The weights of a linear layer without bias, under the names of `Linear`."""

    features: int

    @nn.compact
    def __call__(self, channels: int) -> jax.Array:
        return self.param("kernel", torch_kernel, (channels, self.features))


def pointwise_layer(
    x: jax.Array, width: int, number: int, *, train: bool, dtype: Any, pool: bool = False
) -> jax.Array:
    """Computes `ReLU(BN(x W))`, and with `pool` its maximum over the points.

    To be called inside a compact method, whose variables get `conv<number>` and `bn<number>`.
    The maximum is taken before the rest, which is monotone: `max_n ReLU(y_n + b)` is
    `ReLU(max_n y_n + b)`.

    Args:
        x: `[B, N, C]`.
        width: number O of outputs.
        number: of the layer, for its names.
        train: normalise by the moments of this batch instead of the running ones.
        dtype: dtype of the product.
        pool: whether only the maximum over the points is wanted.

    Returns:
        `[B, N, O]`, or `[B, O]` with `pool`, of `dtype`.
    """
    kernel = Kernel(width, name=f"conv{number}")(x.shape[-1])
    norm = BatchNorm(name=f"bn{number}")
    scale, offset = norm.affine(width, linear_moments(x, kernel) if train else None)
    x, kernel = x.astype(dtype), (kernel * along(scale, kernel)).astype(dtype)
    y = max_product(x, kernel) if pool else x @ kernel
    return nn.relu(y + along(offset, y).astype(dtype))


def max_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes `max_n (x_n K)`: `[B, N, C]` and `[C, O]` into `[B, O]`.

    Only one point of a cloud decides each output, so the gradient gathers and scatters `B O` rows
    instead of multiplying `[B, N, O]` twice; among equal points the last one gets it.
    """
    return _max_product(x, kernel, jax.config.jax_default_matmul_precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _max_product(x, kernel, precision: str | None):
    return _maxima(x, kernel)[0]


def _maxima(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the maxima `[B, O]` and the points `[B, O]` that have them."""

    def block(x):
        y = x @ kernel
        top = y.max(1)
        points = lax.broadcasted_iota(jnp.int32, y.shape, 1)
        return top, jnp.where(y == top[:, None], points, -1).max(1)

    clouds, points, _ = x.shape
    parts = number_of_parts(clouds, 4 * points * kernel.shape[1], BLOCK_BYTES)
    return map_parts(block, parts, x)


def _max_product_forward(x, kernel, precision):
    top, winners = _maxima(x, kernel)
    return top, (x, kernel, winners)


def _max_product_backward(precision, residuals, grad):
    x, kernel, winners = residuals
    rows = jnp.take_along_axis(x, winners[..., None], axis=1)  # [B, O, C]
    to_kernel = jnp.einsum("boc,bo->co", rows, grad, precision=precision)
    clouds = jnp.arange(x.shape[0])[:, None]
    to_x = jnp.zeros_like(x).at[clouds, winners].add(grad[..., None] * kernel.T[None])
    return to_x, to_kernel


_max_product.defvjp(_max_product_forward, _max_product_backward)


def linear_moments(x: jax.Array, kernel: jax.Array) -> Moments:
    """Returns the moments of `x @ kernel` over all axes but the last, without computing it."""
    rows = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    mean = rows.mean(0)
    centered = rows - mean[None]
    with jax.default_matmul_precision("float32"):
        covariance = centered.T @ centered / len(rows)
        variance = jnp.sum((covariance @ kernel) * kernel, axis=0)
        return Moments(mean @ kernel, variance, len(rows))
