"""Outputs, batches and configs of two modalities, for tests of the methods."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxcmr.config import default, encoder
from jaxcmr.methods.base import Outputs, Progress
from jaxcmr.types import Batch

NAMES = ("image", "text")


def config(method, members: int = 1, epochs: int = 100) -> ConfigDict:
    """A config over two modalities of vectors."""
    config = default()
    config.data.modalities = NAMES
    config.encoders.embedding_size = 5
    for name in NAMES:
        config.encoders[name] = encoder("fc", hidden=(8,))
    config.method = ConfigDict(dict(method))
    config.ensemble.members, config.train.epochs = members, epochs
    return config


def outputs(rows: int = 6, classes: int = 4, size: int = 5, seed: int = 0) -> Outputs:
    """What one member makes of a batch, at random."""
    keys = jax.random.split(jax.random.key(seed), 4)
    draw = lambda key, *shape: 2.0 * jax.random.normal(key, shape)
    return Outputs(
        {name: draw(key, rows, size) for name, key in zip(NAMES, keys[:2])},
        {name: draw(key, rows, classes) for name, key in zip(NAMES, keys[2:])},
    )


def batch(labels, mask=None, **present) -> Batch:
    """A batch of rows 0, 1, ... with these labels."""
    rows = len(labels)
    everywhere = np.ones(rows, bool)
    return Batch(
        inputs={},
        labels=dict.fromkeys(NAMES, jnp.asarray(labels, jnp.int32)),
        index=jnp.arange(rows),
        mask=jnp.asarray(everywhere if mask is None else mask),
        present={name: jnp.asarray(present.get(name, everywhere)) for name in NAMES},
    )


def progress(epoch: int = 0, fraction: float = 0.0) -> Progress:
    """Where a run stands."""
    return Progress(jnp.int32(0), jnp.int32(epoch), jnp.float32(fraction))
