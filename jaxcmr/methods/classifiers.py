"""Towers with a classifier that the modalities share: a head, or one center a class.

`LABEL_LOSSES` are the losses that a method may train it by, `(logits [..., K], labels [...])`.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.encoders import Encoder, towers
from jaxcmr.encoders.head import head
from jaxcmr.encoders.towers import with_group
from jaxcmr.numerics import unit_rows
from jaxcmr.types import Items

LABEL_LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "focal": partial(losses.focal, gamma=1.0),
    "generalized_cross_entropy": losses.generalized_cross_entropy,
    "mean_absolute_error": losses.mean_absolute_error,
    "unhinged": losses.unhinged,
}


def with_head(config: ConfigDict) -> Encoder:
    """Builds the towers and one classification head for all of them, the parameter group `head`."""
    network, size = towers.bare(config), config.encoders.embedding_size

    def init(key: jax.Array, inputs: Mapping[str, Items], num_classes: int):
        variables = network.init(key, inputs, num_classes)
        classifier = head(num_classes).init(_last_key(key, config), jnp.zeros((1, size)))
        return with_group(variables, "head", classifier["params"])

    def apply(variables, inputs: Mapping[str, Items], hp, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, hp, key=key, train=train)
        params = variables["params"]["head"]
        classifier = head(params["linear2"]["kernel"].shape[-1])
        logits, _ = classifier.apply({"params": params}, outputs.embeddings, train=train)
        return outputs.replace(logits=logits), state

    return Encoder(init, apply)


def with_centers(config: ConfigDict, temperature: str) -> Encoder:
    """Builds the towers and one center a class on the unit sphere, the parameter group `centers`.

    The logits are `c_k . z / temperature`, with both at length one; centers start orthogonal.

    Args:
        config: of the run.
        temperature: name of the method's number.
    """
    network, size = towers.bare(config), config.encoders.embedding_size

    def init(key: jax.Array, inputs: Mapping[str, Items], num_classes: int):
        variables = network.init(key, inputs, num_classes)
        start = jax.nn.initializers.orthogonal()
        return with_group(variables, "centers", start(_last_key(key, config), (num_classes, size)))

    def apply(variables, inputs: Mapping[str, Items], hp, *, key, train: bool):
        outputs, state = network.apply(variables, inputs, hp, key=key, train=train)
        centers = unit_rows(variables["params"]["centers"])
        logits = losses.center_logits(outputs.embeddings, centers, temperature=hp[temperature])
        return outputs.replace(logits=logits, centers=centers), state

    return Encoder(init, apply)


def _last_key(key: jax.Array, config: ConfigDict) -> jax.Array:
    """Returns the classifier's key: the one after those of the towers."""
    return jax.random.split(key, len(config.data.modalities) + 1)[-1]
