"""Contrastive learning of pairs without any label: the floor below every robust method.

    mean_v PC_vi

PC is the pair contrast (`losses.multimodal_contrastive`): RONO's multimodal gap, MRL's multimodal
contrastive loss, RoMo's modality invariance. With `copies = 2` every item is seen under two draws
of its augmentation, which count as two modalities: items are then also compared with their own
copies, as in SimCLR (Chen et al., ICML 2020).
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.config.ranges import POSITIVE, Field, whole
from jaxcmr.encoders import towers
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, modality_mean, present_rows
from jaxcmr.types import Batch


def build(config: ConfigDict) -> Method:
    """Builds the method over the encoders of `config.encoders`."""
    network, copies = towers.bare(config), config.method.copies

    def apply(variables, inputs, hp, *, key, train: bool):
        if train and copies > 1:
            inputs = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * copies), inputs)
        return network.apply(variables, inputs, hp, key=key, train=train)

    return Method(network.init, apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the one term, `[B]`."""
    return {"pair": pair_contrast(outputs, batch, hp["pair_temperature"])}


def pair_contrast(outputs: Outputs, batch: Batch, temperature: jax.Array) -> jax.Array:
    """Returns the mean of PC over the items that each pair has, `[B]`; copies are items, too."""
    present = present_rows(batch)  # [V, B]
    copies = outputs.embeddings.shape[1] // present.shape[1]
    rows = outputs.embeddings.reshape(-1, present.shape[1], outputs.embeddings.shape[-1])
    present = jnp.repeat(present, copies, axis=0)  # [V C, B]
    contrast = losses.multimodal_contrastive(rows, temperature=temperature, present=present)
    return modality_mean(contrast, present)


METHOD = Recipe(
    build,
    numbers={"pair_temperature": Field(0.2, POSITIVE, "of the pair contrast")},
    choices={"copies": Field(1, whole(1, 16), "draws of its augmentation that each item has")},
    uses_labels=False,
    has_classes=False,
)
