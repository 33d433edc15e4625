"""The linear layer of every encoder, with PyTorch's initial distribution."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcmr.encoders.norm import along

# U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of torch.nn.Linear and torch.nn.Conv*d, with
# which the published learning rates were found (a third of the variance of flax's default).
torch_kernel = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Linear(nn.Module):
    """Computes `x @ kernel + bias` over the last axis; a pointwise convolution is the same thing.

    Attributes:
        features: number of outputs.
        use_bias: False before a batch norm, which cancels any constant.
        dtype: dtype of the product; that of `x` if None. Parameters are float32.
    """

    features: int
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x):
        inputs = x.shape[-1]
        kernel = self.param("kernel", torch_kernel, (inputs, self.features))
        dtype = self.dtype or x.dtype
        y = x.astype(dtype) @ kernel.astype(dtype)
        if not self.use_bias:
            return y

        def uniform(key, shape):
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) / jnp.sqrt(inputs)

        return y + along(self.param("bias", uniform, (self.features,)).astype(dtype), y)
