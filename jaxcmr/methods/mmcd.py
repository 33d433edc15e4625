"""MMCD (reconstruction): models that are trained together vote on which labels to believe.

After Wu et al., MMCD (Multimedia Systems 32:57, 2026), of which only the abstract is public:
several models are trained simultaneously; the votes of the models select clean labels, adaptively;
a denoising contrastive loss uses what was selected. The equations are a reconstruction, not the
authors'; so are the numbers.

All members see the same batch, and each label is hidden from one of them (`beliefs/folds.py`). In
one step, without gradient and over all members:

1. The mean logits of the members that a label is hidden from, its out-of-fold votes, minus their
   mean over the batch, enter the memory of the row. Their softmax, at the sharpness under which the
   given labels are likeliest, is the out-of-fold prediction p.
2. The noise transition matrix T, how often each class is given which label, is counted where the
   votes are most confident (the `confident_share` of each batch).
3. The posterior `q_k ~ p_k T[k, y]` (`beliefs/posterior.py`) is the target of the members that the
   label y is not hidden from. Without a label q is p.
4. After the share `freeze_from` of the training beliefs are frozen. They need no more votes, so
   all members are trained on them.

Each member then minimises

    label_weight sum_v sum_k q_ik ell(logits_vi, k) + dcl_weight mean_v DCL_vi

with logits `c_k . z / center_temperature` of unit embeddings and learned unit centers, and ell the
`label_loss`. DCL is the denoising contrastive loss: its positives share the likeliest class, with
the weight `max_k q_k`; where no label is believed, it is the pair contrast. In the first
`warmup_epochs` members are trained on all given labels (except hidden ones), and DCL uses no label;
with `positives = "pairs"` it never does.

The unhinged loss of an even q is 0: where labels carry little information, mostly DCL is left.
"""

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import clarify, diagnosis, folds, memory, posterior
from jaxcmr.config.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Field, choice, whole
from jaxcmr.errors import UsageError
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import (
    Method,
    Outputs,
    Progress,
    Recipe,
    label_groups,
    modality_mean,
    present_rows,
)
from jaxcmr.methods.classifiers import LABEL_LOSSES
from jaxcmr.types import Batch

# Factors of the mean logits before the softmax; the given labels choose one by likelihood.
SHARPNESS = tuple(2.0 ** (step / 2) for step in range(-6, 5))  # 1/8 to 4
PRIOR = 5.0  # pseudo-counts a class: see `posterior.transition`


@flax.struct.dataclass
class Beliefs:
    """What E members with V modalities believe about N rows of K classes.

    Attributes:
        logits: remembered votes, of `[E, K, N]`.
        transitions: `[E, K, K]`, decayed counts of confident votes by given label: T.
        likelihoods: `[E, S]`, decayed log-likelihoods of given labels under each sharpness.
        counted: `[E]`, decayed number of labels in them.
        self_confidence: `[E, N]`, the posterior of the given label; 0 for none yet.
        labels: `[E, N]` int32, the likeliest class; -1 for none yet.
        classes: `[E, V, N]` int32, what each voter predicts; -1 for none yet.
    """

    logits: memory.Memory
    transitions: jax.Array
    likelihoods: jax.Array
    counted: jax.Array
    self_confidence: jax.Array
    labels: jax.Array
    classes: jax.Array


@flax.struct.dataclass
class Targets:
    """What each member is trained on.

    Attributes:
        posterior: `[E, B, K]`, zero where the member is not trained on the row's label.
        positives: `[E, B]` int32, the likeliest class, which decides the positives of the
            contrastive loss; -1 for none.
        weights: `[E, B]`, how likely it is.
    """

    posterior: jax.Array
    positives: jax.Array
    weights: jax.Array


