"""Plain cross-entropy on the labels as given: the baseline that wrong labels hurt most.

    sum_v CE_vi

through the same encoders and the same shared head as the robust methods. The shared head is all
that brings the modalities together.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import Method, Outputs, Progress
from jaxcmr.types import Batch


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds the baseline over the encoders of `config.encoders`; it has no numbers of its own."""
    network = classifiers.with_head(config, num_classes)
    return Method(network.init, network.apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the one term, `[B]`."""
    del targets, progress, hp
    terms = [
        jnp.where(batch.present[name], losses.cross_entropy(logits, batch.labels[name]), 0.0)
        for name, logits in outputs.logits.items()
    ]
    return {"ce": sum(terms)}
