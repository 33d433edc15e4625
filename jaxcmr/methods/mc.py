"""Contrastive learning of pairs alone: no label is looked at, the floor of every robust method.

    mc_weight mean_v MG_vi

MG is RONO's multimodal gap, MRL's multimodal contrastive loss, RoMo's modality-invariance.
"""

import jax
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.methods import towers
from jaxcmr.methods.base import (
    Method,
    Outputs,
    Progress,
    over_modalities,
    present_rows,
    stacked,
)
from jaxcmr.types import Batch


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds the floor over the encoders of `config.encoders`; `temperature` is its number."""
    del num_classes
    network = towers.bare(config)
    return Method(network.init, network.apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the one term, `[B]`."""
    del targets, progress
    return {"mg": modality_gap(outputs, batch, hp["temperature"])}


def modality_gap(outputs: Outputs, batch: Batch, temperature: jax.Array) -> jax.Array:
    """Returns the mean of MG over the modalities that each pair has, `[B]`."""
    names = tuple(outputs.embeddings)
    present = present_rows(batch, names)
    gap = losses.multimodal_contrastive(
        stacked(outputs.embeddings, names), temperature=temperature, present=present
    )
    return over_modalities(gap, present)
