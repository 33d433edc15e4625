"""MMCD (reconstruction): models that are trained together vote on which labels to believe.

After Wu et al., MMCD (Multimedia Systems 32:57, 2026), of which only the abstract is public:
several models are trained simultaneously; the votes of the models select clean labels, adaptively;
a denoising contrastive loss uses what was selected. The equations are a reconstruction, not the
authors'.

Every member sees the same batch. In one step, without gradient and over all members
(`methods/panel.py`):

1. each of the E V voters says whether it believes the given label: whether it predicts it
   (`ballots = "votes"`), or whether its loss is a low one ("losses");
2. the mean ballot enters the exponential memory s of the row. Who may vote is `voters`: those who
   were never taught the label ("untaught"), the other members ("peers") or "all";
3. a label is accepted if s reaches its class's threshold: the running mean of s over the labels of
   the class (`threshold = "class_mean"`), one half ("majority"), or nothing ("none");
4. a rejected label is replaced by the class that enough voters agree on, if such proposals are
   likely right: their precision is estimated on rows whose label the voters were not taught, and
   `gate` is compared with its low end; else the row has no label. A gate above 1 never clarifies.

Each member then minimises

    label_weight w_i sum_v ell(logits_vi, y_i) + dcl_weight mean_v DCL_vi + prior_weight prior_i

with logits `c_k . z / center_temperature` of unit embeddings and learned unit centers, w = s for
accepted and the voters' share for clarified labels, ell a classification loss, DCL the denoising
contrastive loss, which is label-free where no label is believed. In the warm-up of `warmup_epochs`
all given labels are taught (to those who may be), with weight 1, and DCL is label-free.

With other settings of the same parts: NRCL's peer splits (`presets.NRCL`) and co-teaching
(`presets.CO_TEACHING`).
"""

from functools import partial

import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.labels import diagnosis
from jaxcmr.methods import classifiers, panel
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
    "focal": partial(losses.focal, gamma=1.0),
    "generalized_cross_entropy": losses.generalized_cross_entropy,
    "mean_absolute_error": losses.mean_absolute_error,
    "unhinged": losses.unhinged,
}


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds MMCD over the encoders of `config.encoders`; its numbers are `config.method`.

    Raises:
        UsageError: for a choice that does not exist.
    """
    label_loss = _label_loss(config, "label_loss")
    clarified_loss = _label_loss(config, "clarified_loss")
    network = classifiers.with_centers(config, num_classes, config.method.center_temperature)
    voters = len(config.data.modalities)

    def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
        del progress
        names = tuple(outputs.embeddings)
        present, logits = present_rows(batch, names), stacked(outputs.logits, names)
        labels = jnp.broadcast_to(targets["labels"], present.shape)
        taught = jnp.where(
            targets["clarified"], clarified_loss(logits, labels), label_loss(logits, labels)
        )
        contrast = losses.denoising_contrastive(
            stacked(outputs.embeddings, names),
            targets["positives"],
            targets["weights"],
            temperature=hp["temperature"],
            present=present,
        )
        weights = hp["label_weight"] * targets["weights"]
        terms = {
            "label": weights * jnp.where(present, taught, 0.0).sum(0),
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
        panel.start_beliefs(config.ensemble.members, voters, num_classes),
        panel.build_vote(config, num_classes),
        diagnose=diagnosis.believed_labels,
    )


def _label_loss(config: ConfigDict, field: str):
    name = config.method[field]
    if name not in LABEL_LOSSES:
        raise UsageError(
            f"config.method.{field} is {name!r}, but it must be one of {', '.join(LABEL_LOSSES)}"
        )
    return LABEL_LOSSES[name]
