"""PointNet: a network applied to each point separately, then the maximum over the points."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import Backbone, builder
from jaxcmr.encoders.linear import Linear
from jaxcmr.encoders.norm import BatchNorm
from jaxcmr.encoders.pointwise import pointwise_layer


class Transform(nn.Module):
    """Predicts a square matrix for each cloud from its points and applies it to them."""

    widths: tuple[int, ...] = (64, 128, 1024)
    hidden: tuple[int, ...] = (512, 256)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, points, *, train: bool):
        channels = points.shape[-1]
        x = points
        for layer, width in enumerate(self.widths, start=1):
            last = layer == len(self.widths)
            x = pointwise_layer(x, width, layer, train=train, dtype=self.dtype, pool=last)
        for layer, width in enumerate(self.hidden, start=1):
            x = Linear(width, use_bias=False, dtype=self.dtype, name=f"linear{layer}")(x)
            x = nn.relu(BatchNorm(name=f"bn_linear{layer}")(x, train=train))
        # Starts as the identity: zero kernel, bias = identity.
        zeros = nn.initializers.zeros
        kernel = self.param("matrix_kernel", zeros, (x.shape[-1], channels * channels))
        bias = self.param("matrix_bias", lambda key: jnp.eye(channels).reshape(-1))
        matrix = x.astype(jnp.float32) @ kernel + bias[None]
        matrix = matrix.reshape(*x.shape[:-1], channels, channels)
        return jnp.einsum("bnc,bcd->bnd", points, matrix.astype(points.dtype))


class PointNet(Backbone):
    """Embeds clouds by `W max_n h(points_n)`, h = (Linear without bias, BN, ReLU) per width.

    Takes `[B, N, 3]`, any number of points; invariant under their permutations. RoMo's network is
    `widths=(64, 64, 64, 128, embedding_size)`, without transforms; on one CPU core
    `widths=(64, 128, 256)` and 256 points are enough for the ten classes of ModelNet10.

    Attributes:
        widths: width of each pointwise layer.
        transforms: learn an input transform (3 x 3) and one of the features after the second
            layer. The original's regulariser of the latter, `||I - A A^T||^2`, is left out.

    Source: Qi et al., PointNet, CVPR 2017; without transforms, as released with Li et al., RoMo,
    TIP 2024.
    """

    widths: tuple[int, ...] = (64, 64, 64, 128, 1024)
    transforms: bool = False

    @nn.compact
    def __call__(self, points, *, train: bool):
        x = points.astype(self.dtype)
        if self.transforms:
            x = Transform(dtype=self.dtype, name="input_transform")(x, train=train)
        for layer, width in enumerate(self.widths, start=1):
            last = layer == len(self.widths)
            x = pointwise_layer(x, width, layer, train=train, dtype=self.dtype, pool=last)
            if self.transforms and layer == 2 and not last:
                x = Transform(dtype=self.dtype, name="feature_transform")(x, train=train)
        x = Linear(self.embedding_size, use_bias=False, dtype=self.dtype, name="linear1")(x)
        return x.astype(jnp.float32)


pointnet = builder(PointNet)
