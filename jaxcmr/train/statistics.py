"""Whose batch statistics a step normalises by: the whole batch's, or those of each device's part.

Statistics of parts need no message between devices in a layer; but what a model learns then depends
on how many devices share a batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from jaxcmr.methods.base import Method, Outputs
from jaxcmr.train import devices
from jaxcmr.types import UsageError


def trained(config: ConfigDict, method: Method, mesh: jax.sharding.Mesh) -> Method:
    """Returns the method as `config.train.batch_statistics` lets it be trained.

    Raises:
        UsageError: if a device would have the statistics of a single item.
    """
    parts = mesh.shape[devices.DATA]
    if config.train.batch_statistics == "global" or parts == 1:
        return method
    if config.train.batch_size < 2 * parts:
        raise UsageError(
            f"each of {parts} devices has 1 item of a batch, which has no statistics; raise "
            f"config.train.batch_size to {2 * parts} or set config.train.batch_statistics to global"
        )
    spread = devices.by_rows(mesh)
    return by_parts(method, parts, lambda rows: lax.with_sharding_constraint(rows, spread))


def by_parts(
    method: Method, parts: int, lay: Callable[[jax.Array], jax.Array] = lambda rows: rows
) -> Method:
    """Makes `Method.apply`, in training, see a batch in as many parts.

    Each part is normalised by its own moments and has a key of its own. The running moments become
    the mean over the parts of what each would have made of them, so that they, and the evaluation,
    are the same on every device.

    Args:
        method: what is trained.
        parts: how many, which must divide the batch.
        lay: lays what is cut, `[parts, B / parts, ...]`, on the devices.
    """

    def cut(rows: jax.Array) -> jax.Array:  # [B, ...] -> [parts, B / parts, ...]
        return lay(rows.reshape(parts, -1, *rows.shape[1:]))

    def join(rows: jax.Array, size: int) -> jax.Array:
        """Returns `[C B, ...]` from `[parts, C B / parts, ...]`, C copies of each item (`mc`)."""
        rows = rows.reshape(parts, -1, size // parts, *rows.shape[2:])
        return jnp.moveaxis(rows, 0, 1).reshape(-1, *rows.shape[3:])

    def apply(variables, inputs, *, key: jax.Array | None, train: bool):
        if not train:
            return method.apply(variables, inputs, key=key, train=False)
        one = lambda part, key: method.apply(variables, part, key=key, train=True)
        found = Outputs(embeddings=0, logits=0, centers=None)  # centers are no part's own
        outputs, state = jax.vmap(one, out_axes=(found, 0))(
            jax.tree.map(cut, inputs), jax.random.split(key, parts)
        )
        size = len(jax.tree.leaves(inputs)[0])
        rows = jax.tree.map(lambda leaf: join(leaf, size), (outputs.embeddings, outputs.logits))
        outputs = outputs.replace(embeddings=rows[0], logits=rows[1])
        return outputs, jax.tree.map(lambda leaf: jnp.mean(leaf, 0), state)

    return method._replace(apply=apply)
