"""Outputs, batches and configs of two modalities, for tests of the methods."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxcmr import methods
from jaxcmr.config import default, encoder, method
from jaxcmr.methods import Method, Outputs, Progress
from jaxcmr.types import Batch

NAMES = ("image", "text")


def config(name: str, members: int = 1, epochs: int = 100, **numbers) -> ConfigDict:
    """A config over two modalities of vectors; `numbers` are those of the method that differ."""
    config = default()
    config.data.modalities = NAMES
    config.encoders.embedding_size = 5
    for modality in NAMES:
        config.encoders[modality] = encoder("fc", hidden=(8,))
    config.method = method(name, **numbers)
    config.ensemble.members, config.train.epochs = members, epochs
    return config


def build(name: str, members: int = 1, **numbers) -> Method:
    """The method of this config."""
    return methods.build(config(name, members, **numbers))


@functools.cache
def jitted(name: str, members: int = 1, **choices: str) -> Method:
    """The method of a config in which these choices differ, its functions of a step jitted."""
    method = build(name, members, **choices)
    return method._replace(vote=jax.jit(method.vote), losses=jax.jit(method.losses))


def hp(name: str, **numbers) -> dict[str, jax.Array]:
    """The numbers of a method as the step has them."""
    section = method(name, **numbers)
    return {number: jnp.float32(section[number]) for number in methods.recipe(name).numbers}


def outputs(rows: int = 6, classes: int = 4, size: int = 5, seed: int = 0) -> Outputs:
    """What one member makes of a batch, at random."""
    keys = jax.random.split(jax.random.key(seed), 2)
    draw = lambda key, *shape: 2.0 * jax.random.normal(key, (len(NAMES), rows, *shape))
    return Outputs(draw(keys[0], size), draw(keys[1], classes))


def batch(labels, mask=None, **present) -> Batch:
    """A batch of rows 0, 1, ... with these labels."""
    rows = len(labels)
    everywhere = np.ones(rows, bool)
    return Batch(
        inputs={},
        labels=jnp.tile(jnp.asarray(labels, jnp.int32), (len(NAMES), 1)),
        present=jnp.asarray(np.stack([present.get(name, everywhere) for name in NAMES])),
        index=jnp.arange(rows),
        mask=jnp.asarray(everywhere if mask is None else mask),
    )


def progress(epoch: int = 0, fraction: float = 0.0) -> Progress:
    """Where a run stands."""
    return Progress(epoch=jnp.int32(epoch), fraction=jnp.float32(fraction))
