"""Batches: their order, and how a step gathers them from a larger one."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr.data.heldout import folded
from jaxcmr.train.devices import put
from jaxcmr.types import Batch, Dataset


def epoch_order(key: jax.Array, epoch: jax.Array, rows: int) -> jax.Array:
    """Returns the order `[rows]` of an epoch: a permutation that depends on key and epoch alone.

    Resuming therefore needs no iterator state.
    """
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows)


def on_host(dataset: Dataset) -> Batch:
    """Returns a whole data set as one batch that holds every row, on the host, lazy rows unread.

    True labels stay out of it.
    """
    rows = len(dataset)
    complete = np.ones(rows, bool)
    return Batch(
        inputs=dict(dataset.inputs),
        labels={name: dataset.labels_of(name).astype(np.int32) for name in dataset.modalities},
        index=np.arange(rows, dtype=np.int32),
        mask=complete,
        present={name: dataset.present.get(name, complete) for name in dataset.modalities},
        group=folded(dataset.links, rows),
    )


def resident(dataset: Dataset, sharding: jax.sharding.NamedSharding | None = None) -> Batch:
    """Puts a whole data set on the devices of `sharding`, as one batch that holds every row."""
    batch = jax.tree.map(np.asarray, on_host(dataset))
    return jax.device_put(batch) if sharding is None else put(batch, sharding)


def take(data: Batch, rows: jax.Array) -> Batch:
    """Gathers a batch; negative rows give fillers with a false mask."""
    batch = jax.tree.map(lambda leaf: jnp.take(leaf, jnp.maximum(rows, 0), axis=0), data)
    return batch.replace(mask=batch.mask & (rows >= 0))