def build(config: ConfigDict) -> Method:
    """Builds MMCD over the encoders of `config.encoders`.

    Raises:
        UsageError: the numbers do not fit the ensemble or the training.
    """
    check(config)
    warm = config.method.warmup_epochs / config.train.epochs
    if config.method.freeze_from < min(warm, 1.0):
        raise UsageError(
            f"config.method.freeze_from is {config.method.freeze_from}, but the warm-up lasts "
            f"{warm:.2f} of the training, and nobody votes before"
        )
    network = classifiers.with_centers(config, "center_temperature")
    key, voters = jax.random.key(config.seed), config.method.voters
    label_loss, positives = LABEL_LOSSES[config.method.label_loss], config.method.positives
    members, modalities = config.ensemble.members, len(config.data.modalities)

    def beliefs(rows: int, num_classes: int) -> Beliefs:
        return Beliefs(
            logits=memory.start((members, num_classes, rows), 0.0),
            transitions=jnp.zeros((members, num_classes, num_classes)),
            likelihoods=jnp.zeros((members, len(SHARPNESS))),
            counted=jnp.zeros(members),
            self_confidence=jnp.zeros((members, rows)),
            labels=jnp.full((members, rows), -1, jnp.int32),
            classes=jnp.full((members, modalities, rows), -1, jnp.int32),
        )

    def vote(outputs: Outputs, alive, beliefs: Beliefs, batch: Batch, progress: Progress, hp):
        """Moves the beliefs by the votes on a batch, and makes targets of them."""
        given, present = batch.labels[0], present_rows(batch)
        warm = progress.epoch < hp["warmup_epochs"]
        frozen = progress.fraction >= hp["freeze_from"]
        fold = draw_folds(voters, key, alive, label_groups(batch), hp)
        logits = folds.vote_mean(voters, fold, outputs.logits, present, alive)  # [E, B, K]
        updates = batch.mask & ~frozen
        remembered = memory.remember(
            beliefs.logits,
            batch.index,
            jnp.swapaxes(_minus_batch_mean(logits, batch.mask), -1, -2),
            hp["memory_decay"],
            updates,
        )
        logits = jnp.swapaxes(memory.read(remembered.value, batch.index), -1, -2)
        q, beliefs = _posterior(
            beliefs, logits, given, fold.out_of_fold & (updates & (given >= 0))[None], frozen, hp
        )

        label = jax.nn.one_hot(given, q.shape[-1])[None]
        q = jnp.where(warm, label, q)
        known = batch.mask[None] & ~warm
        trained = batch.mask[None] & (~fold.hidden | frozen)  # [E, B]
        likeliest, weights = q.argmax(-1).astype(jnp.int32), q.max(-1)
        write = lambda old, new: memory.write(old, batch.index, new)
        return beliefs.replace(
            logits=remembered,
            self_confidence=write(
                beliefs.self_confidence, jnp.where(known, (q * label).sum(-1), 0.0)
            ),
            labels=write(beliefs.labels, jnp.where(known, likeliest, -1)),
            classes=write(beliefs.classes, predictions(outputs, alive)),
        ), Targets(
            posterior=jnp.where(trained[..., None], q, 0.0),
            positives=jnp.where(trained & known, likeliest, -1),
            weights=jnp.where(trained & known, weights, 0.0),
        )

    def objective(outputs: Outputs, batch: Batch, targets: Targets, progress: Progress, hp):
        logits, present = outputs.logits, present_rows(batch)
        of_class = lambda k: label_loss(logits, jnp.full(logits.shape[:-1], k))
        values = jax.vmap(of_class, out_axes=-1)(jnp.arange(logits.shape[-1]))  # [V, B, K]
        expected = (targets.posterior[None] * values).sum(-1)
        contrast = denoising_contrast(outputs, batch, targets, positives, hp["temperature"])
        return {
            "label": hp["label_weight"] * jnp.where(present, expected, 0.0).sum(0),
            "dcl": hp["dcl_weight"] * contrast,
        }

    def diagnose(beliefs: Beliefs, dataset, num_classes: int):
        return diagnosis.posterior_labels(beliefs, dataset)

    def hidden(rows: jax.Array, alive: jax.Array, hp) -> jax.Array:
        return draw_folds(voters, key, alive, rows, hp).hidden

    def remembered(beliefs: Beliefs) -> jax.Array:
        return jnp.swapaxes(beliefs.logits.value.mean(0), 0, 1)

    # Once beliefs are frozen, all members are trained on posteriors, which know the labels.
    freezes = config.method.freeze_from < 1
    return Method(
        network.init, network.apply, objective, beliefs, vote,
        diagnose=diagnose, hidden=hidden, remembered=remembered if freezes else None,
    )  # fmt: skip


