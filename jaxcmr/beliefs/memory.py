"""Memories: arrays with one entry a training row; each batch updates its rows.

All functions return a new array: under `jax.jit` with the old one donated, only the touched rows
are written. Rows are named by `index`, which must lie in `[0, N)` where `mask` is true (a traced
one that does not is ignored); a masked entry may hold any index and any value, NaN included. A row
that occurs several times in a batch takes the mean of its values, as one observation, so that the
result does not depend on the order of the batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError

_TINY = 1e-12  # keeps the direction of a zero row defined (as zero) without a NaN


class Memory(NamedTuple):
    """Exponential averages by row.

    Attributes:
        value: `[..., N]` float32, the average `s`.
        count: `[..., N]` int32, how many observations it has seen; 0: `value` is the start value.
    """

    value: jax.Array
    count: jax.Array


def start(shape: tuple[int, ...], value: float = 1.0) -> Memory:
    """Returns a memory of `shape`, `(..., N)`, at a start value, without observations."""
    guards.check_range("value", value)
    return Memory(jnp.full(shape, value, jnp.float32), jnp.zeros(shape, jnp.int32))


def remember(
    memory: Memory,
    index: jax.Array,
    values: jax.Array,
    decay: jax.Array | float,
    mask: jax.Array | None = None,
) -> Memory:
    """Takes one more observation of the rows of a batch into their exponential average.

    With x_1 .. x_n the observations of a row: `s_n = sum_j d^(n-j) x_j / sum_j d^(n-j)`, the
    bias-corrected average: the first observation replaces the start value, and d = 1 gives the
    plain mean. A row that occurs several times in the batch is observed once, at the mean of its
    values.

    Args:
        memory: of `[..., N]`.
        index: `[B]` int32 rows, in `[0, N)` where not masked.
        values: `[..., B]`, mean ballots for instance.
        decay: d in [0, 1].
        mask: `[B]` bool, False for entries to ignore; none if absent.

    Returns:
        The memory with the touched rows renewed and their counts raised by one.

    Raises:
        UsageError: shapes do not fit, an index is outside, or the decay is not in [0, 1].
    """
    guards.check_range("decay", decay, 0.0, 1.0)
    rows = guards.row_index(index, memory.count.shape[-1], mask)
    if memory.value.ndim > 1:
        values = jnp.asarray(values)
        known = rows < memory.count.shape[-1]  # the same for all members
        one = lambda memory, rows, values: remember(memory, rows, values, decay, known)
        return jax.vmap(one)(memory, _by_member(values, rows), values)
    seen = memory.count.at[rows].get(mode="clip") + 1
    keep = _bias_corrected(decay, seen)
    value = ema_rows(memory.value, index, values, keep, mask)
    return Memory(value, memory.count.at[rows].set(seen, mode="drop"))


def _bias_corrected(decay: jax.Array | float, seen: jax.Array) -> jax.Array:
    """Returns the weight of the old average, `d (1 - d^(n-1)) / (1 - d^n)`, 0 for the first."""
    # The clip makes the limits (d = 0: 0; d = 1: (n-1)/n) fall out of the formula; expm1 keeps
    # 1 - d^n exact for d near 1.
    decay = jnp.clip(jnp.asarray(decay, jnp.float32), 1e-12, 1 - 2**-24)
    seen, log = seen.astype(jnp.float32), jnp.log(decay)
    return decay * jnp.expm1((seen - 1) * log) / jnp.expm1(seen * log)


def read(memories: jax.Array, index: jax.Array) -> jax.Array:
    """Reads the rows `[B]` of every member's memory: `[E, ..., N]` to `[E, ..., B]`."""
    return jax.vmap(lambda memory, rows: memory[..., rows])(memories, _by_member(memories, index))


def write(memories: jax.Array, index: jax.Array, values: jax.Array) -> jax.Array:
    """Writes `values [E, ..., B]` to the rows `[B]` of every member's memory `[E, ..., N]`."""
    put = lambda memory, rows, values: memory.at[..., rows].set(values)
    return jax.vmap(put)(memories, _by_member(memories, index), values)


def _by_member(memories: jax.Array, rows: jax.Array) -> jax.Array:
    """Returns row numbers `[E, B]`, the same for every member.

    Where memories lie on several devices, the partitioner would split shared row numbers between
    the devices, and gather them again.
    """
    return jnp.broadcast_to(rows, (len(memories), *rows.shape))


def ema_rows(
    bank: jax.Array,
    index: jax.Array,
    values: jax.Array,
    decay: jax.Array | float,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Moves rows towards new values: `M[i] <- decay M[i] + (1 - decay) values_i`.

    With softmax predictions as values this is the label bank of NRCL (2025; decay .9, started at
    the one-hot labels) and the target of ELR (Liu et al., NeurIPS 2020, eq. 9; decay .7, started at
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
    batch axis and writes rows by their place in the batch; here every sample writes its row of the
    training set, of length one. A row whose mixture is zero stays zero.

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
