"""ResNets for images of any size: 18, 34 and 50 layers."""

from functools import partial

import flax.linen as nn

from jaxcmr.encoders.base import builder
from jaxcmr.encoders.image import ImageBackbone, as_images, conv_norm, standardize
from jaxcmr.encoders.pool import max_pool

# He et al.'s initialisation for layers after ReLUs, as torchvision draws it.
KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the width."""

    width: int
    stride: int
    bottleneck: bool

    @nn.compact
    def __call__(self, x, *, train: bool):
        layer = partial(conv_norm, train=train, kernel_init=KERNEL_INIT)
        # As in PyTorch, the stride sits in the 3x3 convolution, not in the first 1x1.
        if self.bottleneck:
            plan = ((self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1))
        else:
            plan = ((self.width, 3, self.stride), (self.width, 3, 1))
        out = x
        for number, step in enumerate(plan, start=1):
            out = out if number == 1 else nn.relu(out)
            out = layer(out, *step, (f"conv{number}", f"bn{number}"))
        if x.shape != out.shape:
            x = layer(x, plan[-1][0], 1, self.stride, ("downsample_conv", "downsample_bn"))
        return nn.relu(x + out)


class ResNet(ImageBackbone):
    """Embeds images by a ResNet of 18, 34 or 50 layers, pooling and head.

    3.6, 7.3 and 8.2 GFLOP forward at 224 x 224. Padding is symmetric and explicit as in PyTorch, so
    torchvision's weights fit. With 50 layers the features are `32 width` wide, else `8 width`, and
    the stride sits in the 3x3 convolution of a block ("v1.5").

    Attributes:
        width: channels of the first stage, doubled by each of the next three.
        imagenet_input: subtract ImageNet's channel means and divide by its deviations, as
            pretrained weights expect.
        depth: number of layers.

    Source: He et al., Deep Residual Learning, CVPR 2016; head as in Feng et al., RONO, CVPR 2023.
    """

    width: int = 64
    imagenet_input: bool = True
    depth: int = 18

    @nn.compact
    def __call__(self, images, *, train: bool):
        x = as_images(images, self.dtype)
        if self.imagenet_input:
            x = standardize(x)
        names = ("conv1", "bn1")
        x = nn.relu(conv_norm(x, self.width, 7, 2, names, train=train, kernel_init=KERNEL_INIT))
        x = max_pool(x, 3, stride=2, padding=1)
        for stage, blocks in enumerate(STAGES[self.depth]):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                name = f"layer{stage + 1}_{block}"
                layer = Block(self.width * 2**stage, stride, self.depth >= 50, name=name)
                x = layer(x, train=train)
        return self.embed(x, train=train)


resnet18, resnet34, resnet50 = (builder(ResNet, depth=depth) for depth in STAGES)
