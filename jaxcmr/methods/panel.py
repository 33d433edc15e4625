"""The panel of MMCD: what each member of an ensemble is to believe of the labels of a batch.

All of it happens inside the one training step, over all members and without a gradient; the mean
over the voters is all that members tell each other. See `methods/mmcd.py` for the parts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.errors import UsageError, check_choice
from jaxcmr.labels import belief, clarify, mixture
from jaxcmr.labels.electorate import ELECTORATES, electorate
from jaxcmr.methods.base import Beliefs, Outputs, Progress, Targets, present_rows
from jaxcmr.types import Batch

BALLOTS = ("votes", "losses")
THRESHOLDS = ("class_mean", "majority", "none")


class Witness(NamedTuple):
    """How often proposals met labels that the proposers were not taught: decayed sums, `[E]` each.

    Attributes:
        proposals: over all proposals.
        surest: over those of the highest confidence.
    """

    proposals: clarify.Agreement
    surest: clarify.Agreement


def start_beliefs(members: int, voters: int, num_classes: int) -> Callable[[int], Beliefs]:
    """Returns `Method.beliefs`: the vote memory, class thresholds, counts, and what was decided."""
    count = lambda: clarify.Agreement(jnp.zeros(members), jnp.zeros(members))

    def beliefs(rows: int) -> dict[str, Any]:
        return {
            "memory": belief.start_memory((members, rows)),
            "thresholds": belief.start_memory((members, num_classes), 0.0),
            "witness": Witness(count(), count()),
            "labels": jnp.full((members, rows), -1, jnp.int32),
            "classes": jnp.full((members, voters, rows), -1, jnp.int32),
        }

    return beliefs


def build_vote(config: ConfigDict, num_classes: int) -> Callable[..., tuple[Beliefs, Targets]]:
    """Returns `Method.vote` of a panel; its numbers are `config.method`.

    Targets, `[E, B]` each: `labels` to classify by, -1 for none; `positives`, those that the
    contrastive loss may share a class by; `clarified`, whether the label is not the given one;
    `weights`.

    Raises:
        UsageError: for a choice that does not exist.
    """
    check(config)
    key, members = jax.random.key(config.seed), config.ensemble.members
    numbers = config.method

    def vote(outputs: Outputs, beliefs: Any, batch: Batch, progress: Progress, hp):
        names = tuple(outputs.logits)
        present = present_rows(batch, names)
        logits = jnp.stack([outputs.logits[name] for name in names], 1)  # [E, V, B, K]
        given = batch.labels[names[0]]
        voters = electorate(
            numbers.voters, key, batch.index, present, members, hp["judges"], hp["held_out_share"]
        )

        ballots = _ballots(numbers.ballots, logits, given, present)
        said = (ballots[..., None], belief.votes(logits), jax.nn.softmax(logits))
        told = voters.average(jnp.concatenate(said, -1))  # [E, B, 1 + 2 K]: one message
        scores, shares, confidence = jnp.split(told, (1, 1 + num_classes), -1)
        scores = scores[..., 0]
        memory = belief.remember(
            beliefs["memory"], batch.index, scores, hp["memory_decay"], batch.mask
        )
        trust = look_up(memory.value, batch.index)  # [E, B]
        thresholds = belief.remember_classes(
            beliefs["thresholds"], given, trust, hp["threshold_decay"], batch.mask
        )
        needed = _needed(numbers.threshold, thresholds.value)
        there = batch.mask[None]
        taught = there & ~voters.hidden  # [E, B]
        accepted = belief.accept(trust, given, needed, batch.mask) & taught

        proposals = clarify.propose(shares, confidence, hp["min_share"], hp["min_confidence"])
        fair = voters.fair & there
        best = clarify.surest(proposals, confidence, fair)
        seen = Witness(*(clarify.count_agreement(p, given, fair) for p in (proposals, best)))
        witness = jax.tree.map(
            lambda old, new: hp["agreement_decay"] * old + new, beliefs["witness"], seen
        )
        trusted = relabel_precision(witness, num_classes).low >= hp["gate"]
        believed = clarify.clarify(given, accepted, proposals, trusted[:, None])
        believed = jnp.where(there, believed, -1)

        warm = progress.epoch < hp["warmup_epochs"]
        share = jnp.take_along_axis(shares, jnp.maximum(believed, 0)[..., None], -1)[..., 0]
        weights = jnp.where(warm, 1.0, jnp.where(accepted, trust, share))
        targets = {
            "labels": jnp.where(warm, jnp.where(taught, given[None], -1), believed),
            "positives": jnp.where(warm, -1, believed),
            "clarified": ~accepted & (believed >= 0) & ~warm,
            "weights": jnp.where(warm | (believed >= 0), weights, 0.0),
        }
        classes = logits.argmax(-1).astype(jnp.int32)
        return {
            "memory": memory,
            "thresholds": thresholds,
            "witness": witness,
            "labels": write(beliefs["labels"], batch.index, targets["positives"]),
            "classes": write(beliefs["classes"], batch.index, classes),
        }, targets

    return vote


def look_up(banks: jax.Array, index: jax.Array) -> jax.Array:
    """Reads the rows of a batch, `[E, ..., N]` and `[B]` to `[E, ..., B]`."""
    own = jnp.broadcast_to(index, (len(banks), *index.shape))  # see `belief.remember`
    return jax.vmap(lambda bank, rows: bank[..., rows])(banks, own)


def write(banks: jax.Array, index: jax.Array, values: jax.Array) -> jax.Array:
    """Writes them, `[E, ..., N]` and `[E, ..., B]`."""
    own = jnp.broadcast_to(index, (len(banks), *index.shape))
    return jax.vmap(lambda bank, rows, new: bank.at[..., rows].set(new))(banks, own, values)


def relabel_precision(witness: Witness, num_classes: int) -> clarify.Precision:
    """Estimates, for each member, how often a label that it is told to take instead is right."""
    agreed, proposed = witness.surest
    wrong = jnp.where(proposed > 0, 1 - agreed / jnp.maximum(proposed, 1e-6), 0.0)
    estimate = jax.vmap(clarify.relabel_precision, in_axes=(0, 0, None))
    return estimate(witness.proposals, wrong, num_classes)


def _ballots(kind: str, logits: jax.Array, given: jax.Array, present: jax.Array) -> jax.Array:
    """Asks every voter whether it believes the given label, `[E, V, B]`.

    "votes": whether it predicts it. "losses": how likely its loss is one of the low ones, by a
    mixture of two Gaussians over the batch (Li et al., "DivideMix", ICLR 2020).
    """
    if kind == "votes":
        return belief.ballots(logits, given)
    values = losses.cross_entropy(logits, jnp.broadcast_to(given, logits.shape[:-1]))
    one = lambda values, mask: mixture.low_posterior(mixture.fit_mixture(values, mask), values)
    return jax.vmap(jax.vmap(one), in_axes=(0, None))(values, present)


def _needed(kind: str, class_means: jax.Array) -> jax.Array:
    """Returns the thresholds `[E, K]`."""
    if kind == "majority":
        majority = belief.majority_thresholds(class_means.shape[-1])
        return jnp.broadcast_to(majority[None], class_means.shape)
    return class_means if kind == "class_mean" else jnp.zeros_like(class_means)


def check(config: ConfigDict) -> None:
    """Raises a `UsageError` for a choice that does not exist, or that a panel cannot have."""
    choices = {"voters": ELECTORATES, "ballots": BALLOTS, "threshold": THRESHOLDS}
    for field, known in choices.items():
        check_choice(f"method.{field}", config.method[field], known)
    members, judges = config.ensemble.members, config.method.judges
    if config.method.voters == "untaught" and members > 1 and not 1 <= judges < members:
        raise UsageError(
            f"config.method.judges is {judges}, but with {members} members it must be at least 1 "
            f"and below {members}"
        )
    if config.noise.per_modality:
        raise UsageError(
            "a panel believes or rejects one label a pair; set config.noise.per_modality to False"
        )
