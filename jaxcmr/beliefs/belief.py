"""What an ensemble believes about given labels: ballots, votes, their memory, and acceptance.

The panel of a batch has E members of V modalities each: E*V voters an item, fewer where a modality
is missing. Shapes: E members, V modalities, B items, K classes, N training rows. A label below 0
means that there is none; so does one that is no class, which is refused where it can be looked at.
Beliefs are targets: call these functions on logits without a gradient.

The parts of MMCD (Wu et al., Multimedia Systems 2026) as reconstructed here: only its abstract is
public, which names the selection of clean labels by the votes of several models.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.beliefs import banks

# Scores that are equal on paper may differ by rounding; comparisons with a threshold allow this.
ROUNDING = 1e-6


def ballots(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Asks every voter whether it predicts the given label: `b = [argmax_k logits = y]`.

    Args:
        logits: `[..., B, K]`, for instance `[E, V, B, K]`.
        labels: `[B]` or `[..., B]` class ids as given; nobody predicts a negative one.

    Returns:
        `[..., B]` float32, 1 or 0. Among equal logits the lowest class is predicted; none where
        one of them is NaN.

    Raises:
        UsageError: shapes do not fit, or labels are no classes.
    """
    logits = guards.check_shape("logits", logits, "...", "B", "K")
    predicted = _predicted(logits)
    shape = guards.one_a_row(labels, predicted.shape)
    labels = guards.class_labels(labels, logits.shape[-1], shape)
    known = jnp.broadcast_to(labels >= 0, predicted.shape)
    return (known & (predicted == jnp.broadcast_to(labels, predicted.shape))).astype(jnp.float32)


def votes(logits: jax.Array) -> jax.Array:
    """Casts one vote a voter: the one-hot argmax over classes.

    Args:
        logits: `[..., K]`.

    Returns:
        `[..., K]` float32; among equal logits the lowest class is chosen, and none (zeros) where
        one of them is NaN.
    """
    logits = guards.check_shape("logits", logits, "...", "K")
    return jax.nn.one_hot(_predicted(logits), logits.shape[-1], dtype=jnp.float32)


def _predicted(logits: jax.Array) -> jax.Array:
    """Returns the class of the largest logit, -1 where one is NaN: argmax would take that one."""
    logits = jnp.asarray(logits)
    return jnp.where(jnp.isnan(logits).any(-1), -1, logits.argmax(-1))


def panel_mean(values: jax.Array, present: jax.Array | None = None) -> jax.Array:
    """Averages over all voters of each item: the mean over members and present modalities.

    Of `ballots` it is the mean ballot `[B]`; of `votes` the share of the votes each class gets,
    `[B, K]`; of softmax probabilities the mean confidence, `[B, K]`; of the posteriors of a loss
    mixture (`mixture.low_posterior`) the mean belief that the label is right, `[B]`.

    Args:
        values: `[E, V, B, ...]`, one entry a voter and item.
        present: `[V, B]` bool, False where the item of this modality is missing (or the row is
            padding): its voters are left out, whatever their values; all present if absent.

    Returns:
        `[B, ...]` float32; 0 where nobody votes.

    Raises:
        UsageError: values are not `[E, V, B, ...]`, or `present` is not `[V, B]`.
    """
    total, count = _tally(values, present)
    return total.sum(0) / jnp.maximum(count * len(values), 1)


def peer_mean(values: jax.Array, present: jax.Array | None = None) -> jax.Array:
    """Averages over the voters of the other members, so that nobody judges its own labels.

    Member e gets the mean of `values` over the members other than e and the present modalities.
    A member without peers (E = 1) gets its own mean: `panel_mean`, with a member axis. The sum over
    members is the only communication: one all-reduce where members are sharded.

    Args:
        values: `[E, V, B, ...]`, one entry a voter and item.
        present: `[V, B]` bool, as for `panel_mean`.

    Returns:
        `[E, B, ...]` float32; 0 where nobody votes.

    Raises:
        UsageError: values are not `[E, V, B, ...]`, or `present` is not `[V, B]`.
    """
    total, count = _tally(values, present)
    members = len(values)
    if members == 1:
        return total / jnp.maximum(count, 1)[None]
    return (total.sum(0)[None] - total) / jnp.maximum(count * (members - 1), 1)[None]


