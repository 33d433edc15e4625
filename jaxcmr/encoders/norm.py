"""Batch normalisation as PyTorch computes it, so that published networks can be reproduced."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


class Moments(NamedTuple):
    """Mean and biased variance of each channel, `[C]` float32, over `count` entries."""

    mean: jax.Array
    var: jax.Array
    count: jax.Array | float


def moments(x: jax.Array, mask: jax.Array | None = None) -> Moments:
    """Computes the moments of the last axis over all others; `mask` (`x.shape[:-1]`) selects."""
    axes = tuple(range(x.ndim - 1))
    values = x.astype(jnp.float32)
    if mask is None:
        mean = values.mean(axes)
        return Moments(mean, jnp.square(values - along(mean, x)).mean(axes), x.size // x.shape[-1])
    weight = mask.astype(jnp.float32)[..., None]
    count = jnp.maximum(weight.sum(), 1.0)
    mean = (values * weight).sum(axes) / count
    return Moments(mean, (jnp.square(values - along(mean, x)) * weight).sum(axes) / count, count)


def along(channels: jax.Array, x: jax.Array) -> jax.Array:
    """Gives `[C]` as many leading axes as `x` has, because ranks are never promoted silently."""
    return lax.expand_dims(channels, range(x.ndim - 1))


class BatchNorm(nn.Module):
    """Normalises each channel (last axis) over all other axes.

    Training: `(x - mean) / sqrt(var + eps) * scale + bias` with the biased batch variance.
    Evaluation uses the running moments. The running variance takes the unbiased one, `n / (n - 1)
    var`, as PyTorch's does (flax keeps the biased one). Moments are float32 for any compute
    dtype. Under a sharded batch inside `jit` they are those of the global batch.

    Attributes:
        momentum: weight of the old running moments.
        epsilon: added to the variance.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def __call__(self, x, *, train: bool, mask=None):
        """Returns `x` normalised; `mask` (`x.shape[:-1]`) leaves entries out of the moments."""
        scale, offset = self.affine(x.shape[-1], moments(x, mask) if train else None)
        return (x * along(scale, x) + along(offset, x)).astype(x.dtype)

    @nn.compact
    def affine(self, channels: int, batch: Moments | None) -> tuple[jax.Array, jax.Array]:
        """Returns (scale, offset), both `[C]`, of the map `x * scale + offset` that normalises.

        For layers that compute the moments of their output without building it. The moments are
        those of `batch`, which the running ones then take in, or, if None, the running ones.
        """
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        mean, var = running_mean.value, running_var.value
        if batch is not None:
            mean, var, count = batch
            if not self.is_initializing():
                unbiased = var * (count / jnp.maximum(count - 1.0, 1.0))
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * unbiased
        scale = lax.rsqrt(var + self.epsilon) * scale
        return scale, bias - mean * scale
