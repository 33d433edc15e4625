"""The numbers of each method: those of the paper or its released code, their ranges and meaning.

`config.method` holds the name of a method and all of its numbers; `defaults` returns them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxcmr.config.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Field, choice, either, number, whole

_LOSSES = (
    "cross_entropy", "focal", "generalized_cross_entropy", "mean_absolute_error", "unhinged",
)  # fmt: skip
_WARMUP = whole(0)
_weight = lambda default, of: Field(default, NOT_NEGATIVE, f"weight of {of}")

# Pairs alone: the floor.
_MC = {
    "temperature": Field(0.2, POSITIVE, "of the contrastive loss"),
    "copies": Field(1, whole(1, 16), "draws of its augmentation that each item is seen under"),
}
# MRL, Hu et al., CVPR 2021: Wikipedia.
_MRL = {
    "tau": Field(1.0, POSITIVE, "temperature of the centers"),
    "beta": Field(0.7, SHARE, "weight of the robust clustering; 1 - beta that of the pairs"),
    "temperature": Field(1.0, POSITIVE, "of the contrastive loss"),
}
# RONO, Feng et al., CVPR 2023: the released branch `ModelNet`.
_RONO = {
    "tau1": Field(0.01, POSITIVE, "temperature of the warm-up"),
    "tau2": Field(0.5, POSITIVE, "temperature behind it"),
    "margin": Field(0.2, NOT_NEGATIVE, "how much closer than the mean center a clean row is"),
    "warmup_epochs": Field(20, _WARMUP, "until the robust center loss is alone"),
    "crc_scale": Field(20.0, NOT_NEGATIVE, "factor of the classification loss"),
    "mg_temperature": Field(0.3, POSITIVE, "of the multimodal gap"),
    "crc_weight": _weight(0.1, "classification"),
    "rdc_weight": _weight(1.0, "the robust center loss"),
    "mg_weight": _weight(0.3, "the multimodal gap"),
}
# RoMo, Li et al., TIP 2024: the two stages.
_MATCHING = {
    "ssm_weight": _weight(0.75, "the self-matching"),
    "mlm_weight": _weight(0.25, "the pairs' contrastive loss"),
    "information_weight": _weight(0.0, "the information between modalities"),
    "mlm_temperature": Field(0.05, POSITIVE, "of the contrastive loss"),
    "decay": Field(0.9, SHARE, "of the memories"),
    "scale": Field(1.0, NOT_NEGATIVE, "of the cluster classifiers' logits"),
    "warmup_epochs": Field(0, _WARMUP, "of pairs alone, before the clusters are made"),
    "cluster_every": Field(0, whole(0), "epochs between clusterings; 0: once"),
}
_ROMO = {
    "center_temperature": Field(
        0.0, either(0.0, POSITIVE), "of unit centers; 0: a head of two layers, as RoMo"
    ),
    "label_loss": Field(
        "robust_concentrating",
        choice("cross_entropy", "mean_absolute_error", "unhinged", "robust_concentrating"),
        "what labels are taught by",
    ),
    "alpha": Field(0.25, number(0, 100), "exponent of RCLL"),
    "clip": Field(-1.0, either(-1.0, number(0, below=1)), "least probability taught; -1: 1 / K"),
    "clip_from": Field(2, whole(0), "epoch from which on it clips"),
    "rcll_weight": _weight(0.7, "the labels' loss"),
    "mlm_weight": _weight(0.7, "the pairs' contrastive loss"),
    "mlm_temperature": Field(0.15, POSITIVE, "of the contrastive loss"),
}
# MMCD as reconstructed here; the published numbers are not known.
_MMCD = {
    "believes": Field(
        "posteriors", choice("labels", "posteriors"), "labels accepts, replaces or drops a label"
    ),
    "center_temperature": Field(0.05, POSITIVE, "of the unit centers"),
    "label_loss": Field("unhinged", choice(*_LOSSES), "what believed labels are taught by"),
    "clarified_loss": Field("unhinged", choice(*_LOSSES), "what replaced labels are taught by"),
    "label_weight": _weight(0.05, "the labels; more, and posteriors drift from the labels"),
    "dcl_weight": _weight(1.0, "the denoising contrastive loss"),
    "positives": Field(
        "labels", choice("labels", "pairs"), "of that loss; pairs: no label says who is alike"
    ),
    "prior_weight": _weight(0.0, "the penalty of uneven classes"),
    "temperature": Field(0.22, POSITIVE, "of the contrastive loss"),
    "warmup_epochs": Field(5, _WARMUP, "in which all given labels are taught"),
    "ballots": Field("votes", choice("votes", "losses"), "what says that a label is right"),
    "voters": Field("untaught", choice("untaught", "peers", "all"), "who votes on a row"),
    "judges": Field(1, whole(1, 1000), "members a row's label is never taught to"),
    "surest_share": Field(0.5, SHARE, "of the votes, for posteriors"),
    "settle_from": Field(
        1.0, SHARE, "share of the training behind which posteriors stay as they are"
    ),
    "memory_decay": Field(0.7, SHARE, "of what voters said of a row"),
    "threshold": Field("class_mean", choice("class_mean", "majority", "none"), "for a label"),
    "threshold_decay": Field(0.95, SHARE, "of the classes' thresholds"),
    "min_share": Field(0.66, SHARE, "of voters that a replacement needs"),
    "min_confidence": Field(0.5, SHARE, "that a replacement needs"),
    "held_out_share": Field(0.05, SHARE, "of rows that no member is taught"),
    "agreement_decay": Field(0.99, SHARE, "of what is counted over batches"),
    "gate": Field(0.7, NOT_NEGATIVE, "precision that replacing needs; above 1: never"),
}

METHODS: Mapping[str, Mapping[str, Field]] = MappingProxyType(
    {
        "ce": {},
        "matching": _MATCHING,
        "mc": _MC,
        "mmcd": _MMCD,
        "mrl": _MRL,
        "romo": _ROMO,
        "rono": _RONO,
    }
)
WITHOUT_LABELS = ("mc", "matching")  # methods that look at no label
WITHOUT_CLASSES = ("mc",)  # methods that tell no class


def defaults(method: str) -> dict[str, Any]:
    """Returns `config.method` of a method with its own numbers."""
    return {"name": method} | {key: field.default for key, field in METHODS[method].items()}
