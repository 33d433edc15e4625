"""Robust losses for cross-modal retrieval: pure functions of arrays, for any training loop.

Every loss returns per-example values; take the mean once, under the mask of the batch, with
`masked_mean`. Nothing here depends on a model, an optimiser or a data set. Which method uses which:

| method | on labels | on pairs |
|---|---|---|
| `ce` | `cross_entropy` | |
| `pairs` | | pair contrast |
| `mrl` | `robust_clustering` (RC) | pair contrast |
| `rono` | `mean_absolute_error` (CRC), `robust_center` with `warmup_ramp` (RDC) | \
pair contrast |
| `matching` | `cross_entropy` of pseudo labels | pair contrast, `negative_information` |
| `romo` | `robust_concentrating` (RCLL), or a label loss | pair contrast |
| `mmcd` | a label loss, `unhinged` by default | `denoising_contrastive` (DCL) |
| `label_vote` | label losses, `class_prior_penalty` | `denoising_contrastive` (DCL) |

A label loss is `cross_entropy`, `focal`, `generalized_cross_entropy`, `mean_absolute_error` or
`unhinged`, as the config chooses.

The pair contrast is `multimodal_contrastive`, one loss that papers call by three names; methods
take its mean over the modalities that a pair has.

The others are public API that no method of this package uses: `symmetric_cross_entropy`,
`label_smoothing`, `soft_focal` and `center_classification` (NRCL), `center_distance`,
`center_logits`, `early_learning_regularization` (ELR), `supervised_contrastive`,
`cross_modal_supervised_contrastive`, `cross_modal_margin`, `consensus` and the label losses after
it (NIRNL), `modality_distance`.

The examples in the docstrings begin with

    import jax.numpy as jnp
    from jaxcmr import losses
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
