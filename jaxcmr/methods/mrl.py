"""MRL: robust clustering around class centers, and contrastive learning of pairs.

Hu et al., "Learning Cross-Modal Retrieval with Noisy Labels", CVPR 2021. With unit embeddings z,
unit centers c, and `p = softmax_k(c_k . z / tau)`, for a pair i with the label y as given:

    beta sum_v RC_vi + (1 - beta) mean_v PC_vi,     RC = log(1 - p_y)

RC learns most from rows that already fit their label; the pair contrast PC brings partners together
without any label. The default numbers are those for Wikipedia.

The centers are orthogonal at the start. The released code scales them back to length one after each
step; here the loss divides by their length, so that no gradient goes into it. Its RC is not
guarded against p_y = 1; ours is finite there (`losses.robust_clustering`).
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.config.ranges import POSITIVE, SHARE, Field
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, present_rows
from jaxcmr.methods.pairs import pair_contrast
from jaxcmr.types import Batch


def build(config: ConfigDict) -> Method:
    """Builds MRL over the encoders of `config.encoders`."""
    network = classifiers.with_centers(config, "tau")
    return Method(network.init, network.apply, objective)


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns MRL's two weighted terms, `[B]` each."""
    clustering = losses.robust_clustering(outputs.logits, batch.labels)
    contrast = pair_contrast(outputs, batch, hp["pair_temperature"])
    return {
        "rc": hp["beta"] * jnp.where(present_rows(batch), clustering, 0.0).sum(0),
        "pair": (1 - hp["beta"]) * contrast,
    }


METHOD = Recipe(
    build,
    numbers={
        "tau": Field(1.0, POSITIVE, "temperature of the centers"),
        "beta": Field(0.7, SHARE, "weight of the robust clustering; 1 - beta of the pair contrast"),
        "pair_temperature": Field(1.0, POSITIVE, "of the pair contrast"),
    },
)
