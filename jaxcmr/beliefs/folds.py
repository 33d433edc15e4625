"""Folds: from which members a label is hidden, and who votes on its row.

A network that is trained on a wrong label for long enough predicts it, and its vote then confirms
the label. So votes count as evidence where they are out-of-fold predictions, as in cross-validation
and confident learning: predictions of members that were not trained on the label. `voters` chooses
who votes on a row:

* `"out_of_fold"`: each label is hidden from `held_out_members` of the E members, in turn. Only
  they vote on its row, and every member uses their vote. Every row then measures how good the votes
  are. If no more members than that are left, as with E = 1, all of them vote.
* `"peers"`: member e uses the votes of the other members. All are trained on all labels.
* `"all"`: every member uses the votes of all.

Except with folds, `held_out_share` of the labels are hidden from all members, so that some votes
are out-of-fold predictions there, too. A dead member neither votes nor counts.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.beliefs.votes import peer_mean

VOTERS = ("out_of_fold", "peers", "all")


class Folds(NamedTuple):
    """The folds of a batch.

    Attributes:
        hidden: `[E, B]` bool, members that are not trained on the given label of the row.
        out_of_fold: `[E, B]` bool, rows whose votes, as the member uses them, come from members
            that were not trained on the label.
        voting: `[E, B]` bool, members that vote on the row.
        count: how many members vote on each row.
    """

    hidden: jax.Array
    out_of_fold: jax.Array
    voting: jax.Array
    count: jax.Array


def draw(
    voters: str,
    key: jax.Array,
    index: jax.Array,
    alive: jax.Array,
    held_out_members: jax.Array | float,
    held_out_share: jax.Array | float,
) -> Folds:
    """Draws the folds of a batch; they depend only on the key, the rows and the living members.

    Args:
        voters: one of `VOTERS`.
        key: the same in the whole training.
        index: `[B]` int32 rows.
        alive: `[E]` bool, the members that take part.
        held_out_members: how many members each label is hidden from, at least 1: the first that
            are alive, beginning with a member drawn for the row.
        held_out_share: share of the labels that are hidden from all members, without folds.

    Raises:
        UsageError: a number is out of range, or shapes do not fit.
    """
    guards.check_range("held_out_members", held_out_members, 1)
    guards.check_range("held_out_share", held_out_share, 0.0, 1.0)
    draws, living = row_draws(key, index), alive.sum()
    folded = (voters == "out_of_fold") & (living > held_out_members)
    chosen = _in_turn(draws, alive, held_out_members)
    shared = jnp.broadcast_to(draws < held_out_share, chosen.shape)
    return Folds(
        hidden=jnp.where(folded, chosen, shared),
        out_of_fold=folded | shared,
        voting=jnp.where(folded, chosen, alive[:, None]),
        count=jnp.where(folded, held_out_members, living),
    )


def _in_turn(draws: jax.Array, alive: jax.Array, count: jax.Array | float) -> jax.Array:
    """Chooses `count` living members for each row `[B]`, from the drawn one on: `[E, B]` bool."""
    members = len(alive)
    first = jnp.floor(draws * members).astype(jnp.int32)
    before = jnp.cumsum(alive) - alive  # [E], living members with a lower number
    place = before[:, None] - before[first][None]
    place += jnp.where(jnp.arange(members)[:, None] < first[None], alive.sum(), 0)
    return alive[:, None] & (place < count)


def row_draws(key: jax.Array, index: jax.Array) -> jax.Array:
    """Draws a number in [0, 1) for each row, `[B]`, that depends only on the key and the row."""
    index = guards.check_shape("index", index, "B")
    index = guards.class_labels(index, None, np.shape(index), name="index")
    uniform = lambda row: jax.random.uniform(jax.random.fold_in(key, row))
    return jax.vmap(uniform)(index)


def vote_mean(
    voters: str, folds: Folds, values: jax.Array, present: jax.Array, alive: jax.Array
) -> jax.Array:
    """Averages values over the voters of each row, for the use of each member: `[E, B, ...]`.

    The sum over members is the only communication between them.

    Args:
        voters: one of `VOTERS`.
        folds: of the batch.
        values: `[E, V, B, ...]`, one entry a voter and row.
        present: `[V, B]` bool, which items are there.
        alive: `[E]` bool.
    """
    if voters == "peers":
        return peer_mean(values, present, alive)
    axes = (1,) * (values.ndim - 3)
    counted = (present[None] & folds.voting[:, None]).reshape(*values.shape[:3], *axes)
    total = jnp.where(counted, values, 0.0).sum((0, 1))  # where: a missing item may hold NaN
    # Every row has `count` voting members, so that their number is not a sum over members, too.
    count = (present.sum(0) * folds.count).reshape(-1, *axes)
    return jnp.broadcast_to((total / jnp.maximum(count, 1.0))[None], (len(values), *total.shape))
