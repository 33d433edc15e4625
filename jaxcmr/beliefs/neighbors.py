"""Agreement of a label with the labels of its nearest neighbours: NIRNL's pure, hard, noisy pairs.

Public API: no method of this package divides its rows this way. `losses.pure_label_loss`,
`hard_label_loss` and `noisy_label_loss` are NIRNL's losses (AAAI 2026) of the three kinds.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_of

NOISY, HARD, PURE = range(3)  # the neighbours confirm the label in no modality, in some, in all


def neighbor_counts(
    features: jax.Array,
    labels: jax.Array,
    k: int,
    num_classes: int,
    mask: jax.Array | None = None,
    *,
    block: int = 256,
) -> jax.Array:
    """Counts the given labels among the k nearest neighbours of each row, itself left out.

    Nearest is the largest dot product, among equals the lower row.

    Args:
        features: `[N, d]`, unit rows for the cosine.
        labels: `[N]` given labels; a neighbour without one (negative) counts for no class.
        k: number of neighbours, 1 to N - 1 (NIRNL: 10).
        num_classes: K.
        mask: `[N]` bool, False for rows that are no neighbours (missing items); all are if absent.
            Masked rows get counts all the same.
        block: queries at a time; memory is `block * N` similarities.

    Returns:
        `[N, K]` float32 counts; a row sums to k, or less where neighbours are too few or have no
        label. Divided by its sum it is NIRNL's soft label. Where it is traced, a row that holds NaN
        or infinity has no neighbours and is none.

    Raises:
        UsageError: k is not in 1 .. N - 1, a row holds NaN or infinity, labels are no classes, or
            another argument is wrong.
    """
    num_classes = guards.check_whole("num_classes", num_classes, 1)
    guards.check_rows("features", features, mask)
    allowed = guards.row_mask(mask, np.shape(features)[:1])
    size = len(features)
    if not 1 <= (k := guards.check_whole("k", k, 0)) < size:
        raise UsageError(f"k must be in 1 .. N - 1 = {size - 1}, got {k}")
    block = min(guards.check_whole("block", block, 1), size)
    labels = guards.class_labels(labels, num_classes, (size,))
    features = jnp.asarray(features, jnp.float32)
    return _counts(features, labels, k, num_classes, allowed, block)


@partial(jax.jit, static_argnames=("k", "num_classes", "block"))
def _counts(features, labels, k, num_classes, allowed, block):
    sound = guards.finite_rows(features)
    allowed &= sound
    features = jnp.where(sound[:, None], features, 0.0)
    features = features / unit_of(features)
    rows = jnp.arange(len(features))

    def count(row):  # mapped over blocks of rows: one matrix product a block
        similarity = jnp.matmul(features, features[row], precision=lax.Precision.HIGHEST)
        candidates = allowed & sound[row] & (rows != row)
        nearest, found = lax.top_k(jnp.where(candidates, similarity, -jnp.inf), k)
        found = jnp.where(nearest > -jnp.inf, labels[found], -1)
        return jax.nn.one_hot(found, num_classes, dtype=jnp.float32).sum(0)

    return lax.map(count, rows, batch_size=block)


def neighbor_labels(counts: jax.Array) -> jax.Array:
    """Returns the most frequent label of the neighbours, `[..., K] -> [...]` int32.

    The lowest class among equals; -1 where no neighbour has a label.
    """
    counts = jnp.asarray(guards.check_shape("counts", counts, "...", "K"))
    return jnp.where(counts.max(-1) > 0, counts.argmax(-1), -1).astype(jnp.int32)


def divide(labels: jax.Array, predicted: jax.Array, present: jax.Array | None = None) -> jax.Array:
    """Divides items by how many modalities confirm their label: all, some, or none.

    Args:
        labels: `[N]` given labels.
        predicted: `[V, N]` from `neighbor_labels`, one row a modality.
        present: `[V, N]` bool, False where the item of this modality is missing and does not count;
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
