"""Votes on labels: the members of an ensemble accept, replace or drop each given label.

An earlier reconstruction of MMCD (see `methods/mmcd.py`). Other settings of its parts are NRCL's
peer splits and co-teaching, variants of `configs/mmcd_wikipedia.py`. In one step, without gradient
and over all members:

1. Each of the E V voters confirms the given label or not: a voter confirms it if it predicts it
   (`ballots = "votes"`), or if its loss is a low one ("losses": Li et al., "DivideMix", ICLR
   2020). `voters` chooses whose ballots count (`beliefs/folds.py`).
2. The mean ballot enters the exponential memory s of the row.
3. A label is accepted if s reaches its class's threshold: the running mean of s over the labels of
   the class (`threshold = "class_mean"`), one half ("majority"), or nothing ("none").
4. A rejected label is replaced by the class that enough voters agree on, if such proposals are
   likely right: the low end of their estimated precision must reach `min_precision`
   (`beliefs/clarify.py`). Else the row has no label. A row without a given label gets one likewise.

Each member then minimises

    label_weight w sum_v ell(logits_vi, label) + dcl_weight mean_v DCL_vi + prior_weight prior_i

with logits `c_k . z / center_temperature` of unit embeddings and learned unit centers; ell is the
`label_loss` of accepted labels and the `clarified_loss` of replaced ones, and w is s, or the share
of the votes for the replacement. DCL is the denoising contrastive loss, whose positives share a
label; it is the pair contrast where there is none. In the first `warmup_epochs` members are trained
on all given labels (except hidden ones) with weight 1, and DCL uses no label; with `positives =
"pairs"` it never does.
"""

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import clarify, diagnosis, folds, memory, mixture
from jaxcmr.beliefs.clarify import Agreement
from jaxcmr.beliefs.votes import ROUNDING, accept, ballots, votes
from jaxcmr.config.ranges import NOT_NEGATIVE, SHARE, Field, choice
from jaxcmr.methods import classifiers, mmcd
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, label_groups, present_rows
from jaxcmr.methods.classifiers import LABEL_LOSSES
from jaxcmr.methods.mmcd import check, denoising_contrast, draw_folds, predictions
from jaxcmr.types import Batch

MAJORITY = 0.5 + 2 * ROUNDING  # more than half of the votes


@flax.struct.dataclass
class Beliefs:
    """What E members with V modalities believe about N rows of K classes.

    Attributes:
        ballots: remembered mean ballots s, of `[E, N]`.
        thresholds: means of s by class, of `[E, K]`.
        agreement: `[E]`, decayed counts of how often proposals equal given labels that the
            voters were not trained on.
        confident: `[E]`, the same of the most confident proposals.
        labels: `[E, N]` int32, the accepted or replaced label; -1 for none.
        classes: `[E, V, N]` int32, what each voter predicts; -1 for none yet.
    """

    ballots: memory.Memory
    thresholds: memory.Memory
    agreement: Agreement
    confident: Agreement
    labels: jax.Array
    classes: jax.Array


@flax.struct.dataclass
class Targets:
    """What each member is trained on, `[E, B]` each.

    Attributes:
        labels: int32, -1 for none.
        positives: int32, labels that decide the positives of the contrastive loss; -1 for none.
        clarified: bool, whether the label is not the given one.
        weights: of the label.
    """

    labels: jax.Array
    positives: jax.Array
    clarified: jax.Array
    weights: jax.Array


