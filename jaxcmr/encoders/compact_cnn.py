"""A small CNN for grey renders of objects: the image tower that trains on two CPU cores."""

import flax.linen as nn

from jaxcmr.encoders.base import builder
from jaxcmr.encoders.image import ImageBackbone, as_images, conv_norm


class CompactCNN(ImageBackbone):
    """Embeds images by four strided convolutions with batch norm.

    `(conv stride 2, BN, ReLU)` with `width / 2, width, 2 width, 4 width` channels (5x5, then
    3x3), then pooling and head. 8 MFLOP forward for a 64 x 64 grey image at width 32.

    Attributes:
        width: channels of the second convolution; the work grows with its square.
    """

    pool: str = "mean_max"
    width: int = 32

    @nn.compact
    def __call__(self, images, *, train: bool):
        x = as_images(images, self.dtype)
        widths = (self.width // 2, self.width, 2 * self.width, 4 * self.width)
        for layer, width in enumerate(widths, start=1):
            names, size = (f"conv{layer}", f"bn{layer}"), 5 if layer == 1 else 3
            x = nn.relu(conv_norm(x, width, size, 2, names, train=train))
        return self.embed(x, train=train)


compact_cnn = builder(CompactCNN)
