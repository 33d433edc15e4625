"""RONO's image network of 3D MNIST."""

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import Backbone, builder
from jaxcmr.encoders.conv.layer import Conv
from jaxcmr.encoders.image import as_images
from jaxcmr.encoders.linear import Linear
from jaxcmr.encoders.pool import max_pool


class MnistCNN(Backbone):
    """Embeds images by RONO's CNN: (conv 3x3, ReLU, max pool 2)*, flatten, (Linear, ReLU)*, Linear.

    Takes images as `as_images` does, all of the size of the first call. There is neither batch norm
    nor dropout. The flattened order is row, column, channel (the released network: channel, row,
    column).

    Attributes:
        channels: width of each convolution.
        hidden: widths of the linear layers before the last.

    Source: Feng et al., RONO, CVPR 2023 (released `Img_FC`).
    """

    channels: tuple[int, ...] = (96, 64)
    hidden: tuple[int, ...] = (1024, 512)

    @nn.compact
    def __call__(self, images, *, train: bool):
        x = as_images(images, self.dtype)
        for layer, width in enumerate(self.channels, start=1):
            # ReLU and the maximum change places: the same value from a quarter of the entries.
            x = nn.relu(max_pool(Conv(width, use_bias=True, name=f"conv{layer}")(x), 2))
        x = x.reshape(x.shape[0], -1)
        for layer, width in enumerate(self.hidden, start=1):
            x = nn.relu(Linear(width, dtype=self.dtype, name=f"fc{layer}")(x))
        last = f"fc{len(self.hidden) + 1}"
        return Linear(self.embedding_size, dtype=self.dtype, name=last)(x).astype(jnp.float32)


mnist_cnn = builder(MnistCNN)