def _posterior(
    beliefs: Beliefs, logits: jax.Array, given: jax.Array, counted: jax.Array, frozen, hp
) -> tuple[jax.Array, Beliefs]:
    """Learns T and the sharpness from a batch; returns the posteriors `[E, B, K]`, too.

    Args:
        beliefs: before the batch.
        logits: `[E, B, K]`, remembered votes.
        given: `[B]`, labels as given.
        counted: `[E, B]` bool, rows with a label whose votes are out-of-fold predictions.
        frozen: bool, whether counts stay as they are.
        hp: the numbers.
    """
    decay = jnp.where(frozen, 1.0, hp["transition_decay"])
    confident = clarify.most_confident(
        logits.argmax(-1), jax.nn.softmax(logits), counted, hp["confident_share"]
    )
    transitions = decay * beliefs.transitions + posterior.count_transitions(
        confident, given, logits.shape[-1]
    )
    matrix = posterior.transition(transitions, PRIOR)  # [E, K, K]
    sharpness = jnp.asarray(SHARPNESS)
    each = jax.nn.softmax(sharpness[None, :, None, None] * logits[:, None])  # [E, S, B, K]
    fits = jnp.where(counted[:, None], posterior.likelihood(each, given, matrix[:, None]), 0.0)
    likelihoods = decay * beliefs.likelihoods + fits.sum(-1)
    chosen = sharpness[likelihoods.argmax(-1)][:, None, None]
    q = posterior.label_posterior(jax.nn.softmax(chosen * logits), given, matrix)
    return q, beliefs.replace(
        transitions=transitions,
        likelihoods=likelihoods,
        counted=decay * beliefs.counted + counted.sum(-1),
    )


def _minus_batch_mean(logits: jax.Array, mask: jax.Array) -> jax.Array:
    """Takes the mean over the rows of the batch from the logits `[E, B, K]` of each class.

    Without it a class that is predicted slightly too often becomes a target too often, and the bias
    grows.
    """
    rows = mask[None, :, None]
    mean = jnp.where(rows, logits, 0.0).sum(1, keepdims=True) / jnp.maximum(mask.sum(), 1)
    return logits - mean


def draw_folds(voters: str, key: jax.Array, alive: jax.Array, rows: jax.Array, hp) -> folds.Folds:
    """Draws the folds of rows, `[B]` of `label_groups`."""
    return folds.draw(voters, key, rows, alive, hp["held_out_members"], hp["held_out_share"])


def predictions(outputs: Outputs, alive: jax.Array) -> jax.Array:
    """Returns the class `[E, V, B]` that each voter predicts; -1 of members that are not alive."""
    return jnp.where(alive[:, None, None], outputs.logits.argmax(-1).astype(jnp.int32), -1)


def denoising_contrast(
    outputs: Outputs, batch: Batch, targets, positives: str, temperature: jax.Array
) -> jax.Array:
    """Returns the mean of DCL over the items that each pair has, `[B]`.

    Args:
        outputs: of one member.
        batch: its items.
        targets: `positives [B]` and `weights [B]`.
        positives: "labels", or "pairs" to use no label.
        temperature: of the loss.
    """
    present, labels = present_rows(batch), targets.positives
    contrast = losses.denoising_contrastive(
        outputs.embeddings,
        labels if positives == "labels" else jnp.full_like(labels, -1),
        targets.weights,
        temperature=temperature,
        present=present,
    )
    return modality_mean(contrast, present)


def check(config: ConfigDict) -> None:
    """Raises a `UsageError` where a label would be hidden from all members."""
    members, hidden = config.ensemble.members, config.method.held_out_members
    if config.method.voters == "out_of_fold" and 1 < members <= hidden:
        raise UsageError(
            f"config.method.held_out_members is {hidden}, but with {members} members it must be "
            f"below {members}"
        )


# The numbers and choices of the methods whose members vote on labels.
VOTING = {
    "center_temperature": Field(0.05, POSITIVE, "of the unit centers"),
    "label_weight": Field(
        0.05, NOT_NEGATIVE, "weight of the labels; with more, posteriors drift from the labels"
    ),
    "dcl_weight": Field(1.0, NOT_NEGATIVE, "weight of the denoising contrastive loss"),
    "temperature": Field(0.22, POSITIVE, "of the denoising contrastive loss"),
    "warmup_epochs": Field(5, whole(0), "in which members are trained on all given labels"),
    "held_out_members": Field(1, whole(1, 1000), "members that each label is hidden from"),
    "held_out_share": Field(0.05, SHARE, "of labels hidden from all members, without folds"),
    "memory_decay": Field(0.7, SHARE, "of the remembered votes on a row"),
}
VOTING_CHOICES = {
    "voters": Field("out_of_fold", choice(*folds.VOTERS), "who votes on a row"),
    "label_loss": Field("unhinged", choice(*LABEL_LOSSES), "loss of the labels"),
    "positives": Field(
        "labels", choice("labels", "pairs"), "of the contrast; pairs: no label decides them"
    ),
}
METHOD = Recipe(
    build,
    numbers={
        **VOTING,
        "confident_share": Field(0.5, SHARE, "of the votes that T is counted on"),
        "transition_decay": Field(0.99, SHARE, "of the counts of T, a batch"),
        "freeze_from": Field(1.0, SHARE, "share of the training after which beliefs are frozen"),
    },
    choices=VOTING_CHOICES,
    one_label=True,
)
