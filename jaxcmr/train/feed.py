"""Batches: their order, and the resident training set from which a step gathers them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr.types import Batch, Dataset


def epoch_order(key: jax.Array, epoch: jax.Array, rows: int) -> jax.Array:
    """Returns the order `[rows]` of an epoch: a permutation that depends on key and epoch alone.

    Resuming therefore needs no iterator state.
    """
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows)


def resident(dataset: Dataset) -> Batch:
    """Puts a whole data set on the device, as one batch that holds every row.

    True labels stay on the host.
    """
    rows = len(dataset)
    complete = np.ones(rows, bool)
    return jax.device_put(
        Batch(
            inputs=dict(dataset.inputs),
            labels=dataset.labels.astype(np.int32),
            index=np.arange(rows, dtype=np.int32),
            mask=complete,
            present={name: dataset.present.get(name, complete) for name in dataset.modalities},
        )
    )


def take(data: Batch, rows: jax.Array) -> Batch:
    """Gathers a batch; negative rows give fillers with a false mask."""
    batch = jax.tree.map(lambda leaf: jnp.take(leaf, jnp.maximum(rows, 0), axis=0), data)
    return batch.replace(mask=batch.mask & (rows >= 0))
