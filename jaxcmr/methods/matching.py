"""Self-matching: clusters that the modalities share, found while the encoders learn. No labels.

The first stage of RoMo (Li et al., "RoMo: Robust Unsupervised Multimodal Learning with Noisy Pseudo
Labels", IEEE TIP 33:5086-5097, 2024). Every row i has a memory `M_v[i]` in every modality v, a unit
vector; a linear classifier without bias, `g_v(x) = scale W_v x / |x|`, assigns clusters:

    ssm_weight sum_v CE( g_v(f_v(x_i)), argmax_k g_v(M_v[i])_k ) + pair_weight mean_v PC_vi
    M_v[i] <- normalize( d M_v[i] + (1 - d) f_v(x_i) / |f_v(x_i)| )    after every step

with the pair contrast PC and d = `memory_decay`. It starts with a pass that fills the memories.
K-means over the concatenated memories of all modalities (and members) gives clusters that all
share; k-means over the memories of each modality, started from those, gives its `W_v` (unit rows).

Beyond the paper: `warmup_epochs` of PC alone before the clusters are made, and, with
`cluster_every > 0`, new clusters every so many epochs, started from the ones before.

The released code takes its pseudo labels from ground truth looked up at the farthest sample,
normalises memories over the batch axis and writes them to wrong rows, pairs by class instead of by
instance, and selects on the test set. This package does none of that.
"""

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import clusters, diagnosis, memory
from jaxcmr.config.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Field, whole
from jaxcmr.encoders import towers
from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, modality_mean, present_rows
from jaxcmr.methods.pairs import pair_contrast
from jaxcmr.numerics import unit_rows
from jaxcmr.types import Batch


@flax.struct.dataclass
class Memories:
    """What is remembered of the training set.

    Attributes:
        rows: `[E, V, N, d]`, unit vectors once they are filled.
        classes: `[E, V, N]` int32, the cluster of each row; -1 for none yet.
    """

    rows: jax.Array
    classes: jax.Array


def build(config: ConfigDict) -> Method:
    """Builds the stage over the encoders of `config.encoders`.

    Each member has its memories; the first clusters are those of all members together, so that
    cluster k is the same in all of them.
    """
    network, size = towers.bare(config), config.encoders.embedding_size
    voters = config.ensemble.members, len(config.data.modalities)

    def init(key: jax.Array, inputs, num_classes: int):
        variables = network.init(key, inputs, num_classes)
        centers = jnp.zeros((voters[1], num_classes, size))
        return towers.with_group(variables, "clusters", centers)

    def apply(variables, inputs, hp, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, hp, key=key, train=train)
        centers = variables["params"]["clusters"]  # [V, K, d]
        logits = jnp.einsum("vbd,vkd->vbk", hp["scale"] * unit_rows(outputs.embeddings), centers)
        return outputs.replace(logits=logits, centers=centers), state

    def beliefs(rows: int, num_classes: int) -> Memories:
        classes = jnp.full((*voters, rows), -1, jnp.int32)
        return Memories(jnp.zeros((*voters, rows, size)), classes)

    return Method(init, apply, objective, beliefs, vote, refresh, diagnose=diagnosis.pseudo_labels)


def refresh(predict, params, memories: Memories, epoch: int, key: jax.Array, hp):
    """Makes the clusters after the warm-up, and again every `cluster_every` epochs."""
    since, every = epoch - int(hp["warmup_epochs"]), int(hp["cluster_every"])
    if since < 0 or (since > 0 and (every == 0 or since % every)):
        return params, memories
    classes = memories.classes if (memories.classes >= 0).any() else None
    number = params["clusters"].shape[-2]
    centers, memories = cluster_members(key, predict().embeddings, number, classes)
    return {**params, "clusters": centers}, memories


def cluster_members(
    key: jax.Array, embeddings: jax.Array, number: int, classes: jax.Array | None
) -> tuple[jax.Array, Memories]:
    """Clusters the embeddings of all modalities and members, which then share cluster k.

    Args:
        key: of the start, where there is none.
        embeddings: `[E, V, N, d]`. Dead members, whose embeddings are all zero, and those whose
            embeddings are not all finite are left out: they get zeros, and the class -1.
        number: K.
        classes: `[E, V, N]` int32, the clusters before, or None.

    Returns:
        Unit centers `[E, V, K, d]`, and the memories: unit rows and their clusters.

    Raises:
        UsageError: no member is left.
    """
    living = np.isfinite(embeddings).all((1, 2, 3)) & (embeddings != 0).any((1, 2, 3))
    if not living.any():
        raise UsageError(
            "there is nothing to cluster: the embeddings of every member are zero, or not finite; "
            "lower config.optimizer.learning_rate"
        )
    return _cluster(key, embeddings, np.flatnonzero(living), classes, number)


