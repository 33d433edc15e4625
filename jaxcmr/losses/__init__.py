"""Robust losses for cross-modal retrieval: pure functions of arrays, for any training loop.

Every loss returns per-example values; take the mean once, under the mask of the batch, with
`masked_mean`. Nothing here knows of a model, an optimiser or a data set.
"""

from jaxcmr.losses.center import (
    center_classification,
    center_distance,
    center_logits,
    robust_center,
    warmup_ramp,
)
from jaxcmr.losses.classification import (
    cross_entropy,
    focal,
    generalized_cross_entropy,
    label_smoothing,
    mean_absolute_error,
    soft_focal,
    symmetric_cross_entropy,
    unhinged,
)
from jaxcmr.losses.consensus import (
    consensus,
    hard_label_loss,
    noisy_label_loss,
    pure_label_loss,
)
from jaxcmr.losses.contrastive import (
    cross_modal_supervised_contrastive,
    denoising_contrastive,
    multimodal_contrastive,
    supervised_contrastive,
)
from jaxcmr.losses.information import negative_information
from jaxcmr.losses.margin import cross_modal_margin, modality_distance
from jaxcmr.losses.reduction import masked_mean
from jaxcmr.losses.regularization import class_prior_penalty, early_learning_regularization
from jaxcmr.losses.robust import robust_clustering, robust_concentrating

__all__ = [
    "center_classification",
    "center_distance",
    "center_logits",
    "class_prior_penalty",
    "consensus",
    "cross_entropy",
    "cross_modal_margin",
    "cross_modal_supervised_contrastive",
    "denoising_contrastive",
    "early_learning_regularization",
    "focal",
    "generalized_cross_entropy",
    "hard_label_loss",
    "label_smoothing",
    "masked_mean",
    "mean_absolute_error",
    "modality_distance",
    "multimodal_contrastive",
    "negative_information",
    "noisy_label_loss",
    "pure_label_loss",
    "robust_center",
    "robust_clustering",
    "robust_concentrating",
    "soft_focal",
    "supervised_contrastive",
    "symmetric_cross_entropy",
    "unhinged",
    "warmup_ramp",
]
