"""Agreement of a label with the labels of its nearest neighbours.

A row that holds NaN or infinity is refused where it can be looked at, unless it is masked; where it
is traced, it is nobody's neighbour and has none.

NIRNL (AAAI 2026) divides the pairs of a training set by it: pure, hard, noisy.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import at_least_float32, unit_of

NOISY, HARD, PURE = range(3)  # no modality, some, all confirm the given label


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
        UsageError: k is not in 1 .. N - 1, a row holds NaN or infinity, or another argument is
            wrong.
    """
    return _nearest(*_checked(features, k, mask, block))


@partial(jax.jit, static_argnames=("k", "block"))
def _nearest(features, k, allowed, block):
    return _by_block(features, k, allowed, block, lambda rows, similarities: (rows, similarities))


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
        UsageError: k is not in 1 .. N - 1, a row holds NaN or infinity, labels are no classes, or
            another argument is wrong.
    """
    num_classes = guards.check_whole("num_classes", num_classes, 1)
    features, k, allowed, block = _checked(features, k, mask, block)
    labels = guards.class_labels(labels, num_classes, features.shape[:1])
    return _counts(features, labels, k, num_classes, allowed, block)


@partial(jax.jit, static_argnames=("k", "num_classes", "block"))
def _counts(features, labels, k, num_classes, allowed, block):
    def count(rows, similarities):
        found = jnp.where(similarities > -jnp.inf, labels[rows], -1)
        return jax.nn.one_hot(found, num_classes, dtype=jnp.float32).sum(-2)

    return _by_block(features, k, allowed, block, count)


def soft_labels(counts: jax.Array) -> jax.Array:
    """Turns counts `[..., K]` into shares: `counts / sum`, zero rows staying zero."""
    counts = guards.check_shape("counts", counts, "...", "K")
    counts = at_least_float32(counts)
    return counts / jnp.maximum(counts.sum(-1, keepdims=True), 1)


def neighbor_labels(counts: jax.Array) -> jax.Array:
    """Returns the most frequent label of the neighbours, `[..., K] -> [...]` int32.

    The lowest class among equals; -1 where no neighbour has a label.
    """
    counts = guards.check_shape("counts", counts, "...", "K")
    counts = jnp.asarray(counts)
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

    Raises:
        UsageError: shapes do not fit, or labels are no whole numbers.
    """
    predicted = guards.check_shape("predicted", predicted, "V", "N")
    labels = guards.class_labels(labels, None, np.shape(predicted)[1:])
    predicted = guards.class_labels(predicted, None, np.shape(predicted), name="predicted")
    present = guards.row_mask(present, predicted.shape, name="present")
    confirms = ((predicted == labels[None]) & (labels >= 0)[None] & present).sum(0)
    some = confirms > 0
    every = some & (confirms == present.sum(0))
    return jnp.where(every, PURE, jnp.where(some, HARD, NOISY)).astype(jnp.int32)


def _checked(features, k, mask, block):
    """Returns the arguments of a search after a look at them; `block` is at most N."""
    guards.check_rows("features", features, mask)
    allowed = guards.row_mask(mask, np.shape(features)[:1])
    size = len(features)
    if not 1 <= (k := guards.check_whole("k", k, 0)) < size:
        raise UsageError(f"k must be in 1 .. N - 1 = {size - 1}, got {k}")
    block = min(guards.check_whole("block", block, 1), size)
    return jnp.asarray(features, jnp.float32), k, allowed, block


def _by_block(features, k, allowed, block, reduce):
    """Applies `reduce(rows [b, k], similarities [b, k])` to the neighbours of each block."""
    size = len(features)
    sound = guards.finite_rows(features)
    features = jnp.where(sound[:, None], features, 0.0)
    unit = unit_of(features)
    features = features / unit

    def one_block(queries):
        similarity = jnp.matmul(features[queries], features.T, precision=lax.Precision.HIGHEST)
        own = queries[:, None] == jnp.arange(size)[None]
        asked = allowed[None] & sound[None] & sound[queries][:, None] & ~own
        values, rows = lax.top_k(jnp.where(asked, similarity, -jnp.inf), k)
        return reduce(rows.astype(jnp.int32), values * unit * unit)

    blocks = -(-size // block)
    # The last block may run past the end: its surplus repeats the last row and is cut off.
    queries = jnp.minimum(jnp.arange(blocks * block), size - 1).reshape(blocks, block)
    found = lax.map(one_block, queries)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:size], found)
