"""The classifier on top of the common space, one for all modalities."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxcmr.encoders.base import builder
from jaxcmr.encoders.linear import Linear


class Head(nn.Module):
    """The shared classification head: Linear d-128, ReLU, Linear 128-K.

    The embeddings of every modality pass through the same weights, which is what pulls the
    modalities together: call `apply` once per modality with the same variables, or once on all
    of them stacked. `hidden=(), use_bias=False` is RoMo's linear cluster classifier. As an
    `Encoder` its "embeddings" are logits, `[..., d]` into `[..., K]`, and it has no state.

    Attributes:
        num_classes: number K of classes.
        hidden: widths of the layers before the last.
        use_bias: whether the last layer has a bias.
        dtype: dtype of the products; parameters and logits are float32.

    Source: Feng et al., RONO, CVPR 2023 (released `HeadNet`).
    """

    num_classes: int
    hidden: tuple[int, ...] = (128,)
    use_bias: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, embeddings, *, train: bool):
        x = embeddings
        for layer, width in enumerate(self.hidden, start=1):
            x = nn.relu(Linear(width, dtype=self.dtype, name=f"linear{layer}")(x))
        last = f"linear{len(self.hidden) + 1}"
        x = Linear(self.num_classes, self.use_bias, dtype=self.dtype, name=last)(x)
        return x.astype(jnp.float32)


head = builder(Head)
