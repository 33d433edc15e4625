"""Banks: arrays with one entry a training row, of which each batch renews its own rows.

All functions take one bank `[N, ...]`; `jax.vmap` over the leading axis of the bank and of the
values gives the banks of several members. They return a new bank: under `jax.jit` with the old one
donated, only the touched rows are written. Rows are named by `index`, which must lie in `[0, N)`
where `mask` is true (a traced one that does not is ignored); a masked entry may hold any index and
any value, NaN included. A row that
occurs several times in a batch takes the mean of its values, as one observation, so that the result
does not depend on the order of the batch.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError

_TINY = 1e-12  # keeps the direction of a zero row defined (as zero) without a NaN


def one_hot_bank(labels: jax.Array, num_classes: int) -> jax.Array:
    """Starts a bank of predictions at the labels as given.

    Args:
        labels: `[N]` class ids; a negative one means unlabelled.
        num_classes: K.

    Returns:
        `[N, K]` float32: one-hot rows; the uniform distribution where unlabelled.

    Raises:
        UsageError: labels are no whole numbers below K.
    """
    num_classes = guards.check_whole("num_classes", num_classes, 1)
    guards.check_shape("labels", labels, "N")
    labels = guards.class_labels(labels, num_classes, np.shape(labels))
    one_hot = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    return jnp.where((labels >= 0)[:, None], one_hot, 1.0 / num_classes)


def write_rows(
    bank: jax.Array, index: jax.Array, values: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Replaces rows: `M[index_i] <- values_i`, for instance in a first pass that fills the bank.

    Args:
        bank: `[N, ...]`.
        index: `[B]` int32 rows.
        values: `[B, ...]`.
        mask: `[B]` bool, False for entries to ignore; none if absent.

    Returns:
        `[N, ...]`, in the bank's dtype.

    Raises:
        UsageError: the shapes do not fit, or an index is outside.
    """
    return ema_rows(bank, index, values, 0.0, mask)


def ema_rows(
    bank: jax.Array,
    index: jax.Array,
    values: jax.Array,
    decay: jax.Array | float,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Moves rows towards new values: `M[i] <- decay M[i] + (1 - decay) values_i`.

    With softmax predictions as values this is the label bank of NRCL (2025; decay .9, started by
    `one_hot_bank`) and the target of ELR (Liu et al., NeurIPS 2020, eq. 9; decay .7, started at
    zero, predictions renormalised by the caller if clipped).

    Args:
        bank: `[N, ...]`.
        index: `[B]` int32 rows.
        values: `[B, ...]`.
        decay: weight of the old row, in [0, 1]: a scalar, or `[B]` (equal for equal rows).
        mask: `[B]` bool, False for entries to ignore; none if absent.

    Returns:
        `[N, ...]`, in the bank's dtype; the arithmetic is float32.

    Raises:
        UsageError: the shapes do not fit, an index is outside, or a decay is not in [0, 1].
    """
    bank, values = jnp.asarray(bank), jnp.asarray(values, jnp.float32)
    shapes = bank.shape, np.shape(index), values.shape
    if bank.ndim < 1 or len(shapes[1]) != 1 or values.shape != shapes[1] + bank.shape[1:]:
        raise UsageError(
            "bank, index and values must be [N, ...], [B] and [B, ...], got "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    guards.check_range("decay", decay, 0.0, 1.0)
    rows = guards.row_index(index, len(bank), mask)
    values = _mean_of_copies(rows, values, len(bank))
    trailing = (1,) * (bank.ndim - 1)
    decay = jnp.broadcast_to(jnp.asarray(decay, jnp.float32), rows.shape).reshape(-1, *trailing)
    old = bank.at[rows].get(mode="clip").astype(jnp.float32)
    # In this form a row that already holds the value keeps it to the last bit. At decay 0 nothing
    # of the old row may be left, not even a NaN.
    new = jnp.where(decay == 0, values, old + (1 - decay) * (values - old))
    return bank.at[rows].set(new.astype(bank.dtype), mode="drop")


def ema_unit_rows(
    bank: jax.Array,
    index: jax.Array,
    values: jax.Array,
    decay: jax.Array | float,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Moves unit rows: `M[i] <- normalize(decay M[i] + (1 - decay) values_i)`.

    The memory bank of RoMo (Li et al., TIP 2024; decay .9). Its released code normalises over the
    batch axis and writes rows by their place in the batch; this writes each sample's own row, of
    length one. A row whose mixture is zero stays zero.

    Args:
        bank: `[N, d]`.
        index: `[B]` int32 rows.
        values: `[B, d]` embeddings, used as they are (normalise them first, or not).
        decay: weight of the old row, in [0, 1].
        mask: `[B]` bool, False for entries to ignore; none if absent.

    Returns:
        `[N, d]`, in the bank's dtype.

    Raises:
        UsageError: the shapes do not fit, an index is outside, or a decay is not in [0, 1].
    """
    guards.check_shape("bank", bank, "N", "d")
    mixed = ema_rows(bank, index, values, decay, mask)
    rows = guards.row_index(index, len(mixed), mask)
    touched = mixed.at[rows].get(mode="clip").astype(jnp.float32)
    # The largest entry is divided out first: squares of large float32 entries overflow.
    touched = touched / jnp.maximum(jnp.abs(touched).max(-1, keepdims=True), _TINY)
    length = jnp.linalg.norm(touched, axis=-1, keepdims=True)
    unit = touched / jnp.maximum(length, _TINY)
    return mixed.at[rows].set(unit.astype(mixed.dtype), mode="drop")


def _mean_of_copies(rows: jax.Array, values: jax.Array, size: int) -> jax.Array:
    """Gives every entry `[B, ...]` the mean of the entries with the same row, in B log B."""
    trailing = (1,) * (values.ndim - 1)
    values = jnp.where((rows < size).reshape(-1, *trailing), values, 0)
    group = jnp.searchsorted(jnp.sort(rows), rows)  # one number in [0, B) a distinct row
    count = jnp.zeros(len(rows), jnp.float32).at[group].add(1.0)
    total = jnp.zeros_like(values).at[group].add(values)
    return total[group] / count[group].reshape(-1, *trailing)
