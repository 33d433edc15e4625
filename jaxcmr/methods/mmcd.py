"""MMCD (reconstruction): models that are trained together vote on which labels to believe.

After Wu et al., MMCD (Multimedia Systems 32:57, 2026), of which only the abstract is public:
several models are trained simultaneously; the votes of the models select clean labels, adaptively;
a denoising contrastive loss uses what was selected. The equations are a reconstruction, not the
authors'.

Every member sees the same batch. In one step, without gradient and over all members:

1. each of the E V voters says whether it predicts the given label (`belief.ballots`);
2. the mean ballot enters the exponential memory s of the row; with `peer_votes` member e
   is told what the *other* members think;
3. a label is accepted if s reaches its class's threshold: the running mean of s over the labels of
   the class (`threshold = "class_mean"`), or one half ("majority");
4. a rejected label is replaced by the class that enough voters agree on, if such proposals are
   likely right: their precision is estimated on rows whose labels nobody was taught
   (`held_out_share`), and `gate` is compared with its low end; else the row has no label.

Each member then minimises

    label_weight w_i sum_v ell(logits_vi, y_i) + dcl_weight mean_v DCL_vi + prior_weight prior_i

with w = s for accepted and the panel's share for clarified labels, ell a classification loss,
DCL the denoising contrastive loss, which is label-free where no label is believed. In the
warm-up of `warmup_epochs` all given labels are taught, with weight 1, and DCL is label-free.
"""

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.labels import belief, clarify, diagnosis
from jaxcmr.methods import towers
from jaxcmr.methods.base import (
    Method,
    Outputs,
    Progress,
    over_modalities,
    present_rows,
    stacked,
)
from jaxcmr.types import Batch, UsageError

