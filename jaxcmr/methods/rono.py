"""RONO: robust discriminative center learning and shared space consistency.

Feng et al., "RONO: Robust Discriminative Learning with Noisy Labels for 2D-3D Cross-Modal
Retrieval", CVPR 2023. The objective of a pair i with the label y as given:

    crc_weight sum_v CRC_vi + rdc_weight mean_v RDC_vi + mg_weight mean_v MG_vi

RDC pulls an embedding to the center of its label if it looks clean and pushes it away if not, after
a warm-up that pulls all; MG makes the partners of a pair find each other without any label; CRC is
the mean absolute error of one classifier shared by the modalities, which forgives wrong labels.

Deviations from the released code: no rate decay by accident (choose `optimizer.schedule =
"as_released"` to have it), a warm-up of one epoch does not divide by zero, and the epoch that is
reported is chosen on a validation set.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import (
    Method,
    Outputs,
    Progress,
    given_labels,
    over_modalities,
    present_rows,
    stacked,
)
from jaxcmr.methods.mc import modality_gap
from jaxcmr.types import Batch


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds RONO over the encoders of `config.encoders`; its numbers are `config.method`."""
    network = classifiers.with_head(config, num_classes)
    center_shape = (num_classes, config.encoders.embedding_size)

    def init(key: jax.Array, inputs):
        network_key, center_key = jax.random.split(key)
        variables = network.init(network_key, inputs)
        centers = jax.random.normal(center_key, center_shape)
        return {**variables, "params": {**variables["params"], "centers": centers}}

    def apply(variables, inputs, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, key=key, train=train)
        return outputs.replace(centers=variables["params"]["centers"]), state

    return Method(init, apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns RONO's three weighted terms, `[B]` each."""
    del targets
    names = tuple(outputs.embeddings)
    embeddings = stacked(outputs.embeddings, names)  # [V, B, d]
    logits = stacked(outputs.logits, names)  # [V, B, K]
    present, labels = present_rows(batch, names), given_labels(batch, names)  # [V, B]
    center = losses.robust_center(
        embeddings.reshape(-1, embeddings.shape[-1]),
        labels.reshape(-1),
        outputs.centers,
        ramp=losses.warmup_ramp(progress.epoch, hp["warmup_epochs"]),
        tau1=hp["tau1"],
        tau2=hp["tau2"],
        margin=hp["margin"],
    ).reshape(present.shape)
    classification = hp["crc_scale"] * losses.mean_absolute_error(logits, labels)
    return {
        "crc": hp["crc_weight"] * jnp.where(present, classification, 0.0).sum(0),
        "rdc": hp["rdc_weight"] * over_modalities(center, present),
        "mg": hp["mg_weight"] * modality_gap(outputs, batch, hp["mg_temperature"]),
    }
