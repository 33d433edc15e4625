"""Many views of one object, one embedding: an image encoder applied to each view, then pooled."""

import jax
import jax.numpy as jnp

from jaxcmr.encoders.base import Encoder, Variables
from jaxcmr.encoders.pool import max_over

POOLS = {"mean": jnp.mean, "max": max_over}


def multi_view(encoder: Encoder, pool: str = "mean", separate_statistics: bool = False) -> Encoder:
    """Wraps an image encoder so that it embeds V views of an object: `pool_v encoder(view_v)`.

    All views share the weights; any number of views, another one at
    every call if need be. The order of the views does not matter, except to running statistics if
    `separate_statistics`.

    Args:
        encoder: embeds `[B, H, W, C]` as `[B, d]`.
        pool: "mean" or "max" over the views.
        separate_statistics: in training, call the encoder once a view, so that batch norms
            normalise each view by its own moments and take V running updates, as RONO's released
            two-view network does. Otherwise one call on all `B V` images, which is faster.

    Returns:
        An encoder of `[B, V, H, W, C]` into `[B, d]` with the variables of `encoder`.

    Raises:
        ValueError: if `pool` is unknown, or the input has not five axes.

    Source: Su et al., Multi-view CNN, ICCV 2015 (max); Feng et al., RONO, CVPR 2023 (mean of two).
    """
    if pool not in POOLS:
        raise ValueError(f"pool must be one of {tuple(POOLS)}, not {pool!r}")

    def init(key: jax.Array, inputs: jax.Array) -> Variables:
        return encoder.init(key, _check(inputs)[:, 0])

    def apply(variables: Variables, inputs, *, train: bool, key: jax.Array | None = None):
        batch, views = _check(inputs).shape[:2]
        if train and separate_statistics:
            embeddings, state = [], {}
            for view in range(views):
                view_key = None if key is None else jax.random.fold_in(key, view)
                out, state = encoder.apply(
                    {**variables, **state}, inputs[:, view], train=True, key=view_key
                )
                embeddings.append(out)
            return POOLS[pool](jnp.stack(embeddings, 1), axis=1), state
        images = inputs.reshape(batch * views, *inputs.shape[2:])
        out, state = encoder.apply(variables, images, train=train, key=key)
        return POOLS[pool](out.reshape(batch, views, -1), axis=1), state

    return Encoder(init, apply)


def _check(inputs: jax.Array) -> jax.Array:
    if inputs.ndim != 5 or inputs.shape[1] == 0:
        raise ValueError(
            f"views must be [B, V, H, W, C] with V at least 1, not of shape {inputs.shape}"
        )
    return inputs
