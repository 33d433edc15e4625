"""A linear layer with its batch norm and ReLU, applied to every point alone, in few passes.

A batch norm needs the moments of its input, and normalising writes it once more: on a CPU these
passes over `[B, N, C]` cost several times the matmul between them. The moments of `y = x W` follow
from those of `x`, which is narrower:

    mean_y = mean_x W,    var_y = diag(W^T cov_x W)

and the scale of the norm folds into `W`, so that `y` is written once, normalised.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcmr.encoders.linear import torch_kernel
from jaxcmr.encoders.norm import Affine, Moments, along


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
    `ReLU(max_n y_n + b)`, and nothing of width `[B, N, O]` is written but `y`.

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
    affine = Affine(width, name=f"bn{number}")
    scale, offset = affine(linear_moments(x, kernel) if train else None)
    y = x.astype(dtype) @ (kernel * along(scale, kernel)).astype(dtype)
    if pool:
        y = y.max(-2)
    return nn.relu(y + along(offset, y).astype(dtype))


def linear_moments(x: jax.Array, kernel: jax.Array) -> Moments:
    """Returns the moments of `x @ kernel` over all axes but the last, without computing it."""
    rows = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    mean = rows.mean(0)
    centered = rows - mean[None]
    covariance = centered.T @ centered / len(rows)
    variance = jnp.sum((covariance @ kernel) * kernel, axis=0)
    return Moments(mean @ kernel, variance, len(rows))
