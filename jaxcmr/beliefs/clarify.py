"""Clarification: new labels for items whose given label the votes reject.

A class is proposed where enough votes agree (`propose`), and replaces the given label only where
such proposals are likely right. Their precision cannot be measured on rows whose labels the voters
were trained on, nor on rows that were accepted *because* the same votes confirm their label: there
the rule is right by construction. So the rule is applied to out-of-fold votes (`beliefs.folds`),
and its agreement with the given labels is counted (`count_agreement`). The given labels are noisy,
but independently of the votes, so the noise can be taken out again (`rule_precision`,
`relabel_precision`); `clarify` uses the proposals if the lower end of the interval is high enough.
The estimate is cautious: against a label that they were trained on, voters agree less easily, and
in trials were right more often than estimated.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr import guards
from jaxcmr.beliefs.votes import ROUNDING


def propose(
    shares: jax.Array,
    confidence: jax.Array,
    min_share: jax.Array | float,
    min_confidence: jax.Array | float,
) -> jax.Array:
    """Proposes the class with most votes if `share >= r` and `mean confidence >= c`.

    Args:
        shares: `[..., B, K]`, the share of the votes for each class
            (`ensemble_mean(votes(logits))`).
        confidence: `[..., B, K]`, the mean probability of each class, `ensemble_mean` of the
            softmax. It is the mean over all voters, also those that voted for another class.
        min_share: r, 2/3 for instance.
        min_confidence: c.

    Returns:
        `[..., B]` int32 class ids, -1 where nothing is proposed. Among classes with equally many
        votes the one of the highest mean confidence is taken, then the lowest; none where a share
        or a confidence is NaN.

    Raises:
        UsageError: shapes differ, or a threshold is not a finite number.
    """
    shares = guards.check_shape("shares", shares, "...", "B", "K")
    confidence = guards.check_shape("confidence", confidence, *shares.shape)
    guards.check_range("min_share", min_share)
    guards.check_range("min_confidence", min_confidence)
    most = shares.max(-1, keepdims=True)
    tied = shares >= most - ROUNDING
    winner = jnp.where(tied, confidence, -1.0).argmax(-1)
    sure = jnp.take_along_axis(confidence, winner[..., None], -1)[..., 0]
    proposed = (most[..., 0] >= min_share - ROUNDING) & (sure >= min_confidence - ROUNDING)
    return jnp.where(proposed & (most[..., 0] > 0), winner, -1).astype(jnp.int32)


def clarify(
    labels: jax.Array, accepted: jax.Array, proposals: jax.Array, trusted: jax.Array | bool
) -> jax.Array:
    """Chooses the label to train on: the given one if accepted, else the proposal if trusted.

    A proposal equal to the rejected label is no clarification and leaves the item unlabelled: where
    members have memorised wrong labels, most proposals on rejected rows repeat the label, and
    are as wrong. (Wikipedia, 40 % wrong, three members after 15 epochs of generalised
    cross-entropy: 59 % of all proposals on rejected rows were right, 98 % of those that contradict
    the label.)

    Args:
        labels: `[B]` class ids as given.
        accepted: `[..., B]` bool (`votes.accept`).
        proposals: `[..., B]` from `propose`.
        trusted: bool, whether proposals are used; a scalar, or broadcastable to `[..., B]`
            (`[E, 1]`: by member). False leaves every rejected item unlabelled.

    Returns:
        `[..., B]` int32 class ids, -1 where unlabelled. Padding must not be accepted; it is -1 if
        its voters are absent.

    Raises:
        UsageError: shapes do not fit, or labels or proposals are no whole numbers.
    """
    accepted = guards.row_mask(accepted, np.shape(accepted), name="accepted")
    proposals = guards.check_shape("proposals", proposals, "...", *accepted.shape)
    proposals = guards.class_labels(proposals, None, np.shape(proposals), name="proposals")
    given = guards.class_labels(labels, None, guards.one_a_row(labels, accepted.shape))
    given = jnp.broadcast_to(given, proposals.shape)
    return jnp.where(accepted, given, jnp.where(trusted & (proposals != given), proposals, -1))


class Agreement(NamedTuple):
    """How often proposals equal the given label, as sums, so that batches add up.

    Attributes:
        agreed: float32, (decayed) number of proposals equal to the given label.
        proposed: float32, (decayed) number of proposals.
    """

    agreed: jax.Array
    proposed: jax.Array


def count_agreement(proposals: jax.Array, labels: jax.Array, held_out: jax.Array) -> Agreement:
    """Counts, over held-out rows, the proposals and those equal to the given label.

    Args:
        proposals: `[..., B]` from `propose`; -1 is no proposal and is not counted.
        labels: `[B]` or `[..., B]` class ids as given; negative ones are not counted.
        held_out: `[B]` or `[..., B]` bool, the rows to count.

    Returns:
        Sums of shape `[...]`. Over batches: `old * decay + new`, leaf by leaf.

    Raises:
        UsageError: shapes do not fit, or proposals or labels are no whole numbers.
    """
    proposals = guards.check_shape("proposals", proposals, "...", "B")
    shape = np.shape(proposals)
    proposals = guards.class_labels(proposals, None, shape, name="proposals")
    labels = guards.class_labels(labels, None, guards.one_a_row(labels, shape))
    held_out = guards.row_mask(held_out, guards.one_a_row(held_out, shape), name="held_out")
    labels, held_out = (jnp.broadcast_to(x, shape) for x in (labels, held_out))
    counted = held_out & (proposals >= 0) & (labels >= 0)
    agreed = counted & (proposals == labels)
    return Agreement(agreed.sum(-1).astype(jnp.float32), counted.sum(-1).astype(jnp.float32))


class Precision(NamedTuple):
    """An estimated precision in [0, 1] with the ends of its interval; all `[...]` float32."""

    estimate: jax.Array
    low: jax.Array
    high: jax.Array


def rule_precision(
    agreement: Agreement, noise_rate: jax.Array | float, num_classes: int, z: float = 1.645
) -> Precision:
    """Estimates how often a proposal is the true class, over all rows that get one.

    With a the agreement with the given labels, eta the share of wrong ones among the counted rows,
    and u = eta / (K - 1), the chance that a wrong label equals a wrong proposal:
    `a = pi (1 - eta) + (1 - pi) u`, so `pi = (a - u) / (1 - eta - u)`. Assumes that labels went
    wrong independently of the proposals (so the rows must be held out) and to all classes alike.
    With eta = 0 it is the plain hit rate.

    Args:
        agreement: counts from `count_agreement`.
        noise_rate: eta, an estimate; too high an eta gives too high a precision.
        num_classes: K, at least 2.
        z: half width of the interval in deviations: 1.645 leaves 5 % below `low`.

    Returns:
        The precision with Wilson's interval on a carried through; 0, [0, 1] without a proposal, and
        0, [0, 0] if the labels carry no information (1 - eta <= u).

    Raises:
        UsageError: K is below 2, or a number is out of range.
    """
    num_classes = guards.check_whole("num_classes", num_classes, 2)
    guards.check_range("noise_rate", noise_rate, 0.0, 1.0)
    guards.check_positive("z", z)
    eta = jnp.asarray(noise_rate, jnp.float32)
    chance = eta / (num_classes - 1)
    informative = 1 - eta - chance

    def corrected(rate):
        right = (rate - chance) / jnp.where(informative > ROUNDING, informative, 1)
        return jnp.where(informative > ROUNDING, jnp.clip(right, 0, 1), 0)

    return Precision(*(corrected(rate) for rate in _wilson(agreement, z)))


def relabel_precision(
    agreement: Agreement, noise_rate: jax.Array | float, num_classes: int, z: float = 1.645
) -> Precision:
    """Estimates how often a proposal that contradicts the given label is the true class.

    This is the precision of clarification: the proposals it uses are those against the given
    label. In the notation of `rule_precision`, a contradicting proposal is right where it is
    right and the label is wrong: `pi eta / (1 - a)`, with pi a function of a. It is far lower than
    the rule's own precision when few labels are wrong (at eta = 0 it is 0), which the share of
    right proposals on accepted rows cannot show.

    Args:
        agreement: counts from `count_agreement`.
        noise_rate: eta, an estimate; too high an eta gives too high a precision.
        num_classes: K, at least 2.
        z: half width of the interval in deviations: 1.645 leaves 5 % below `low`.

    Returns:
        The precision; decide by its low end, `clarify(..., trusted=precision.low >= .8)`: it is low
        where held-out proposals are few or absent.

    Raises:
        UsageError: K is below 2, or a number is out of range.
    """
    rights = jnp.stack(rule_precision(agreement, noise_rate, num_classes, z))
    eta = jnp.asarray(noise_rate, jnp.float32)
    rates = jnp.stack(_wilson(agreement, z))
    ratio = rights * eta / jnp.maximum(1 - rates, ROUNDING)
    return Precision(*jnp.clip(ratio, 0, 1))


def most_confident(
    proposals: jax.Array, confidence: jax.Array, rows: jax.Array, share: jax.Array | float = 0.1
) -> jax.Array:
    """Keeps the proposals with the highest confidence, whose agreement with labels shows the noise.

    Right proposals differ from the given label only where it is wrong: `eta = 1 - a` with a their
    agreement with labels that the voters were not trained on. If some are wrong, eta comes out too
    large, but less so than from all proposals.

    Args:
        proposals: `[..., B]` from `propose`, -1 for none.
        confidence: `[..., B, K]`, as given to `propose`.
        rows: `[..., B]` bool, the rows that may be counted.
        share: of the proposals on these rows, at least one if there are any.

    Returns:
        `[..., B]` int32, the proposals kept, -1 elsewhere; one whose confidence is NaN is not kept.

    Raises:
        UsageError: shapes do not fit, proposals are no classes, or the share is not in [0, 1].
    """
    confidence = guards.check_shape("confidence", confidence, "...", "B", "K")
    guards.check_range("share", share, 0.0, 1.0)
    classes, shape = confidence.shape[-1], np.shape(proposals)
    proposals = guards.check_shape("proposals", proposals, *confidence.shape[:-1])
    proposals = guards.class_labels(proposals, classes, shape, name="proposals")
    rows = guards.row_mask(rows, shape, name="rows")
    sure = jnp.take_along_axis(confidence, jnp.maximum(proposals, 0)[..., None], -1)[..., 0]
    counted = rows & (proposals >= 0) & ~jnp.isnan(sure)
    surer = counted[..., None, :] & (sure[..., None, :] > sure[..., :, None])
    wanted = jnp.ceil(share * counted.sum(-1, keepdims=True) - ROUNDING * 100)
    return jnp.where(counted & (surer.sum(-1) < wanted), proposals, -1)


def _wilson(agreement: Agreement, z: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the rate and Wilson's (1927) interval; 0 and [0, 1] without an observation."""
    n = jnp.maximum(agreement.proposed, 0)
    rate = agreement.agreed / jnp.maximum(n, ROUNDING)
    middle = (agreement.agreed + z**2 / 2) / (n + z**2)
    spread = z / (n + z**2) * jnp.sqrt(n * rate * (1 - rate) + z**2 / 4)
    empty = n <= 0
    low = jnp.where(empty, 0, jnp.clip(middle - spread, 0, rate))
    high = jnp.where(empty, 1, jnp.clip(middle + spread, rate, 1))
    return rate, low, high
