"""Votes of an ensemble: whether a label is confirmed, which class is predicted, and their means.

E members with V modalities each are E*V voters an item, fewer where a modality is missing. Shapes:
B items, K classes. A label below 0 means that there is none; so does one that is no class, which is
refused where values are not traced. Votes are targets: call these functions on logits without a
gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards

# Scores that are equal on paper may differ by rounding; comparisons with a threshold allow this.
ROUNDING = 1e-6


def ballots(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns whether each voter predicts the given label: `b = [argmax_k logits = y]`.

    Args:
        logits: `[..., B, K]`, for instance `[E, V, B, K]`.
        labels: `[B]` or `[..., B]` class ids as given; a negative one is confirmed by no voter.

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
    """Returns one vote a voter: the one-hot argmax over classes.

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


def ensemble_mean(
    values: jax.Array, present: jax.Array | None = None, alive: jax.Array | None = None
) -> jax.Array:
    """Averages over all voters of each item: the mean over members and present modalities.

    Of `ballots` it is the mean ballot `[B]`; of `votes` the share of the votes each class gets,
    `[B, K]`; of softmax probabilities the mean confidence, `[B, K]`.

    Args:
        values: `[E, V, B, ...]`, one entry a voter and item.
        present: `[V, B]` bool, False where the item of this modality is missing (or the row is
            padding): its voters are left out, whatever their values; all present if absent.
        alive: `[E]` bool, False for members that have no vote, whatever their values; all of them
            have one if absent.

    Returns:
        `[B, ...]` float32; 0 where there is no vote.

    Raises:
        UsageError: values are not `[E, V, B, ...]`, `present` is not `[V, B]`, `alive` not `[E]`.
    """
    total, modalities, alive = _tally(values, present, alive)
    return total.sum(0) / jnp.maximum(modalities * alive.sum(), 1)


def peer_mean(
    values: jax.Array, present: jax.Array | None = None, alive: jax.Array | None = None
) -> jax.Array:
    """Averages over the voters of the other members, so that no member votes on its own targets.

    Member e gets the mean of `values` over the members other than e and the present modalities.
    A member without peers gets its own mean. The sum over members is the only communication: one
    all-reduce where members are sharded.

    Args:
        values: `[E, V, B, ...]`, one entry a voter and item.
        present: `[V, B]` bool, as for `ensemble_mean`.
        alive: `[E]` bool, as for `ensemble_mean`.

    Returns:
        `[E, B, ...]` float32; 0 where there is no vote.

    Raises:
        UsageError: values are not `[E, V, B, ...]`, `present` is not `[V, B]`, `alive` not `[E]`.
    """
    total, modalities, alive = _tally(values, present, alive)
    peers = (alive.sum() - alive).reshape(-1, *(1,) * (total.ndim - 1))  # [E, 1, ...]
    others = total.sum(0)[None] - total
    alone = total / jnp.maximum(modalities, 1)[None]
    return jnp.where(peers > 0, others / jnp.maximum(modalities[None] * peers, 1), alone)


def _tally(
    values: jax.Array, present: jax.Array | None, alive: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns each member's sum `[E, B, ...]`, its modalities `[B, 1...]`, and `alive [E]`."""
    values = jnp.asarray(values, jnp.float32)
    values = guards.check_shape("values", values, "E", "V", "B", *values.shape[3:])
    present = guards.row_mask(present, values.shape[1:3], name="present")
    alive = guards.row_mask(alive, values.shape[:1], name="alive")
    counted = present[None] & alive[:, None, None]
    counted = counted.reshape(values.shape[:3] + (1,) * (values.ndim - 3))
    total = jnp.where(counted, values, 0).sum(1)  # where: a missing item may hold NaN
    modalities = present.sum(0).reshape(-1, *(1,) * (values.ndim - 3))
    return total, modalities.astype(jnp.float32), alive.astype(jnp.float32)


def accept(
    scores: jax.Array, labels: jax.Array, thresholds: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Selects the labels to trust: `A = {i : s_i >= threshold[y_i]}`, up to `ROUNDING`.

    Args:
        scores: `[..., B]` remembered (or mean) ballot of each item.
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
