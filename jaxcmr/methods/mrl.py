"""MRL: robust clustering around class centers, and contrastive learning of pairs.

Hu et al., "Learning Cross-Modal Retrieval with Noisy Labels", CVPR 2021. With unit embeddings z,
unit centers c, and `p = softmax_k(c_k . z / tau)`, for a pair i with the label y as given:

    beta mean_v RC_vi + (1 - beta) mean_v MC_vi,     RC = log(1 - p_y)

RC learns most from rows that already fit their label; MC (`losses.multimodal_contrastive`) makes
partners find each other without any label.

The centers are orthogonal at the start. The released code scales them back to length one after each
step; here the loss divides by their length, so that no gradient goes into it. Its RC is not
guarded against p_y = 1; ours is finite there (`losses.robust_clustering`).
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.losses.stable import unit_rows
from jaxcmr.methods import towers
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
    """Builds MRL over the encoders of `config.encoders`; its numbers are `config.method`."""
    network = towers.bare(config)
    shape = (num_classes, config.encoders.embedding_size)

    def init(key: jax.Array, inputs):
        network_key, center_key = jax.random.split(key)
        variables = network.init(network_key, inputs)
        centers = jax.nn.initializers.orthogonal()(center_key, shape)
        return {**variables, "params": {**variables["params"], "centers": centers}}

    def apply(variables, inputs, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, key=key, train=train)
        centers = unit_rows(variables["params"]["centers"])
        logits = {
            name: unit_rows(rows) @ centers.T / config.method.tau
            for name, rows in outputs.embeddings.items()
        }
        return outputs.replace(logits=logits, centers=centers), state

    return Method(init, apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns MRL's two weighted terms, `[B]` each."""
    del targets, progress
    names = tuple(outputs.embeddings)
    present = present_rows(batch, names)
    clustering = losses.robust_clustering(
        stacked(outputs.logits, names), given_labels(batch, names)
    )
    return {
        "rc": hp["beta"] * over_modalities(jnp.where(present, clustering, 0.0), present),
        "mc": (1 - hp["beta"]) * modality_gap(outputs, batch, hp["temperature"]),
    }
