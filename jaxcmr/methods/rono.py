"""RONO: robust discriminative center learning and shared space consistency.

Feng et al., "RONO: Robust Discriminative Learning with Noisy Labels for 2D-3D Cross-Modal
Retrieval", CVPR 2023. The objective of a pair i with the label y as given:

    crc_weight sum_v CRC_vi + rdc_weight mean_v RDC_vi + pair_weight mean_v PC_vi

RDC pulls an embedding to the center of its label if it looks clean and pushes it away if not, after
a warm-up that pulls all; the pair contrast PC (the paper's multimodal gap) brings the partners of a
pair together without any label; CRC is the mean absolute error of one classifier shared by
the modalities, which forgives wrong labels. The default numbers are those of the released branch
`ModelNet`.

Deviations from the released code: no accidental decay of the learning rate (choose
`optimizer.schedule =
"as_released"` to have it), a warm-up of one epoch does not divide by zero, and the epoch that is
reported is chosen on a validation set.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.config.ranges import NOT_NEGATIVE, POSITIVE, Field, whole
from jaxcmr.encoders.towers import with_group
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, modality_mean, present_rows
from jaxcmr.methods.pairs import pair_contrast
from jaxcmr.types import Batch


def build(config: ConfigDict) -> Method:
    """Builds RONO over the encoders of `config.encoders`."""
    network, size = classifiers.with_head(config), config.encoders.embedding_size

    def init(key: jax.Array, inputs, num_classes: int):
        network_key, center_key = jax.random.split(key)
        variables = network.init(network_key, inputs, num_classes)
        centers = jax.random.normal(center_key, (num_classes, size))
        return with_group(variables, "centers", centers)

    def apply(variables, inputs, hp, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, hp, key=key, train=train)
        return outputs.replace(centers=variables["params"]["centers"]), state

    return Method(init, apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns RONO's three weighted terms, `[B]` each."""
    present = present_rows(batch)  # [V, B]
    center = losses.robust_center(
        outputs.embeddings.reshape(-1, outputs.embeddings.shape[-1]),
        batch.labels.reshape(-1),
        outputs.centers,
        ramp=losses.warmup_ramp(progress.epoch, hp["warmup_epochs"]),
        tau1=hp["tau1"],
        tau2=hp["tau2"],
        margin=hp["margin"],
    ).reshape(present.shape)
    classification = hp["crc_scale"] * losses.mean_absolute_error(outputs.logits, batch.labels)
    return {
        "crc": hp["crc_weight"] * jnp.where(present, classification, 0.0).sum(0),
        "rdc": hp["rdc_weight"] * modality_mean(center, present),
        "pair": hp["pair_weight"] * pair_contrast(outputs, batch, hp["pair_temperature"]),
    }


METHOD = Recipe(
    build,
    numbers={
        "tau1": Field(0.01, POSITIVE, "temperature of the warm-up"),
        "tau2": Field(0.5, POSITIVE, "temperature after the warm-up"),
        "margin": Field(0.2, NOT_NEGATIVE, "how much closer than the mean center a clean row is"),
        "warmup_epochs": Field(20, whole(0), "epochs in which RDC turns to its robust form"),
        "crc_scale": Field(20.0, NOT_NEGATIVE, "factor of the classification loss"),
        "pair_temperature": Field(0.3, POSITIVE, "of the pair contrast"),
        "crc_weight": Field(0.1, NOT_NEGATIVE, "weight of the classification loss"),
        "rdc_weight": Field(1.0, NOT_NEGATIVE, "weight of the robust center loss"),
        "pair_weight": Field(0.3, NOT_NEGATIVE, "weight of the pair contrast"),
    },
)
