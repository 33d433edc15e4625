"""Shapes of what the programs of a config take, as its data have them; no data is read."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxcmr.train import feed
from jaxcmr.types import Batch, Dataset

Shapes = Any  # a tree of `jax.ShapeDtypeStruct`


def items(config: ConfigDict, rows: int) -> dict[str, Shapes]:
    """Items of the shapes that the data of a config have."""
    data = config.data
    array = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct((rows, *shape), dtype)
    side = 28 if data.name in ("mnist3d", "digits") else data.image_size
    views = (data.views,) if "image" in config.encoders and config.encoders.image.views else ()
    known = {
        "image": array(*views, side, side, data.channels, dtype=jnp.uint8),
        "points": array(data.points, 3),
        "mesh": {
            "centers": array(data.faces, 3),
            "corners": array(data.faces, 9),
            "normals": array(data.faces, 3),
            "neighbors": array(data.faces, 3, dtype=jnp.int32),
            "mask": array(data.faces, dtype=bool),
        },
        "features": array(2048),
        "text": array(1000),
    }
    if data.name == "wikipedia":
        known["image"] = array(128)
    return {name: known[name] for name in data.modalities}


def whole(config: ConfigDict, rows: int) -> Shapes:
    """A data set as one batch."""
    shape, modalities = jax.ShapeDtypeStruct, len(config.data.modalities)
    return Batch(
        inputs=items(config, rows),
        labels=shape((modalities, rows), jnp.int32),
        present=shape((modalities, rows), bool),
        index=shape((rows,), jnp.int32),
        mask=shape((rows,), bool),
    )


def resident(config: ConfigDict, mesh: jax.sharding.Mesh) -> feed.Resident:
    """The feed of a set that lies on the devices; it holds two rows, for its `take` alone."""
    few = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), items(config, 2))
    dataset = Dataset(few, np.zeros(2, np.int32), None, np.array(["a", "b"]), ("class",), {})
    return feed.Resident(config, dataset, mesh)


def laid(leaf: Any, sharding: jax.sharding.Sharding) -> Shapes:
    """The shape of an array that lies on devices in a certain way."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
