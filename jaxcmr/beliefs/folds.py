"""Who may vote on which row: so that nobody confirms a label that it was taught.

A network that was taught a wrong label for long enough predicts it, and its vote confirms what it
was told. Three electorates for a panel of E members:

* `"untaught"`: each row has `judges` members that are never taught its given label, in turn; they
  alone vote on it, and all members are told the same. Every row of the training set then shows how
  good the votes are, as in cross-validation. One member alone is its own electorate.
* `"peers"`: member e is told the votes of the other members (all are taught all labels).
* `"all"`: everybody votes, and all are told the same.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.beliefs import belief, clarify
from jaxcmr.errors import UsageError

ELECTORATES = ("untaught", "peers", "all")


class Electorate(NamedTuple):
    """The voters of a batch.

    Attributes:
        hidden: `[E, B]` bool, members that are never taught the given label of the row.
        fair: `[E, B]` bool, rows whose votes say how good the member's electorate is: those that
            it was not taught.
        average: `[E, V, B, ...] -> [E, B, ...]`, what member e is told: the mean over the voters.
    """

    hidden: jax.Array
    fair: jax.Array
    average: Callable[[jax.Array], jax.Array]


def electorate(
    kind: str,
    key: jax.Array,
    index: jax.Array,
    present: jax.Array,
    members: int,
    judges: jax.Array | float,
    held_out_share: jax.Array | float,
) -> Electorate:
    """Says who votes on the rows of a batch; depends on the key and the rows alone.

    Args:
        kind: one of `ELECTORATES`.
        key: the same in the whole training.
        index: `[B]` int32 rows.
        present: `[V, B]` bool, which items are there.
        members: E.
        judges: how many members a row is hidden from (`"untaught"`), at least 1 and below E.
        held_out_share: share of the rows that are hidden from all members, to see how good votes
            are where all members are taught all labels (`"peers"`, `"all"`, or E = 1).

    Returns:
        The electorate.

    Raises:
        UsageError: an unknown kind, a number out of range, or shapes that do not fit.
    """
    if kind not in ELECTORATES:
        raise UsageError(f"unknown electorate {kind!r}: use one of {', '.join(ELECTORATES)}")
    guards.check_shape("index", index, "B")
    members = guards.check_whole("members", members, 1)
    present = guards.row_mask(present, np.shape(present)[:1] + np.shape(index), name="present")
    if kind == "untaught" and members > 1:
        hidden = untaught_members(key, index, members, judges)
        average = lambda votes: _judges_mean(votes, present, hidden, judges)
        return Electorate(hidden, jnp.ones_like(hidden), average)
    hidden = clarify.held_out_rows(key, index, held_out_share)
    hidden = jnp.broadcast_to(hidden, (members, len(index)))
    if kind == "peers":
        return Electorate(hidden, hidden, lambda votes: belief.peer_mean(votes, present))
    return Electorate(
        hidden, hidden, lambda votes: _told_all(belief.panel_mean(votes, present), members)
    )


def untaught_members(
    key: jax.Array, index: jax.Array, members: int, judges: jax.Array | float
) -> jax.Array:
    """Chooses the members that are not taught the given label of a row: `judges` in turn.

    Returns:
        `[E, B]` bool; every row has the same number, every member about the same share of rows.

    Raises:
        UsageError: `judges` is not at least 1 and below `members`.
    """
    members = guards.check_whole("members", members, 2)
    guards.check_range("judges", judges, 1, members - 1)
    first = jnp.floor(clarify.row_draws(key, index) * members)
    return (jnp.arange(members)[:, None] - first[None]) % members < judges


def _judges_mean(
    votes: jax.Array, present: jax.Array, hidden: jax.Array, judges: jax.Array | float
) -> jax.Array:
    """Tells every member the mean over the judges of each row: one sum over members.

    A row has `judges` of them, so that their number need not be summed over members, too.
    """
    axes = (1,) * (votes.ndim - 3)
    say = (present[None] & hidden[:, None]).reshape(*votes.shape[:3], *axes)
    total = jnp.where(say, votes, 0.0).sum((0, 1))  # where: a missing item may hold NaN
    count = (present.sum(0) * judges).reshape(-1, *axes)
    return _told_all(total / jnp.maximum(count, 1.0), len(votes))


def _told_all(mean: jax.Array, members: int) -> jax.Array:
    return jnp.broadcast_to(mean[None], (members, *mean.shape))
