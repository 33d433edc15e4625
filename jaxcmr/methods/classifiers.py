"""Towers with what makes logits of their embeddings: a head, or one center a class."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr.encoders import towers
from jaxcmr.encoders.head import head
from jaxcmr.encoders.towers import Network
from jaxcmr.numerics import unit_rows
from jaxcmr.types import Items


def with_head(config: ConfigDict, num_classes: int) -> Network:
    """Builds the towers and one classification head for all of them, the parameter group `head`."""
    network, classifier = towers.bare(config), head(num_classes)
    size, last = config.encoders.embedding_size, len(config.data.modalities)

    def init(key: jax.Array, inputs: Mapping[str, Items]):
        variables = network.init(key, inputs)
        own = classifier.init(jax.random.split(key, last + 1)[last], jnp.zeros((1, size)))
        return {**variables, "params": {**variables["params"], "head": own["params"]}}

    def apply(variables, inputs: Mapping[str, Items], *, key: jax.Array | None, train: bool):
        outputs, state = network.apply(variables, inputs, key=key, train=train)
        own = {"params": variables["params"]["head"]}
        logits = {
            name: classifier.apply(own, embeddings, train=train)[0]
            for name, embeddings in outputs.embeddings.items()
        }
        return outputs.replace(logits=logits), state

    return Network(init, apply)


def with_centers(config: ConfigDict, num_classes: int, temperature: float) -> Network:
    """Builds the towers and one center a class on the unit sphere, the parameter group `centers`.

    The logits are `c_k . z / temperature`, with both at length one; centers start orthogonal.
    """
    network, last = towers.bare(config), len(config.data.modalities)
    shape = (num_classes, config.encoders.embedding_size)

    def init(key: jax.Array, inputs: Mapping[str, Items]):
        variables = network.init(key, inputs)
        own = jax.nn.initializers.orthogonal()(jax.random.split(key, last + 1)[last], shape)
        return {**variables, "params": {**variables["params"], "centers": own}}

    def apply(variables, inputs: Mapping[str, Items], *, key: jax.Array | None, train: bool):
        outputs, state = network.apply(variables, inputs, key=key, train=train)
        centers = unit_rows(variables["params"]["centers"])
        logits = {
            name: unit_rows(rows) @ centers.T / temperature
            for name, rows in outputs.embeddings.items()
        }
        return outputs.replace(logits=logits, centers=centers), state

    return Network(init, apply)
