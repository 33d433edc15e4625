"""Plain cross-entropy on the labels as given: the baseline that wrong labels hurt most.

    sum_v CE_vi

The encoders and the shared head are those of the robust methods. Only the shared head brings the
modalities together.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, present_rows
from jaxcmr.types import Batch


def build(config: ConfigDict) -> Method:
    """Builds the baseline over the encoders of `config.encoders`; it has no numbers."""
    network = classifiers.with_head(config)
    return Method(network.init, network.apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the one term, `[B]`."""
    values = losses.cross_entropy(outputs.logits, batch.labels)
    return {"ce": jnp.where(present_rows(batch), values, 0.0).sum(0)}


METHOD = Recipe(build)