LABEL_LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "generalized_cross_entropy": losses.generalized_cross_entropy,
    "mean_absolute_error": losses.mean_absolute_error,
}
THRESHOLDS = ("class_mean", "majority", "none")


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds MMCD over the encoders of `config.encoders`; its numbers are `config.method`.

    `threshold = "none"` accepts every label that may be taught (no filter); `gate` above 1 never
    clarifies.
    """
    _check(config)
    network = towers.with_head(config, num_classes)
    members, voters = config.ensemble.members, len(config.data.modalities)
    panel = _panel(config, num_classes)
    label_loss = LABEL_LOSSES[config.method.label_loss]

    def beliefs(rows: int):
        return {
            "memory": belief.start_memory((members, rows)),
            "thresholds": belief.start_memory((members, num_classes), 0.0),
            "agreement": clarify.Agreement(jnp.zeros(members), jnp.zeros(members)),
            "labels": jnp.full((members, rows), -1, jnp.int32),
            "classes": jnp.full((members, voters, rows), -1, jnp.int32),
        }

    def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
        del progress
        names = tuple(outputs.embeddings)
        present, logits = present_rows(batch, names), stacked(outputs.logits, names)
        labels = jnp.broadcast_to(targets["labels"], present.shape)
        taught = jnp.where(
            targets["clarified"],
            losses.mean_absolute_error(logits, labels),
            label_loss(logits, labels),
        )
        contrast = losses.denoising_contrastive(
            stacked(outputs.embeddings, names),
            targets["positives"],
            targets["weights"],
            temperature=hp["temperature"],
            present=present,
        )
        terms = {
            "label": hp["label_weight"]
            * targets["weights"]
            * jnp.where(present, taught, 0.0).sum(0),
            "dcl": hp["dcl_weight"] * over_modalities(contrast, present),
        }
        if config.method.prior_weight:
            prior = losses.class_prior_penalty(
                logits.reshape(-1, num_classes), mask=present.reshape(-1)
            )
            terms["prior"] = hp["prior_weight"] * prior * jnp.ones_like(terms["dcl"])
        return terms

    return Method(
        network.init, network.apply, objective, beliefs, panel, diagnose=diagnosis.believed_labels
    )


def _panel(config: ConfigDict, num_classes: int):
    """Returns the vote of `Method`: what each member is to believe of the batch's labels."""
    key = jax.random.key(config.seed)
    average = _everybody if not config.method.peer_votes else belief.peer_mean

    def vote(outputs: Outputs, beliefs: Any, batch: Batch, progress: Progress, hp):
        names = tuple(outputs.logits)
        present = present_rows(batch, names)
        logits = jnp.stack([outputs.logits[name] for name in names], 1)  # [E, V, B, K]
        given = batch.labels[names[0]]
        hidden = clarify.held_out_rows(key, batch.index, hp["held_out_share"])

        scores = average(belief.ballots(logits, given), present)  # [E, B]
        memory = belief.remember(
            beliefs["memory"], batch.index, scores, hp["memory_decay"], batch.mask
        )
        trust = memory.value[:, batch.index]
        thresholds = belief.remember_classes(
            beliefs["thresholds"], given, trust, hp["threshold_decay"], batch.mask
        )
        needed = _needed(config.method.threshold, thresholds.value)
        open_rows = batch.mask & ~hidden
        accepted = belief.accept(trust, given, needed, open_rows)

        shares = average(belief.votes(logits), present)
        confidence = average(jax.nn.softmax(logits), present)
        proposals = clarify.propose(shares, confidence, hp["min_share"], hp["min_confidence"])
        seen = clarify.count_agreement(proposals, given, hidden & batch.mask)
        fade = hp["agreement_decay"]
        agreement = jax.tree.map(lambda old, new: fade * old + new, beliefs["agreement"], seen)
        wrong = 1.0 - _mean_where(memory.value, memory.count > 0)
        estimate = jax.vmap(clarify.relabel_precision, in_axes=(0, 0, None))
        precision = estimate(agreement, wrong, num_classes)
        trusted = (precision.low >= hp["gate"])[:, None]
        believed = clarify.clarify(given, accepted, proposals, trusted)
        believed = jnp.where(batch.mask[None], believed, -1)

        warm = progress.epoch < hp["warmup_epochs"]
        clarified = ~accepted & (believed >= 0) & ~warm
        share = jnp.take_along_axis(shares, jnp.maximum(believed, 0)[..., None], -1)[..., 0]
        weights = jnp.where(warm, 1.0, jnp.where(accepted, trust, share))
        learned = jnp.where(open_rows, given, -1)[None]
        targets = {
            "labels": jnp.where(warm, learned, believed),
            "positives": jnp.where(warm, -1, believed),
            "clarified": clarified,
            "weights": jnp.where(warm | (believed >= 0), weights, 0.0),
        }
        write = lambda bank, values: bank.at[..., batch.index].set(values)
        return {
            "memory": memory,
            "thresholds": thresholds,
            "agreement": agreement,
            "labels": write(beliefs["labels"], targets["positives"]),
            "classes": write(beliefs["classes"], logits.argmax(-1).astype(jnp.int32)),
        }, targets

    return vote


def _everybody(values: jax.Array, present: jax.Array) -> jax.Array:
    """Gives every member the mean over all members, its own votes included."""
    mean = belief.panel_mean(values, present)
    return jnp.broadcast_to(mean[None], (len(values), *mean.shape))


def _needed(kind: str, class_means: jax.Array) -> jax.Array:
    """Returns the thresholds `[E, K]`."""
    if kind == "majority":
        majority = belief.majority_thresholds(class_means.shape[-1])
        return jnp.broadcast_to(majority[None], class_means.shape)
    return class_means if kind == "class_mean" else jnp.zeros_like(class_means)


def _mean_where(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the mean of `[E, N]` under a mask of the same shape, a member apart."""
    return jnp.where(mask, values, 0.0).sum(-1) / jnp.maximum(mask.sum(-1), 1)


def _check(config: ConfigDict) -> None:
    """Raises a `UsageError` for a choice that does not exist."""
    for field, choices in (("label_loss", tuple(LABEL_LOSSES)), ("threshold", THRESHOLDS)):
        value = config.method[field]
        if value not in choices:
            raise UsageError(
                f"config.method.{field} is {value!r}, but it must be one of {', '.join(choices)}"
            )
    if config.noise.per_modality:
        raise UsageError(
            "mmcd believes or rejects one label a pair; set config.noise.per_modality to False"
        )
