"""Calls of the losses."""

import extremes as x
import numpy as np
from extremes import CLASSES, ROWS
from table import (
    CENTERS,
    CLASS,
    FEATURES,
    LOGITS,
    LOGITS_BY_MODALITY,
    PRESENT,
    TABLE,
    Z,
    call,
    everything,
    exempt,
    normal,
    softmax,
)

from jaxcmr import losses, numerics
from jaxcmr.losses import anchors

for loss in (
    losses.cross_entropy,
    losses.mean_absolute_error,
    losses.unhinged,
    losses.generalized_cross_entropy,
    losses.symmetric_cross_entropy,
    losses.focal,
    losses.label_smoothing,
    losses.robust_clustering,
    losses.robust_concentrating,
    numerics.label_log_odds,
):
    call(loss, logits=x.scores(LOGITS), labels=x.labels(CLASS))
TABLE["losses.classification.generalized_cross_entropy"].arguments["q"] = x.number(0.7, 0, 1)
TABLE["losses.classification.focal"].arguments["gamma"] = x.number(2.0, 0)
TABLE["losses.classification.label_smoothing"].arguments["epsilon"] = x.number(0.1, 0, 1)
TABLE["losses.classification.symmetric_cross_entropy"].arguments["alpha"] = x.number(0.1, 0)
TABLE["losses.robust.robust_concentrating"].arguments["clip"] = x.number(0.3, 0, 0.99999)
TABLE["losses.robust.robust_concentrating"].instead["clip/None"] = None
for loss in (losses.soft_focal, losses.early_learning_regularization, numerics.log_rest):
    call(loss, logits=x.scores(LOGITS), targets=x.distributions(softmax(LOGITS)))
call(
    losses.class_prior_penalty,
    logits=x.scores(LOGITS, x.SHOWN),
    prior=x.plain(np.full(CLASSES, 1 / CLASSES, np.float32)),
    mask=x.mask(everything(ROWS), x.FINE),
)
call(losses.consensus, logits=x.scores(LOGITS_BY_MODALITY))
call(losses.noisy_label_loss, logits=x.scores(LOGITS_BY_MODALITY))
call(losses.pure_label_loss, logits=x.scores(LOGITS_BY_MODALITY), labels=x.labels(CLASS))
call(losses.hard_label_loss, logits=x.scores(LOGITS_BY_MODALITY), labels=x.labels(CLASS))

CENTERED = {
    "embeddings": x.scores(FEATURES),
    "labels": x.labels(CLASS),
    "centers": x.plain(CENTERS),
}
call(
    losses.robust_center,
    **CENTERED,
    ramp=x.number(0.5, 0, 1),
    tau1=x.number(0.5, 0),
    tau2=x.number(0.5, 0),
    margin=x.number(0.2),
)
call(losses.center_classification, **CENTERED, temperature=x.number(0.4, 0), gamma=x.number(1.0, 0))
call(losses.center_distance, **CENTERED)
call(
    losses.center_logits,
    embeddings=x.scores(FEATURES),
    centers=x.plain(CENTERS),
    temperature=x.number(0.4, 0),
)
call(losses.warmup_ramp, epoch=x.number(3), warmup_epochs=x.number(10))
call(
    losses.masked_mean,
    {"mask/scalar": None, "mask/column": None},  # masks that broadcast, or do not with one axis
    values=x.scores(normal(ROWS), x.SHOWN),
    mask=x.mask(everything(ROWS), x.FINE),
)

PAIRED = {"embeddings": x.scores(Z, x.SHOWN), "present": x.mask(PRESENT, x.FINE)}
TEMPERATURE = {"temperature": x.number(0.5, 0)}
BLOCK = {"block_size": x.whole(3)}
AT_ONCE = {"block_size/None": None}
OWN = {"intra_modal_weight": x.number(1.0, 0)}
LABELS = {"labels": x.ids(CLASS, x.FINE)}
WEIGHTS = {"weights": x.scores(np.linspace(0.2, 1, ROWS), x.SHOWN)}
call(losses.multimodal_contrastive, AT_ONCE, **PAIRED, **TEMPERATURE, **BLOCK, **OWN)
call(losses.supervised_contrastive, AT_ONCE, **PAIRED, **LABELS, **TEMPERATURE, **BLOCK)
call(
    losses.cross_modal_supervised_contrastive,
    AT_ONCE,
    **PAIRED,
    **LABELS,
    **TEMPERATURE,
    **BLOCK,
    **OWN,
)
call(losses.denoising_contrastive, AT_ONCE, **PAIRED, **LABELS, **WEIGHTS, **TEMPERATURE, **BLOCK)
call(losses.cross_modal_margin, AT_ONCE, **PAIRED, margin=x.number(0.9), **BLOCK)
call(losses.modality_distance, **PAIRED)
call(
    losses.negative_information,
    probabilities=x.distributions(softmax(LOGITS_BY_MODALITY), x.SHOWN),
    present=x.mask(PRESENT, x.FINE),
)
exempt("what the pairwise losses are made of", anchors.similarities, anchors.map_anchors)
exempt("what the pairwise losses are made of", anchors.paired_rows)

call(numerics.at_least_float32, values=x.scores(FEATURES))
call(numerics.unit_rows, rows=x.scores(FEATURES))
call(numerics.unit_of, values=x.scores(FEATURES, x.SHOWN))
call(
    numerics.weighted_logsumexp,
    scores=x.scores(LOGITS, x.SHOWN),
    weights=x.scores(softmax(LOGITS), x.SHOWN),
)
call(numerics.sound_rows, logits=x.scores(LOGITS))
exempt("guards, called by all others", numerics.check_classes, numerics.check_targets)
