"""MRL: robust clustering around class centers, and contrastive learning of pairs.

Hu et al., "Learning Cross-Modal Retrieval with Noisy Labels", CVPR 2021. With unit embeddings z,
unit centers c, and `p = softmax_k(c_k . z / tau)`, for a pair i with the label y as given:

    beta sum_v RC_vi + (1 - beta) mean_v MC_vi,     RC = log(1 - p_y)

RC learns most from rows that already fit their label; MC (`losses.multimodal_contrastive`) makes
partners find each other without any label.

The centers are orthogonal at the start. The released code scales them back to length one after each
step; here the loss divides by their length, so that no gradient goes into it. Its RC is not
guarded against p_y = 1; ours is finite there (`losses.robust_clustering`).
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import (
    Method,
    Outputs,
    Progress,
    given_labels,
    present_rows,
    stacked,
)
from jaxcmr.methods.mc import modality_gap
from jaxcmr.types import Batch


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds MRL over the encoders of `config.encoders`; its numbers are `config.method`."""
    network = classifiers.with_centers(config, num_classes, config.method.tau)
    return Method(network.init, network.apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns MRL's two weighted terms, `[B]` each."""
    del targets, progress
    names = tuple(outputs.embeddings)
    present = present_rows(batch, names)
    clustering = losses.robust_clustering(
        stacked(outputs.logits, names), given_labels(batch, names)
    )
    return {
        "rc": hp["beta"] * jnp.where(present, clustering, 0.0).sum(0),
        "mc": (1 - hp["beta"]) * modality_gap(outputs, batch, hp["temperature"]),
    }
