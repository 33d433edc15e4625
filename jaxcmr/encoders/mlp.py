"""Fully connected encoders of feature vectors `[B, D]`: RONO's point heads and MRL's nets."""

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import Backbone, builder
from jaxcmr.encoders.linear import Linear
from jaxcmr.encoders.norm import BatchNorm


class FeatureMLP(Backbone):
    """Embeds frozen features as RONO: (Linear, BN, ReLU, dropout)*, Linear, BN, ReLU.

    With the defaults the network of 3D MNIST, 2048-512-256; with `hidden=()` that of ModelNet,
    512-256. The first layer has no bias; the others have one, as released, although the batch
    norm after them cancels it. Embeddings are not negative.

    Attributes:
        hidden: widths of the layers before the last.
        dropout: share of hidden units set to zero in training.

    Source: Feng et al., RONO, CVPR 2023 (released `Pt_fc` and ModelNet's `feat_dgcnn.DGCNN`).
    """

    hidden: tuple[int, ...] = (512,)
    dropout: float = 0.4

    @nn.compact
    def __call__(self, x, *, train: bool):
        widths = (*self.hidden, self.embedding_size)
        for layer, width in enumerate(widths, start=1):
            # Only the first layer of the released networks goes without a bias.
            x = Linear(width, use_bias=layer > 1, dtype=self.dtype, name=f"linear{layer}")(x)
            x = nn.relu(BatchNorm(name=f"bn{layer}")(x, train=train))
            if layer < len(widths):
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return x.astype(jnp.float32)


class FullyConnected(Backbone):
    """Embeds features by MRL's network: (Linear, ReLU)*, Linear, rows of norm 1.

    Attributes:
        hidden: widths of the layers before the last.
        dropout: share of hidden units set to zero in training (the paper uses none).
        normalize: divide each embedding by its norm, as the paper does.

    Source: Hu et al., Learning Cross-Modal Retrieval with Noisy Labels, CVPR 2021 (released
    `ImageNet` and `TextNet`).
    """

    embedding_size: int = 512
    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.0
    normalize: bool = True

    @nn.compact
    def __call__(self, x, *, train: bool):
        for layer, width in enumerate(self.hidden, start=1):
            x = nn.relu(Linear(width, dtype=self.dtype, name=f"fc{layer}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = Linear(self.embedding_size, dtype=self.dtype, name=f"fc{len(self.hidden) + 1}")(x)
        x = x.astype(jnp.float32)
        if not self.normalize:
            return x
        # The guard makes the gradient of an all-zero row zero instead of NaN.
        square = jnp.square(x).sum(-1, keepdims=True)
        return x * jnp.where(square > 0, jnp.where(square > 0, square, 1.0) ** -0.5, 0.0)


feature_mlp, fc = builder(FeatureMLP), builder(FullyConnected)
