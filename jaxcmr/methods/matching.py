"""Self-matching: clusters that the modalities share, found while the encoders learn. No labels.

The first stage of RoMo (Li et al., "RoMo: Robust Unsupervised Multimodal Learning with Noisy Pseudo
Labels", IEEE TIP 33:5086-5097, 2024). Every row i has a memory `M_v[i]` in every modality v, a unit
vector; a linear classifier without bias, `g_v(x) = scale W_v x / |x|`, assigns clusters:

    ssm_weight sum_v CE( g_v(f_v(x_i)), argmax_k g_v(M_v[i])_k ) + mlm_weight mean_v MG_vi
    M_v[i] <- normalize( decay M_v[i] + (1 - decay) f_v(x_i) / |f_v(x_i)| )    after every step

It starts with a pass that fills the memories; k-means over the concatenated memories of all
modalities (and members) gives clusters that all share, and k-means over each one's own memories,
started from those, gives its `W_v` (unit rows).

Beyond the paper: `warmup_epochs` of MG alone before the clusters are made, and, with
`cluster_every > 0`, clusters made anew every so many epochs, starting from those before.

The released code takes its pseudo labels from ground truth looked up at the farthest sample,
normalises memories over the batch axis and writes them to wrong rows, pairs by class instead of by
instance, and selects on the test set; none of this is here.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import banks, cluster, diagnosis
from jaxcmr.encoders import towers
from jaxcmr.methods.base import Method, Outputs, Progress, over_modalities, present_rows, stacked
from jaxcmr.methods.mc import modality_gap
from jaxcmr.numerics import unit_rows
from jaxcmr.types import Batch


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds the stage over the encoders of `config.encoders`; its numbers are `config.method`.

    Each member has memories of its own; the first clusters are those of all members together, so
    that cluster k is the same in all of them.
    """
    network = towers.bare(config)
    names = tuple(sorted(config.data.modalities))  # as a jitted function orders them
    members, size = config.ensemble.members, config.encoders.embedding_size
    warmup, every = config.method.warmup_epochs, config.method.cluster_every

    def init(key: jax.Array, inputs):
        variables = network.init(key, inputs)
        clusters = {name: jnp.zeros((num_classes, size)) for name in names}
        return {**variables, "params": {**variables["params"], "clusters": clusters}}

    def apply(variables, inputs, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, key=key, train=train)
        centers = variables["params"]["clusters"]
        logits = {
            name: config.method.scale * unit_rows(outputs.embeddings[name]) @ centers[name].T
            for name in names
        }
        return outputs.replace(logits=logits, centers=centers), state

    def beliefs(rows: int):
        return {
            "memory": {name: jnp.zeros((members, rows, size)) for name in names},
            "classes": jnp.full((members, len(names), rows), -1, jnp.int32),
        }

    def refresh(predict, params, beliefs, epoch: int, key: jax.Array, hp):
        del hp
        since = epoch - warmup
        if since < 0 or (since > 0 and (every == 0 or since % every)):
            return params, beliefs
        found, memory, classes = _cluster(key, predict().embeddings, beliefs["classes"], params)
        return {**params, "clusters": found}, {"memory": memory, "classes": classes}

    def _cluster(key, embeddings, classes, params):
        return cluster_members(
            key,
            {name: embeddings[name] for name in names},
            num_classes,
            classes if (classes >= 0).any() else None,
        )

    return Method(
        init,
        apply,
        objective,
        beliefs,
        vote,
        refresh=refresh,
        diagnose=partial(diagnosis.pseudo_labels, num_classes),
    )


def cluster_members(
    key: jax.Array, embeddings: dict[str, jax.Array], clusters: int, classes: jax.Array | None
) -> tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array]:
    """Clusters the embeddings of all modalities and members such that cluster k is theirs all.

    Args:
        key: of the start, where there is none.
        embeddings: modality -> `[E, N, d]`.
        clusters: K.
        classes: `[E, V, N]` int32, the clusters before, or None.

    Returns:
        Modality -> unit centers `[E, K, d]`; modality -> unit rows `[E, N, d]`; and the clusters
        `[E, V, N]` of the rows, V in the order of the embeddings.
    """
    units = {name: unit_rows(rows) for name, rows in embeddings.items()}
    panel = jnp.concatenate(list(units.values()))  # [V E, N, d]
    joint = jnp.moveaxis(panel, 0, 1).reshape(panel.shape[1], -1)
    if classes is None:
        start = cluster.kmeans(key, joint, clusters)
    else:
        share = jax.nn.one_hot(classes, clusters).mean((0, 1))  # [N, K]
        means = share.T @ joint / jnp.maximum(share.sum(0), 1e-6)[:, None]
        start = cluster.lloyd(joint, means)
    centers = jnp.moveaxis(start.centers.reshape(clusters, len(panel), -1), 1, 0)
    own = jax.lax.map(lambda one: cluster.lloyd(*one), (panel, centers))
    of = lambda leaf: leaf.reshape(len(units), -1, *leaf.shape[1:])  # [V, E, ...]
    weights = dict(zip(units, unit_rows(of(own.centers))))
    return weights, units, jnp.moveaxis(of(own.labels), 0, 1)


def vote(outputs: Outputs, beliefs: Any, batch: Batch, progress: Progress, hp):
    """Reads what the memories say, then moves them; `[E, V, B]` clusters are the targets.

    During the warm-up, and of missing items, there are none: -1.
    """
    names = tuple(outputs.embeddings)
    warm = progress.epoch >= hp["warmup_epochs"]
    memory, targets = {}, []
    for name in names:
        old = beliefs["memory"][name]
        assigned = jnp.einsum("ebd,ekd->ebk", old[:, batch.index], outputs.centers[name])
        there = batch.mask & batch.present[name]
        targets.append(jnp.where(warm & there, assigned.argmax(-1).astype(jnp.int32), -1))
        move = jax.vmap(banks.ema_unit_rows, in_axes=(0, None, 0, None, None))
        values = unit_rows(outputs.embeddings[name])
        memory[name] = move(old, batch.index, values, hp["decay"], there)
    targets = jnp.stack(targets, 1)
    classes = beliefs["classes"].at[:, :, batch.index].set(targets)
    return {"memory": memory, "classes": classes}, targets


def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
    """Returns the two weighted terms, `[B]` each."""
    names = tuple(outputs.embeddings)
    present, logits = present_rows(batch, names), stacked(outputs.logits, names)
    matching = jnp.where(present, losses.cross_entropy(logits, targets), 0.0)
    information = losses.negative_information(jax.nn.softmax(logits), present)
    warm = progress.epoch >= hp["warmup_epochs"]
    return {
        "ssm": hp["ssm_weight"] * matching.sum(0),
        "information": jnp.where(warm, hp["information_weight"], 0.0)
        * over_modalities(information, present),
        "mlm": hp["mlm_weight"] * modality_gap(outputs, batch, hp["mlm_temperature"]),
    }
