"""DGCNN: edge convolutions over neighbor graphs of each layer's input features."""

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import Backbone, builder
from jaxcmr.encoders.edge_conv import edge_conv
from jaxcmr.encoders.linear import Linear, torch_kernel
from jaxcmr.encoders.neighbors import nearest
from jaxcmr.encoders.norm import BatchNorm
from jaxcmr.encoders.pool import max_over


class GraphLayer(nn.Module):
    """Convolves `[x_j - x_i, x_i]` over the k nearest neighbors in the layer's own input."""

    features: int
    k: int

    @nn.compact
    def __call__(self, x, train: bool):
        channels = x.shape[-1]
        kernel = self.param("kernel", torch_kernel, (2 * channels, self.features))
        difference, center = kernel[:channels], kernel[channels:]
        neighbors, norm = nearest(x, self.k), BatchNorm(name="bn")
        return edge_conv(
            x, neighbors, difference, center - difference, norm, train=train, negative_slope=0.2
        )


class DGCNN(Backbone):
    """Embeds clouds by `h_i = max_j LeakyReLU(BN(W [x_j - x_i, x_i]))`, layer upon layer.

    The layers' outputs are concatenated, projected (Linear, BN, LeakyReLU), pooled over the points
    by maximum and by mean, and projected again (Linear, BN, LeakyReLU .01). Neighbors are the k
    nearest in the features that enter the layer, the point itself among them; distances are
    float32. Takes `[B, N, 3]`, any number of points; with fewer than k each looks at all of them.

    Attributes:
        k: neighbors of a point.
        widths: channels of the edge convolutions.
        pooled: channels that are pooled over the points; `embedding_size` if None, as in RoMo
            (the original has 1024).
        remat: recompute each edge convolution, with its graph, in the backward pass instead of
            keeping its arrays: for long clouds.

    Source: Wang et al., Dynamic Graph CNN, ACM TOG 2019, as released with Li et al., RoMo, TIP
    2024.
    """

    k: int = 20
    widths: tuple[int, ...] = (64, 64, 128, 256)
    pooled: int | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, points, *, train: bool):
        layer_type = nn.remat(GraphLayer, static_argnums=(2,)) if self.remat else GraphLayer
        x = points.astype(self.dtype)
        layers = []
        for layer, width in enumerate(self.widths, start=1):
            x = layer_type(width, self.k, name=f"conv{layer}")(x, train)
            layers.append(x)
        x = jnp.concatenate(layers, -1)
        width = self.embedding_size if self.pooled is None else self.pooled
        x = Linear(width, use_bias=False, dtype=self.dtype, name=f"conv{len(layers) + 1}")(x)
        x = BatchNorm(name=f"bn{len(layers) + 1}")(x, train=train)
        x = jnp.maximum(x, 0.2 * x)
        x = jnp.concatenate([max_over(x, 1), x.mean(1)], -1)
        x = Linear(self.embedding_size, use_bias=False, dtype=self.dtype, name="linear1")(x)
        x = BatchNorm(name="bn_linear1")(x, train=train).astype(jnp.float32)
        return jnp.maximum(x, 0.01 * x)


dgcnn = builder(DGCNN)
