"""Batch normalisation as PyTorch computes it, so that published networks can be reproduced."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax


class BatchNorm(nn.Module):
    """Normalises each channel (last axis) over all other axes.

    Training: `(x - mean) / sqrt(var + eps) * scale + bias` with the biased batch variance; the
    running variance takes the unbiased one, `n / (n - 1) var` (flax's own BatchNorm keeps the
    biased one). Evaluation uses the running statistics. Statistics are float32 whatever the
    compute dtype. Under a sharded batch inside `jit` the moments are those of the global batch.

    Attributes:
        momentum: weight of the old running statistics.
        epsilon: added to the variance.
        dtype: dtype of the result; that of the input if None.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any = None

    @nn.compact
    def __call__(self, x, *, train: bool, mask=None):
        """Returns `x` normalised; `mask` (`x.shape[:-1]`) leaves entries out of the moments."""
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        if train:
            axes = tuple(range(x.ndim - 1))
            values = x.astype(jnp.float32)
            if mask is None:
                count = jnp.float32(x.size // x.shape[-1])
                mean = values.mean(axes)
                var = jnp.square(values - mean).mean(axes)
            else:
                weight = mask.astype(jnp.float32)[..., None]
                count = jnp.maximum(weight.sum(), 1.0)
                mean = (values * weight).sum(axes) / count
                var = (jnp.square(values - mean) * weight).sum(axes) / count
            if not self.is_initializing():
                unbiased = var * (count / jnp.maximum(count - 1.0, 1.0))
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * unbiased
        else:
            mean, var = running_mean.value, running_var.value
        inverse = lax.rsqrt(var + self.epsilon) * scale
        return (x * inverse + (bias - mean * inverse)).astype(self.dtype or x.dtype)
