"""What a panel hears of a batch: who votes on which row, and what all members say.

A panel's rule (`methods/label_vote.py`, `methods/posterior_vote.py`) decides from it what each
member is taught. All of this happens inside the one training step, over all members and without a
gradient; the mean over the voters is all that members tell each other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr.beliefs.folds import ELECTORATES, Electorate, electorate
from jaxcmr.errors import UsageError, check_choice
from jaxcmr.methods.base import Beliefs, Outputs, Progress, Targets, present_rows
from jaxcmr.types import Batch

Rule = Callable[..., tuple[Beliefs, Targets]]


class Hearing(NamedTuple):
    """What a rule decides from.

    Attributes:
        given: `[B]` int32, the labels as given.
        logits: `[E, V, B, K]`.
        present: `[V, B]` bool, which items are there.
        voters: who may vote on which row.
        warm: bool, whether all given labels are still taught.
        settled: bool, whether nothing more is to be learned of the labels.
    """

    given: jax.Array
    logits: jax.Array
    present: jax.Array
    voters: Electorate
    warm: jax.Array
    settled: jax.Array


def start_beliefs(
    own: Callable[[int, int, int], Beliefs], members: int, voters: int, num_classes: int
) -> Callable[[int], Beliefs]:
    """Returns `Method.beliefs`: those of the rule, and what every voter predicts, `[E, V, N]`."""
    return lambda rows: (
        own(members, num_classes, rows)
        | {"classes": jnp.full((members, voters, rows), -1, jnp.int32)}
    )


def build_vote(config: ConfigDict, rule: Rule) -> Rule:
    """Returns `Method.vote` of a panel: `rule(heard, beliefs, batch, hp) -> (beliefs, targets)`.

    Raises:
        UsageError: for an electorate that does not exist, or that a panel cannot have.
    """
    _check(config)
    key, members = jax.random.key(config.seed), config.ensemble.members
    kind = config.method.voters

    def vote(outputs: Outputs, beliefs: Any, batch: Batch, progress: Progress, hp):
        names = tuple(outputs.logits)
        present = present_rows(batch, names)
        # Rows of one picture are hidden from the same members: one would betray another's label.
        drawn = batch.index if batch.group is None else batch.group
        voters = electorate(kind, key, drawn, present, members, hp["judges"], hp["held_out_share"])
        logits = jnp.stack([outputs.logits[name] for name in names], 1)  # [E, V, B, K]
        heard = Hearing(
            batch.labels[names[0]],
            logits,
            present,
            voters,
            warm=progress.epoch < hp["warmup_epochs"],
            settled=progress.fraction >= hp["settle_from"],
        )
        decided, targets = rule(heard, beliefs, batch, hp)
        classes = logits.argmax(-1).astype(jnp.int32)
        return decided | {"classes": write(beliefs["classes"], batch.index, classes)}, targets

    return vote


def look_up(banks: jax.Array, index: jax.Array) -> jax.Array:
    """Reads the rows of a batch, `[E, ..., N]` and `[B]` to `[E, ..., B]`."""
    own = jnp.broadcast_to(index, (len(banks), *index.shape))  # see `belief.remember`
    return jax.vmap(lambda bank, rows: bank[..., rows])(banks, own)


def write(banks: jax.Array, index: jax.Array, values: jax.Array) -> jax.Array:
    """Writes them, `[E, ..., N]` and `[E, ..., B]`."""
    own = jnp.broadcast_to(index, (len(banks), *index.shape))
    return jax.vmap(lambda bank, rows, new: bank.at[..., rows].set(new))(banks, own, values)


def _check(config: ConfigDict) -> None:
    check_choice("method.voters", config.method.voters, ELECTORATES)
    members, judges = config.ensemble.members, config.method.judges
    if config.method.voters == "untaught" and members > 1 and not 1 <= judges < members:
        raise UsageError(
            f"config.method.judges is {judges}, but with {members} members it must be at least 1 "
            f"and below {members}"
        )
    warm = config.method.warmup_epochs / config.train.epochs
    if config.method.settle_from < min(warm, 1.0):
        raise UsageError(
            f"config.method.settle_from is {config.method.settle_from}, but the warm-up lasts "
            f"{warm:.2f} of the training, and nobody is asked before"
        )
    if config.noise.per_modality:
        raise UsageError(
            "a panel believes or rejects one label a pair; set config.noise.per_modality to False"
        )
