"""Contrastive learning of pairs alone: no label is looked at, the floor of every robust method.

    mean_v MG_vi

MG is RONO's multimodal gap, MRL's multimodal contrastive loss, RoMo's modality-invariance. With
`copies = 2` every item is seen under two draws of its augmentation, which count as two modalities:
items are then also compared with their own copies, as in SimCLR (Chen et al., ICML 2020).
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.encoders import towers
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
    """Builds the floor over the encoders of `config.encoders`; its numbers are `config.method`."""
    del num_classes
    network, copies = towers.bare(config), config.method.copies

    def apply(variables, inputs, *, key, train: bool):
        if train and copies > 1:
            inputs = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * copies), inputs)
        return network.apply(variables, inputs, key=key, train=train)

    return Method(network.init, apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the one term, `[B]`."""
    del targets, progress
    return {"mg": modality_gap(outputs, batch, hp["temperature"])}


def modality_gap(outputs: Outputs, batch: Batch, temperature: jax.Array) -> jax.Array:
    """Returns the mean of MG over the items that each pair has, `[B]`.

    Embeddings are `[B, d]` a modality, or `[C B, d]` where there are C copies of each item.
    """
    names = tuple(outputs.embeddings)
    rows = stacked(outputs.embeddings, names)
    present = present_rows(batch, names)
    copies = rows.shape[1] // present.shape[1]
    rows = rows.reshape(copies * len(names), present.shape[1], -1)
    present = jnp.repeat(present, copies, axis=0)
    gap = losses.multimodal_contrastive(rows, temperature=temperature, present=present)
    return over_modalities(gap, present)