def build(config: ConfigDict) -> Method:
    """Builds the method over the encoders of `config.encoders`.

    Raises:
        UsageError: the numbers do not fit the ensemble.
    """
    check(config)
    network = classifiers.with_centers(config, "center_temperature")
    key, method = jax.random.key(config.seed), config.method
    label_loss, clarified_loss = (
        LABEL_LOSSES[name] for name in (method.label_loss, method.clarified_loss)
    )
    members, modalities = config.ensemble.members, len(config.data.modalities)

    def beliefs(rows: int, num_classes: int) -> Beliefs:
        count = lambda: Agreement(jnp.zeros(members), jnp.zeros(members))
        return Beliefs(
            ballots=memory.start((members, rows)),
            thresholds=memory.start((members, num_classes), 0.0),
            agreement=count(),
            confident=count(),
            labels=jnp.full((members, rows), -1, jnp.int32),
            classes=jnp.full((members, modalities, rows), -1, jnp.int32),
        )

    def vote(outputs: Outputs, alive, beliefs: Beliefs, batch: Batch, progress: Progress, hp):
        """Moves the beliefs by the votes on a batch, and makes targets of them."""
        given, present, logits = batch.labels[0], present_rows(batch), outputs.logits
        fold = draw_folds(method.voters, key, alive, label_groups(batch), hp)
        if method.ballots == "votes":
            confirmed = ballots(logits, given)
        else:
            confirmed = low_loss_ballots(logits, given, present & (given >= 0)[None])
        values = jnp.concatenate([confirmed[..., None], votes(logits), jax.nn.softmax(logits)], -1)
        # One message between members, [E, B, 1 + 2 K].
        mean = folds.vote_mean(method.voters, fold, values, present, alive)
        scores, shares, confidence = jnp.split(mean, (1, 1 + logits.shape[-1]), -1)

        beliefs = _remember(beliefs, scores[..., 0], batch, hp)
        trust = memory.read(beliefs.ballots.value, batch.index)  # [E, B]
        needed = needed_score(method.threshold, beliefs.thresholds.value)
        trained = batch.mask[None] & ~fold.hidden  # [E, B]
        accepted = accept(trust, given, needed, batch.mask) & trained
        counted = fold.out_of_fold & (batch.mask & (given >= 0))[None]
        replacements, beliefs = _replacements(beliefs, shares, confidence, given, counted, hp)
        labels = clarify.clarify(given, accepted, *replacements)
        labels = jnp.where(batch.mask[None], labels, -1)

        warm = progress.epoch < hp["warmup_epochs"]
        share = jnp.take_along_axis(shares, jnp.maximum(labels, 0)[..., None], -1)[..., 0]
        weights = jnp.where(warm, 1.0, jnp.where(accepted, trust, share))
        targets = Targets(
            labels=jnp.where(warm, jnp.where(trained, given[None], -1), labels),
            positives=jnp.where(warm, -1, labels),
            clarified=~accepted & (labels >= 0) & ~warm,
            weights=jnp.where(warm | (labels >= 0), weights, 0.0),
        )
        return beliefs.replace(
            labels=memory.write(beliefs.labels, batch.index, targets.positives),
            classes=memory.write(beliefs.classes, batch.index, predictions(outputs, alive)),
        ), targets

    def objective(outputs: Outputs, batch: Batch, targets: Targets, progress: Progress, hp):
        logits, present = outputs.logits, present_rows(batch)
        labels = jnp.broadcast_to(targets.labels, logits.shape[:-1])
        values = targets.weights[None] * jnp.where(
            targets.clarified[None], clarified_loss(logits, labels), label_loss(logits, labels)
        )
        prior = losses.class_prior_penalty(
            logits.reshape(-1, logits.shape[-1]), mask=present.reshape(-1)
        )
        contrast = denoising_contrast(outputs, batch, targets, method.positives, hp["temperature"])
        return {
            "label": hp["label_weight"] * jnp.where(present, values, 0.0).sum(0),
            "dcl": hp["dcl_weight"] * contrast,
            "prior": hp["prior_weight"] * prior * jnp.ones_like(contrast),
        }

    def diagnose(beliefs: Beliefs, dataset, num_classes: int):
        return diagnosis.believed_labels(beliefs, dataset)

    def hidden(rows: jax.Array, alive: jax.Array, hp) -> jax.Array:
        return draw_folds(method.voters, key, alive, rows, hp).hidden

    return Method(
        network.init, network.apply, objective, beliefs, vote, diagnose=diagnose, hidden=hidden
    )