@partial(jax.jit, static_argnames="number")
def _cluster(key, embeddings, left, classes, number: int) -> tuple[jax.Array, Memories]:
    """Clusters the embeddings of the members `left [L]`, as `cluster_members` describes."""
    units = unit_rows(embeddings[left])
    voters = jnp.swapaxes(units, 0, 1).reshape(-1, *units.shape[2:])  # [V E, N, d]
    joint = jnp.moveaxis(voters, 0, 1).reshape(voters.shape[1], -1)
    if classes is None:
        start = clusters.kmeans(key, joint, number)
    else:
        share = jax.nn.one_hot(classes[left], number).mean((0, 1))  # [N, K]
        sums = jnp.matmul(share.T, joint, precision=jax.lax.Precision.HIGHEST)
        means = sums / jnp.maximum(share.sum(0), 1e-6)[:, None]
        start = clusters.lloyd(joint, means)
    centers = jnp.moveaxis(start.centers.reshape(number, len(voters), -1), 1, 0)
    found = jax.lax.map(lambda one: clusters.lloyd(*one), (voters, centers))

    def of_members(leaf: jax.Array, rest: float = 0.0) -> jax.Array:  # [V E, ...] -> [E, V, ...]
        leaf = jnp.swapaxes(leaf.reshape(units.shape[1], -1, *leaf.shape[1:]), 0, 1)
        filled = jnp.full((len(embeddings), *leaf.shape[1:]), rest, leaf.dtype)
        return filled.at[left].set(leaf)

    rows, classes = of_members(voters), of_members(found.labels, -1)
    return unit_rows(of_members(found.centers)), Memories(rows, classes)


def vote(outputs: Outputs, alive, memories: Memories, batch: Batch, progress: Progress, hp):
    """Reads the clusters `[E, V, B]` of the memories as targets, then updates the memories.

    There is no cluster (-1) in the warm-up, for missing items and for dead members.
    """
    present = present_rows(batch)  # [V, B]
    logits = jnp.einsum("evbd,evkd->evbk", memories.rows[:, :, batch.index], outputs.centers)
    known = (progress.epoch >= hp["warmup_epochs"]) & present[None] & alive[:, None, None]
    targets = jnp.where(known, logits.argmax(-1).astype(jnp.int32), -1)
    move = lambda rows, values, there: memory.ema_unit_rows(
        rows, batch.index, values, hp["memory_decay"], there
    )
    each = jax.vmap(jax.vmap(move), in_axes=(0, 0, None))
    return Memories(
        each(memories.rows, unit_rows(outputs.embeddings), present),
        memories.classes.at[:, :, batch.index].set(targets),
    ), targets


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the three weighted terms, `[B]` each."""
    present = present_rows(batch)
    matching = jnp.where(present, losses.cross_entropy(outputs.logits, targets), 0.0)
    information = losses.negative_information(jax.nn.softmax(outputs.logits), present)
    warm = progress.epoch >= hp["warmup_epochs"]
    return {
        "ssm": hp["ssm_weight"] * matching.sum(0),
        "information": jnp.where(warm, hp["information_weight"], 0.0)
        * modality_mean(information, present),
        "pair": hp["pair_weight"] * pair_contrast(outputs, batch, hp["pair_temperature"]),
    }


METHOD = Recipe(
    build,
    numbers={
        "ssm_weight": Field(0.75, NOT_NEGATIVE, "weight of the self-matching"),
        "pair_weight": Field(0.25, NOT_NEGATIVE, "weight of the pair contrast"),
        "information_weight": Field(
            0.0, NOT_NEGATIVE, "weight of the information between modalities"
        ),
        "pair_temperature": Field(0.05, POSITIVE, "of the pair contrast"),
        "memory_decay": Field(0.9, SHARE, "of the memories"),
        "scale": Field(1.0, NOT_NEGATIVE, "of the cluster classifiers' logits"),
        "warmup_epochs": Field(0, whole(0), "of the pair contrast alone, before the clusters"),
        "cluster_every": Field(0, whole(0), "epochs between clusterings; 0: once"),
    },
    uses_labels=False,
)
