"""A fingerprint of arrays, which shows that a checkpoint is what was written."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@jax.jit
def fingerprint(tree: Any) -> jax.Array:
    """Sums the bits of each leaf, weighted by their places, modulo 2^32: `[leaves]` uint32.

    Whole numbers: the sum is the same on every mesh, and another after any change of one element.
    """

    def of(leaf: jax.Array) -> jax.Array:
        if leaf.dtype == bool:
            leaf = leaf.astype(jnp.uint8)
        width = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
        bits = lax.bitcast_convert_type(leaf, width).astype(jnp.uint32)
        place = jnp.zeros(leaf.shape, jnp.uint32)
        for axis, size in enumerate(leaf.shape):
            place = place * jnp.uint32(size) + lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        return (bits * (2 * place + 1)).sum(dtype=jnp.uint32)

    return jnp.stack([of(leaf) for leaf in jax.tree.leaves(tree)])


def on_host(tree: Any) -> list[int]:
    """Returns the `fingerprint` of numpy arrays, for which no program has to be compiled."""

    def of(leaf: np.ndarray) -> int:
        bits = leaf.ravel().view(f"uint{8 * leaf.dtype.itemsize}").astype(np.uint32)
        weights = 2 * np.arange(bits.size, dtype=np.uint32) + np.uint32(1)
        return int((bits * weights).sum(dtype=np.uint32))

    return [of(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)]
