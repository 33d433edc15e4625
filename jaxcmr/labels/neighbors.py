"""Agreement of a label with the labels of its nearest neighbours.

NIRNL (AAAI 2026) divides the pairs of a training set by it: pure, hard, noisy.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

NOISY, HARD, PURE = range(3)  # no modality, some, all confirm the given label


@partial(jax.jit, static_argnames=("k", "block"))
def nearest_neighbors(
    features: jax.Array, k: int, mask: jax.Array | None = None, *, block: int = 256
) -> tuple[jax.Array, jax.Array]:
    """Finds the k rows of the largest dot product with each row, itself left out.

    Works through `block` queries at a time: memory is `block * N` similarities.

    Args:
        features: `[N, d]`; unit rows make it the cosine.
        k: number of neighbours, 1 to N - 1.
        mask: `[N]` bool, False for rows that are nobody's neighbour; none if absent.
        block: queries at a time.

    Returns:
        Rows `[N, k]` int32 and similarities `[N, k]` float32, best first; among equals the lower
        row first. Where fewer than k rows are left the similarity of the rest is -inf.

    Raises:
        ValueError: k is not in 1 .. N - 1.
    """
    return _by_block(features, k, mask, block, lambda rows, similarities: (rows, similarities))


@partial(jax.jit, static_argnames=("k", "num_classes", "block"))
def neighbor_counts(
    features: jax.Array,
    labels: jax.Array,
    k: int,
    num_classes: int,
    mask: jax.Array | None = None,
    *,
    block: int = 256,
) -> jax.Array:
    """Counts the labels as given among the k nearest neighbours of each row.

    Args:
        features: `[N, d]`, unit rows for the cosine.
        labels: `[N]` class ids as given; an unlabelled (negative) neighbour counts for no class.
        k: number of neighbours, 1 to N - 1 (NIRNL: 10).
        num_classes: K.
        mask: `[N]` bool, False for rows that are nobody's neighbour (missing items); none if
            absent. Masked rows get counts of their own all the same.
        block: queries at a time; memory is `block * N` similarities.

    Returns:
        `[N, K]` float32 counts, each row summing to k, or less where neighbours are unlabelled or
        too few.

    Raises:
        ValueError: k is not in 1 .. N - 1.
    """

    def count(rows, similarities):
        found = jnp.where(similarities > -jnp.inf, labels[rows], -1)
        return jax.nn.one_hot(found, num_classes, dtype=jnp.float32).sum(-2)

    return _by_block(features, k, mask, block, count)


def soft_labels(counts: jax.Array) -> jax.Array:
    """Turns counts `[..., K]` into shares: `counts / sum`, zero rows staying zero."""
    return counts / jnp.maximum(counts.sum(-1, keepdims=True), 1)


def neighbor_labels(counts: jax.Array) -> jax.Array:
    """Returns the most frequent label of the neighbours, `[..., K] -> [...]` int32.

    The lowest class among equals; -1 where no neighbour has a label.
    """
    found = counts.max(-1) > 0
    return jnp.where(found, counts.argmax(-1), -1).astype(jnp.int32)


def divide(labels: jax.Array, predicted: jax.Array, present: jax.Array | None = None) -> jax.Array:
    """Divides items by how many modalities confirm their label: all, some, or none.

    Args:
        labels: `[N]` class ids as given.
        predicted: `[V, N]` from `neighbor_labels`, one row a modality.
        present: `[V, N]` bool, False where the item of this modality is missing and is not asked;
            all present if absent.

    Returns:
        `[N]` int32: `PURE`, `HARD` or `NOISY`; an item without a modality or a label is noisy.
        With one modality nothing is hard.
    """
    present = jnp.ones(predicted.shape, bool) if present is None else present
    confirms = ((predicted == labels[None]) & (labels >= 0)[None] & present).sum(0)
    some = confirms > 0
    every = some & (confirms == present.sum(0))
    return jnp.where(every, PURE, jnp.where(some, HARD, NOISY)).astype(jnp.int32)


def _by_block(features, k, mask, block, reduce):
    """Applies `reduce(rows [b, k], similarities [b, k])` to the neighbours of each block."""
    size = len(features)
    if not 1 <= k < size:
        raise ValueError(f"k must be in 1 .. N - 1 = {size - 1}, got {k}")
    allowed = jnp.ones(size, bool) if mask is None else mask

    def one_block(queries):
        similarity = jnp.matmul(
            features[queries], features.T, precision=lax.Precision.HIGHEST
        ).astype(jnp.float32)
        own = queries[:, None] == jnp.arange(size)[None]
        values, rows = lax.top_k(jnp.where(allowed[None] & ~own, similarity, -jnp.inf), k)
        return reduce(rows.astype(jnp.int32), values)

    block = min(block, size)
    blocks = -(-size // block)
    # The last block may run past the end: its surplus repeats the last row and is cut off.
    queries = jnp.minimum(jnp.arange(blocks * block), size - 1).reshape(blocks, block)
    found = lax.map(one_block, queries)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:size], found)