def _remember(beliefs: Beliefs, scores: jax.Array, batch: Batch, hp) -> Beliefs:
    """Takes the mean ballots `[E, B]` into the memories of rows and, from there, of classes."""
    given = batch.labels[0]
    rows = memory.remember(beliefs.ballots, batch.index, scores, hp["memory_decay"], batch.mask)
    classes = memory.remember(
        beliefs.thresholds,
        given,
        memory.read(rows.value, batch.index),
        hp["threshold_decay"],
        batch.mask & (given >= 0),
    )
    return beliefs.replace(ballots=rows, thresholds=classes)


def _replacements(
    beliefs: Beliefs, shares: jax.Array, confidence: jax.Array, given, counted: jax.Array, hp
) -> tuple[tuple[jax.Array, jax.Array], Beliefs]:
    """Returns what could replace labels `[E, B]`, whether it may `[E, 1]`, and the new counts.

    Args:
        beliefs: before the batch.
        shares: of the votes for each class, `[E, B, K]`.
        confidence: mean probability of each class, `[E, B, K]`.
        given: `[B]`, labels as given.
        counted: `[E, B]` bool, rows with a label whose votes are out-of-fold predictions.
        hp: the numbers.
    """
    proposals = clarify.propose(shares, confidence, hp["min_share"], hp["min_confidence"])
    best = clarify.most_confident(proposals, confidence, counted)
    add = lambda old, new: hp["agreement_decay"] * old + new
    count = lambda old, new: jax.tree.map(add, old, clarify.count_agreement(new, given, counted))
    agreement, confident = count(beliefs.agreement, proposals), count(beliefs.confident, best)
    precision = replacement_precision(agreement, confident, shares.shape[-1])
    trusted = (precision.low >= hp["min_precision"])[:, None]
    return (proposals, trusted), beliefs.replace(agreement=agreement, confident=confident)


def low_loss_ballots(logits: jax.Array, given: jax.Array, present: jax.Array) -> jax.Array:
    """Returns how likely the loss of each voter `[E, V, B]` on the given label is a low one.

    By a mixture of two Gaussians over the batch.
    """
    values = losses.cross_entropy(logits, jnp.broadcast_to(given, logits.shape[:-1]))
    one = lambda values, mask: mixture.low_posterior(mixture.fit_mixture(values, mask), values)
    return jax.vmap(jax.vmap(one), in_axes=(0, None))(values, present)


def needed_score(threshold: str, class_means: jax.Array) -> jax.Array:
    """Returns the remembered ballots `[E, K]` that labels of each class need."""
    if threshold == "class_mean":
        return class_means
    return jnp.full_like(class_means, MAJORITY if threshold == "majority" else 0.0)


def replacement_precision(
    agreement: Agreement, confident: Agreement, num_classes: int
) -> clarify.Precision:
    """Estimates for each member `[E]` how often a replacement is the true class.

    The noise rate is how often the most confident proposals miss the given label.
    """
    missed = 1 - confident.agreed / jnp.maximum(confident.proposed, 1e-6)
    noise = jnp.where(confident.proposed > 0, missed, 0.0)
    estimate = jax.vmap(clarify.relabel_precision, in_axes=(0, 0, None))
    return estimate(agreement, noise, num_classes)


METHOD = Recipe(
    build,
    numbers={
        **mmcd.VOTING,
        "prior_weight": Field(0.0, NOT_NEGATIVE, "weight of the penalty of uneven classes"),
        "threshold_decay": Field(0.95, SHARE, "of the classes' thresholds"),
        "min_share": Field(0.66, SHARE, "of the votes that a replacement needs"),
        "min_confidence": Field(0.5, SHARE, "that a replacement needs"),
        "min_precision": Field(
            0.7, NOT_NEGATIVE, "that replacements need; above 1: no label is replaced"
        ),
        "agreement_decay": Field(0.99, SHARE, "of the counts of replacements, a batch"),
    },
    choices={
        **mmcd.VOTING_CHOICES,
        "ballots": Field("votes", choice("votes", "losses"), "what confirms a label"),
        "threshold": Field(
            "class_mean", choice("class_mean", "majority", "none"), "that accepts a label"
        ),
        "clarified_loss": Field("unhinged", choice(*LABEL_LOSSES), "loss of replaced labels"),
    },
    one_label=True,
)
