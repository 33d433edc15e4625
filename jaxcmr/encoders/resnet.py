"""ResNets for images of any size: 18, 34 and 50 layers."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import Encoder, from_module
from jaxcmr.encoders.conv.layer import Conv
from jaxcmr.encoders.image import as_images, embed, global_pool, standardize
from jaxcmr.encoders.norm import BatchNorm
from jaxcmr.encoders.pool import max_pool

# He et al.'s initialisation for layers behind ReLUs, as torchvision draws it.
KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the width."""

    width: int
    stride: int
    bottleneck: bool

    @nn.compact
    def __call__(self, x, *, train: bool):
        def conv_norm(inputs, features, size, stride, conv, norm):
            layer = Conv(features, size, stride, kernel_init=KERNEL_INIT, name=conv)
            return BatchNorm(name=norm)(layer(inputs), train=train)

        # PyTorch's custom: the stride sits in the 3x3 convolution, not in the first 1x1.
        if self.bottleneck:
            plan = ((self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1))
        else:
            plan = ((self.width, 3, self.stride), (self.width, 3, 1))
        out = x
        for layer, (features, size, stride) in enumerate(plan, start=1):
            out = out if layer == 1 else nn.relu(out)
            out = conv_norm(out, features, size, stride, f"conv{layer}", f"bn{layer}")
        if x.shape != out.shape:
            x = conv_norm(x, plan[-1][0], 1, self.stride, "downsample_conv", "downsample_bn")
        return nn.relu(x + out)


class ResNet(nn.Module):
    depth: int
    embedding_size: int
    width: int
    pool: str
    head: str
    imagenet_input: bool
    dtype: Any

    @nn.compact
    def __call__(self, images, *, train: bool):
        x = as_images(images, self.dtype)
        if self.imagenet_input:
            x = standardize(x)
        x = Conv(self.width, 7, 2, kernel_init=KERNEL_INIT, name="conv1")(x)
        x = nn.relu(BatchNorm(name="bn1")(x, train=train))
        x = max_pool(x, 3, stride=2, padding=1)
        for stage, blocks in enumerate(STAGES[self.depth]):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                name = f"layer{stage + 1}_{block}"
                layer = Block(self.width * 2**stage, stride, self.depth >= 50, name=name)
                x = layer(x, train=train)
        return embed(global_pool(x, self.pool), self.embedding_size, self.head, train=train)


def _resnet(depth, embedding_size, width, pool, head, imagenet_input, dtype) -> Encoder:
    return from_module(ResNet(depth, embedding_size, width, pool, head, imagenet_input, dtype))


def resnet18(
    embedding_size: int = 256,
    width: int = 64,
    pool: str = "mean",
    head: str = "linear_bn_relu",
    imagenet_input: bool = True,
    dtype: Any = jnp.float32,
) -> Encoder:
    """Builds ResNet-18 with global pooling and an embedding layer; 3.6 GFLOP forward at 224 x 224.

    Symmetric explicit padding as in PyTorch, so torchvision's weights fit.

    Args:
        embedding_size: size d of the embedding; with `head="none"` it is the width of the features.
        width: channels of the first stage, doubled by each of the next three.
        pool: "mean", "max" or "mean_max" (both, concatenated).
        head: "linear_bn_relu" (RONO: Linear without bias, BN, ReLU), "linear" or "none".
        imagenet_input: subtract ImageNet's channel means and divide by its deviations, as
            pretrained weights expect.
        dtype: dtype of the products; parameters, statistics and embeddings are float32.

    Returns:
        An encoder of images `[B, H, W, C]` (any size, grey or RGB), float in [0, 1] or uint8,
        into `[B, d]`.

    Source: He et al., Deep Residual Learning, CVPR 2016; head as in Feng et al., RONO, CVPR 2023.
    """
    return _resnet(18, embedding_size, width, pool, head, imagenet_input, dtype)


def resnet34(
    embedding_size: int = 256,
    width: int = 64,
    pool: str = "mean",
    head: str = "linear_bn_relu",
    imagenet_input: bool = True,
    dtype: Any = jnp.float32,
) -> Encoder:
    """Builds ResNet-34, 7.3 GFLOP forward at 224 x 224; see `resnet18` for the arguments."""
    return _resnet(34, embedding_size, width, pool, head, imagenet_input, dtype)


def resnet50(
    embedding_size: int = 256,
    width: int = 64,
    pool: str = "mean",
    head: str = "linear_bn_relu",
    imagenet_input: bool = True,
    dtype: Any = jnp.float32,
) -> Encoder:
    """Builds ResNet-50, 8.2 GFLOP forward at 224 x 224; see `resnet18` for the arguments.

    Features are `32 width` wide. The stride sits in the 3x3 convolution of a block ("v1.5").
    """
    return _resnet(50, embedding_size, width, pool, head, imagenet_input, dtype)
