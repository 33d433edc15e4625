"""What all image encoders share: how pixels come in and how features become an embedding."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr.encoders.base import Backbone
from jaxcmr.encoders.conv.layer import Conv
from jaxcmr.encoders.linear import Linear
from jaxcmr.encoders.norm import BatchNorm, along
from jaxcmr.encoders.pool import max_over

# Mean and deviation of the channels of ImageNet in [0, 1]: what pretrained ResNets were fed with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

POOLS = ("mean", "max", "mean_max")
HEADS = ("linear_bn_relu", "linear", "none")


def as_images(images: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
    """Returns `images` as `[B, H, W, C]` of `dtype`: uint8 divided by 255, grey `[B, H, W]` too.

    Raises:
        ValueError: if the array has neither three nor four axes, or other integers than uint8,
            whose scale is unknown.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"images must be [B, H, W, C] or [B, H, W], not of shape {images.shape}")
    if jnp.issubdtype(images.dtype, jnp.integer):
        if images.dtype != jnp.uint8:
            raise ValueError(f"images must be uint8 or float in [0, 1], not {images.dtype}")
        images = images.astype(jnp.float32) / 255
    return images.astype(dtype)


def standardize(
    images: jax.Array,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> jax.Array:
    """Computes `(images - mean) / std` by channel; images that are not RGB take the averages."""
    if images.shape[-1] != len(mean):
        mean, std = (float(np.mean(mean)),), (float(np.mean(std)),)
    shift, scale = (along(jnp.asarray(v, images.dtype), images) for v in (mean, std))
    return (images - shift) / scale


def conv_norm(
    x: jax.Array,
    features: int,
    size: int,
    stride: int,
    names: tuple[str, str],
    *,
    train: bool,
    norm: Callable[..., nn.Module] = BatchNorm,
    **options: Any,
) -> jax.Array:
    """Computes `BN(conv(x))` of `[B, H, W, C]`; call it inside a compact method.

    Args:
        x, features, size, stride, options: as for `Conv`.
        names: of the convolution and of the batch norm in the module.
        train: whether to normalise by the moments of the batch.
        norm: makes the batch norm.
    """
    x = Conv(features, size, stride, name=names[0], **options)(x)
    return norm(name=names[1])(x, train=train)


def global_pool(images: jax.Array, pool: str) -> jax.Array:
    """Pools `[B, H, W, C]` over all pixels to `[B, C]`, or `[B, 2 C]` for "mean_max".

    Raises:
        ValueError: if `pool` is none of "mean", "max", "mean_max".
    """
    if pool not in POOLS:
        raise ValueError(f"pool must be one of {POOLS}, not {pool!r}")
    parts = []
    if pool != "max":
        parts.append(images.mean((1, 2)))
    if pool != "mean":
        pixels = images.reshape(images.shape[0], -1, images.shape[-1])
        parts.append(max_over(pixels, 1))
    return jnp.concatenate(parts, -1)


class ImageBackbone(Backbone):
    """A backbone that ends in global pooling and a head.

    It takes images `[B, H, W, C]` of any size, grey or RGB, float in [0, 1] or uint8.

    Attributes:
        pool: over the pixels, "mean", "max" or "mean_max" (both, concatenated).
        head: "linear_bn_relu" (RONO's ModelNet head: Linear without bias, batch norm, ReLU; these
            embeddings are not negative), "linear" (with bias) or "none" (the embedding is the
            pooled features, whatever their number).
    """

    pool: str = "mean"
    head: str = "linear_bn_relu"

    def embed(self, features: jax.Array, *, train: bool) -> jax.Array:
        """Maps features `[B, H, W, C]` to embeddings in float32; call it in the compact method.

        Raises:
            ValueError: if `pool` or `head` is unknown.
        """
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {HEADS}, not {self.head!r}")
        x, bias = global_pool(features, self.pool), self.head == "linear"
        if self.head != "none":
            x = Linear(self.embedding_size, use_bias=bias, dtype=x.dtype, name="fc")(x)
        if self.head == "linear_bn_relu":
            x = nn.relu(BatchNorm(name="bn_fc")(x, train=train))
        return x.astype(jnp.float32)