def _tally(values: jax.Array, present: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Returns each member's sum `[E, B, ...]` and its number of voters `[B, 1...]`."""
    values = jnp.asarray(values, jnp.float32)
    values = guards.check_shape("values", values, "E", "V", "B", *values.shape[3:])
    present = guards.row_mask(present, values.shape[1:3], name="present")
    present = present.reshape(values.shape[1:3] + (1,) * (values.ndim - 3))
    total = jnp.where(present[None], values, 0).sum(1)  # where: a missing item may hold NaN
    return total, present.sum(0).astype(jnp.float32)


class VoteMemory(NamedTuple):
    """Exponential averages by row.

    Attributes:
        value: `[..., N]` float32, the average `s`.
        count: `[..., N]` int32, how many observations it has seen; 0: `value` is the start value.
    """

    value: jax.Array
    count: jax.Array


def start_memory(shape: tuple[int, ...], value: float = 1.0) -> VoteMemory:
    """Starts a memory of `shape` (`(N,)`, or `(E, N)` for peer votes) at a value not observed."""
    guards.check_range("value", value)
    return VoteMemory(jnp.full(shape, value, jnp.float32), jnp.zeros(shape, jnp.int32))


def remember(
    memory: VoteMemory,
    index: jax.Array,
    values: jax.Array,
    decay: jax.Array | float,
    mask: jax.Array | None = None,
) -> VoteMemory:
    """Takes one more observation of the rows of a batch into their exponential average.

    With x_1 .. x_n the observations of a row: `s_n = sum_j d^(n-j) x_j / sum_j d^(n-j)`, the
    bias-corrected average: the first observation replaces the start value, nothing of which is
    left, and d = 1 gives the plain mean. A row that occurs several times in the batch is observed
    once, at the mean of its values.

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
        # Each memory has row numbers of its own: where memories lie on several devices, the
        # partitioner would take common ones apart between them, and put them together again.
        values = jnp.asarray(values)
        known = rows < memory.count.shape[-1]  # of the common ones: no member asks another
        rows = jnp.broadcast_to(rows, (len(values), *rows.shape))
        one = lambda memory, rows, values: remember(memory, rows, values, decay, known)
        return jax.vmap(one)(memory, rows, values)
    seen = memory.count.at[rows].get(mode="clip") + 1
    keep = _bias_corrected(decay, seen)
    value = banks.ema_rows(memory.value, index, values, keep, mask)
    return VoteMemory(value, memory.count.at[rows].set(seen, mode="drop"))


def _bias_corrected(decay: jax.Array | float, seen: jax.Array) -> jax.Array:
    """Returns the weight of the old average, `d (1 - d^(n-1)) / (1 - d^n)`, 0 for the first."""
    # The clip makes the limits (d = 0: 0; d = 1: (n-1)/n) fall out of the formula; expm1 keeps
    # 1 - d^n exact for d near 1.
    decay = jnp.clip(jnp.asarray(decay, jnp.float32), 1e-12, 1 - 2**-24)
    seen, log = seen.astype(jnp.float32), jnp.log(decay)
    return decay * jnp.expm1((seen - 1) * log) / jnp.expm1(seen * log)


def majority_thresholds(num_classes: int) -> jax.Array:
    """Returns thresholds `[K]` that accept a label which more than half of the votes confirm."""
    num_classes = guards.check_whole("num_classes", num_classes, 1)
    return jnp.full((num_classes,), 0.5 + 2 * ROUNDING, jnp.float32)


def class_mean_thresholds(
    scores: jax.Array, labels: jax.Array, num_classes: int, mask: jax.Array | None = None
) -> jax.Array:
    """Averages the vote memory by class as given: `threshold_k = mean of s_i over y_i = k`.

    The adaptive threshold of a whole training set at an epoch boundary; inside a step, `remember`
    with the labels as `index` of a memory `[K]` is its running form (see `remember_classes`).

    Args:
        scores: `[N]`.
        labels: `[N]` class ids as given; negative ones are left out.
        num_classes: K.
        mask: `[N]` bool, False for rows to leave out (padding, never seen); none if absent.

    Returns:
        `[K]` float32; the mean over all classes for a class without a row; 0 if no row is left.

    Raises:
        UsageError: shapes do not fit, or labels are no classes.
    """
    scores = guards.check_shape("scores", scores, "N")
    num_classes = guards.check_whole("num_classes", num_classes, 1)
    labels = guards.class_labels(labels, num_classes, np.shape(scores))
    keep = guards.row_mask(mask, labels.shape) & (labels >= 0)
    weight = keep.astype(jnp.float32)
    slot = jnp.where(keep, labels, 0)
    scores = jnp.where(keep, scores, 0).astype(jnp.float32)
    total = jnp.zeros(num_classes, jnp.float32).at[slot].add(scores)
    count = jnp.zeros(num_classes, jnp.float32).at[slot].add(weight)
    overall = total.sum() / jnp.maximum(count.sum(), 1)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), overall)


def remember_classes(
    memory: VoteMemory,
    labels: jax.Array,
    scores: jax.Array,
    decay: jax.Array | float,
    mask: jax.Array | None = None,
) -> VoteMemory:
    """Follows the mean of s by class from batch to batch: a running adaptive threshold.

    Each batch is one observation of every class it holds, at the mean score of its items of that
    class; a class absent from the batch stays as it is.

    Args:
        memory: of `[..., K]`; `memory.value` are the thresholds.
        labels: `[B]` class ids as given; negative ones are left out.
        scores: `[..., B]`, s of the batch's rows.
        decay: weight of the old average, in [0, 1] (`remember` has the bias correction).
        mask: `[B]` bool, False for entries to ignore; none if absent.

    Raises:
        UsageError: shapes do not fit, labels are no classes, or the decay is not in [0, 1].
    """
    labels = guards.class_labels(labels, memory.value.shape[-1], np.shape(scores)[-1:])
    keep = guards.row_mask(mask, labels.shape) & (labels >= 0)
    return remember(memory, labels, scores, decay, keep)


def accept(
    scores: jax.Array, labels: jax.Array, thresholds: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Selects the labels to trust: `A = {i : s_i >= threshold[y_i]}`, up to `ROUNDING`.

    Args:
        scores: `[..., B]` vote memory (or mean ballot) of each item.
        labels: `[B]` class ids as given; a negative one is never accepted.
        thresholds: `[..., K]`, with the leading axes of `scores`.
        mask: `[B]` bool, False for padding, which is never accepted; none if absent.

    Returns:
        `[..., B]` bool; a score or a threshold that is NaN accepts nothing.

    Raises:
        UsageError: shapes do not fit, or labels are no classes.
    """
    scores = guards.check_shape("scores", scores, "...", "B")
    thresholds = guards.check_shape("thresholds", thresholds, "...", "K")
    labels = guards.class_labels(labels, np.shape(thresholds)[-1], np.shape(scores)[-1:])
    keep = guards.row_mask(mask, labels.shape) & (labels >= 0)
    needed = jnp.take(thresholds, jnp.where(keep, labels, 0), axis=-1)
    return (scores >= needed - ROUNDING) & jnp.broadcast_to(keep, scores.shape)
