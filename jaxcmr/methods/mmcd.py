"""MMCD (reconstruction): models that are trained together vote on which labels to believe.

After Wu et al., MMCD (Multimedia Systems 32:57, 2026), of which only the abstract is public:
several models are trained simultaneously; the votes of the models select clean labels, adaptively;
a denoising contrastive loss uses what was selected. The equations are a reconstruction, not the
authors'.

Every member sees the same batch. In one step, without gradient and over all members, the panel says
what to believe of the labels. Who may vote on a row is `voters`: those who were never taught its
label ("untaught"), the other members ("peers") or "all". How they are believed is `believes`.

`"labels"` (`methods/label_vote.py`): one label a row, or none.

1. Each of the E V voters says whether it believes the given label: whether it predicts it
   (`ballots = "votes"`), or whether its loss is a low one ("losses");
2. the mean ballot enters the exponential memory s of the row;
3. a label is accepted if s reaches its class's threshold: the running mean of s over the labels of
   the class (`threshold = "class_mean"`), one half ("majority"), or nothing ("none");
4. a rejected label is replaced by the class that enough voters agree on, if such proposals are
   likely right: their precision is estimated on rows whose label the voters were not taught, and
   `gate` is compared with its low end; else the row has no label. A gate above 1 never clarifies.

`"posteriors"` (`methods/posterior_vote.py`): every class as far as votes and label speak for it.

1. The mean logits of the voters, from which their mean over the batch is taken, enter the memory of
   the row; their softmax, sharpened as the given labels make likeliest, is the votes' belief p;
2. T, how often each class is given which label, is counted where the votes are surest (the
   `surest_share` of each batch);
3. the posterior q_k ~ p_k T_ky is taught to all who may be taught the label y;
4. behind the share `settle_from` of the training posteriors stay as they are. Nobody's vote is
   needed any more, so that they are taught to the judges of the row, too.

Each member then minimises

    label_weight sum_v sum_k q_ik ell(logits_vi, k) + dcl_weight mean_v DCL_vi
        + prior_weight prior_i

with logits `c_k . z / center_temperature` of unit embeddings and learned unit centers, ell a
classification loss, DCL the denoising contrastive loss, which is label-free where no label is
believed. With "labels", q is w times the believed label, w = s for accepted and the voters' share
for clarified ones; with "posteriors", DCL takes the likeliest class with the weight `max_k q_k`. In
the warm-up of `warmup_epochs` all given labels are taught (to those who may be), with weight 1, and
DCL is label-free; with `positives = "pairs"` it always is: a plain contrastive loss.

The unhinged loss of an even q is 0: where labels say little, the posteriors leave little but DCL.

With other settings of the same parts: NRCL's peer splits (`presets.NRCL`) and co-teaching
(`presets.CO_TEACHING`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import diagnosis
from jaxcmr.errors import check_choice
from jaxcmr.methods import classifiers, label_vote, panel, posterior_vote
from jaxcmr.methods.base import (
    Method,
    Outputs,
    Progress,
    Targets,
    over_modalities,
    present_rows,
    stacked,
)
from jaxcmr.types import Batch

LabelLoss = Callable[[jax.Array, jax.Array], jax.Array]
LABEL_LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "focal": partial(losses.focal, gamma=1.0),
    "generalized_cross_entropy": losses.generalized_cross_entropy,
    "mean_absolute_error": losses.mean_absolute_error,
    "unhinged": losses.unhinged,
}
POSITIVES = ("labels", "pairs")


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds MMCD over the encoders of `config.encoders`; its numbers are `config.method`.

    Raises:
        UsageError: for a choice that does not exist.
    """
    choices = {"believes": BELIEFS, "positives": POSITIVES}
    choices |= {"label_loss": LABEL_LOSSES, "clarified_loss": LABEL_LOSSES}
    for field, known in choices.items():
        check_choice(f"method.{field}", config.method[field], known)
    kind = BELIEFS[config.method.believes]
    taught = kind.taught(
        LABEL_LOSSES[config.method.label_loss], LABEL_LOSSES[config.method.clarified_loss]
    )
    network = classifiers.with_centers(config, num_classes, config.method.center_temperature)
    voters = len(config.data.modalities)

    def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
        del progress
        names = tuple(outputs.embeddings)
        present, logits = present_rows(batch, names), stacked(outputs.logits, names)
        believed = targets["positives"]
        contrast = losses.denoising_contrastive(
            stacked(outputs.embeddings, names),
            believed if config.method.positives == "labels" else jnp.full_like(believed, -1),
            targets["weights"],
            temperature=hp["temperature"],
            present=present,
        )
        values = jnp.where(present, taught(logits, targets), 0.0)
        terms = {
            "label": hp["label_weight"] * values.sum(0),
            "dcl": hp["dcl_weight"] * over_modalities(contrast, present),
        }
        if config.method.prior_weight:
            prior = losses.class_prior_penalty(
                logits.reshape(-1, num_classes), mask=present.reshape(-1)
            )
            terms["prior"] = hp["prior_weight"] * prior * jnp.ones_like(terms["dcl"])
        return terms

    return Method(
        network.init,
        network.apply,
        objective,
        panel.start_beliefs(kind.start_beliefs, config.ensemble.members, voters, num_classes),
        panel.build_vote(config, kind.build_rule(config.method, num_classes)),
        diagnose=kind.diagnose,
    )


def one_label(label_loss: LabelLoss, clarified_loss: LabelLoss) -> Callable:
    """Returns `(logits [V, B, K], targets) -> [V, B]`: the weighted loss of the believed labels."""

    def taught(logits: jax.Array, targets: Targets) -> jax.Array:
        labels = jnp.broadcast_to(targets["labels"], logits.shape[:-1])
        values = jnp.where(
            targets["clarified"], clarified_loss(logits, labels), label_loss(logits, labels)
        )
        return targets["weights"][None] * values

    return taught


def every_label(label_loss: LabelLoss, clarified_loss: LabelLoss) -> Callable:
    """Returns `(logits [V, B, K], targets) -> [V, B]`: `sum_k q_k ell(logits, k)`."""
    del clarified_loss  # no label is replaced

    def taught(logits: jax.Array, targets: Targets) -> jax.Array:
        each = lambda label: label_loss(logits, jnp.full(logits.shape[:-1], label))
        values = jax.vmap(each, out_axes=-1)(jnp.arange(logits.shape[-1]))
        return (targets["posterior"][None] * values).sum(-1)

    return taught


class Kind(NamedTuple):
    """A way to believe: what is remembered, who decides, what is taught, what people are told."""

    start_beliefs: Callable[[int, int, int], Any]
    build_rule: Callable[[ConfigDict, int], panel.Rule]
    taught: Callable
    diagnose: Callable


BELIEFS = {
    "labels": Kind(
        label_vote.start_beliefs, label_vote.build_rule, one_label, diagnosis.believed_labels
    ),
    "posteriors": Kind(
        posterior_vote.start_beliefs,
        posterior_vote.build_rule,
        every_label,
        diagnosis.posterior_labels,
    ),
}
