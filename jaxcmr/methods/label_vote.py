"""The panel of MMCD that decides: which labels each member of an ensemble is to believe.

The mean ballot, votes and probabilities of the voters are all that members tell each other. See
`methods/panel.py` for who votes and `methods/mmcd.py` for the parts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import belief, clarify, mixture
from jaxcmr.errors import check_choice
from jaxcmr.methods.base import Beliefs, Targets
from jaxcmr.methods.panel import Hearing, look_up, write
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


def start_beliefs(members: int, num_classes: int, rows: int) -> dict[str, Any]:
    """Returns the vote memory, class thresholds, counts, and what was decided."""
    count = lambda: clarify.Agreement(jnp.zeros(members), jnp.zeros(members))
    return {
        "memory": belief.start_memory((members, rows)),
        "thresholds": belief.start_memory((members, num_classes), 0.0),
        "witness": Witness(count(), count()),
        "labels": jnp.full((members, rows), -1, jnp.int32),
    }


def build_rule(numbers: ConfigDict, num_classes: int) -> Callable[..., tuple[Beliefs, Targets]]:
    """Returns `(heard, beliefs, batch, hp) -> (beliefs, targets)`; `numbers` is `config.method`.

    Targets, `[E, B]` each: `labels` to classify by, -1 for none; `positives`, those that the
    contrastive loss may share a class by; `clarified`, whether the label is not the given one;
    `weights`.

    Raises:
        UsageError: for a choice that does not exist.
    """
    check_choice("method.ballots", numbers.ballots, BALLOTS)
    check_choice("method.threshold", numbers.threshold, THRESHOLDS)

    def decide(heard: Hearing, beliefs: Any, batch: Batch, hp):
        given, logits, voters = heard.given, heard.logits, heard.voters
        ballots = _ballots(numbers.ballots, logits, given, heard.present)
        said = (ballots[..., None], belief.votes(logits), jax.nn.softmax(logits))
        told = voters.average(jnp.concatenate(said, -1))  # [E, B, 1 + 2 K]: one message
        scores, shares, confidence = jnp.split(told, (1, 1 + num_classes), -1)
        memory = belief.remember(
            beliefs["memory"], batch.index, scores[..., 0], hp["memory_decay"], batch.mask
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

        warm = heard.warm
        share = jnp.take_along_axis(shares, jnp.maximum(believed, 0)[..., None], -1)[..., 0]
        weights = jnp.where(warm, 1.0, jnp.where(accepted, trust, share))
        targets = {
            "labels": jnp.where(warm, jnp.where(taught, given[None], -1), believed),
            "positives": jnp.where(warm, -1, believed),
            "clarified": ~accepted & (believed >= 0) & ~warm,
            "weights": jnp.where(warm | (believed >= 0), weights, 0.0),
        }
        return {
            "memory": memory,
            "thresholds": thresholds,
            "witness": witness,
            "labels": write(beliefs["labels"], batch.index, targets["positives"]),
        }, targets

    return decide


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
