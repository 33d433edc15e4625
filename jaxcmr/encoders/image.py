"""What all image encoders share: how pixels come in and how features become an embedding."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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
            whose scale nobody knows.
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


def embed(features: jax.Array, size: int, head: str, *, train: bool) -> jax.Array:
    """Maps pooled features `[B, C]` to embeddings `[B, size]`; call it inside a module.

    Args:
        features: `[B, C]`, in the dtype to compute in.
        size: size d of the embedding; without a head the features are the embedding.
        head: "linear_bn_relu" (RONO's ModelNet head: Linear without bias, batch norm, ReLU),
            "linear" (with bias) or "none".
        train: whether the batch norm takes the moments of the batch.

    Returns:
        Embeddings in float32.

    Raises:
        ValueError: if `head` is unknown.
    """
    if head not in HEADS:
        raise ValueError(f"head must be one of {HEADS}, not {head!r}")
    if head == "linear":
        features = Linear(size, dtype=features.dtype, name="fc")(features)
    elif head == "linear_bn_relu":
        features = Linear(size, use_bias=False, dtype=features.dtype, name="fc")(features)
        features = nn.relu(BatchNorm(name="bn_fc")(features, train=train))
    return features.astype(jnp.float32)
