"""Many views of one object, one embedding: the mean of an image encoder over the views."""

import jax

from jaxcmr.encoders.base import Encoder, Variables


def multi_view(encoder: Encoder) -> Encoder:
    """Wraps an image encoder so that it embeds V views of an object: `mean_v encoder(view_v)`.

    All views share the weights and, in training, the moments of batch norms: the encoder is called
    once on all `B V` images. (RONO's released two-view network normalises each view by its own
    moments.) The number of views may differ between calls; their order does not matter.

    Args:
        encoder: embeds `[B, H, W, C]` as `[B, d]`.

    Returns:
        An encoder of `[B, V, H, W, C]` into `[B, d]` with the variables of `encoder`.

    Raises:
        ValueError: if the input has not five axes, or no view.

    Source: Feng et al., RONO, CVPR 2023 (two views); Su et al., Multi-view CNN, ICCV 2015, take the
    maximum of features.
    """

    def init(key: jax.Array, inputs: jax.Array) -> Variables:
        return encoder.init(key, _check(inputs)[:, 0])

    def apply(variables: Variables, inputs, *, train: bool, key: jax.Array | None = None):
        batch, views = _check(inputs).shape[:2]
        images = inputs.reshape(batch * views, *inputs.shape[2:])
        embeddings, state = encoder.apply(variables, images, train=train, key=key)
        return embeddings.reshape(batch, views, -1).mean(1), state

    return Encoder(init, apply)


def _check(inputs: jax.Array) -> jax.Array:
    if inputs.ndim != 5 or inputs.shape[1] == 0:
        raise ValueError(
            f"views must be [B, V, H, W, C] with V at least 1, not of shape {inputs.shape}"
        )
    return inputs
