"""The forward pass of all members, each on the devices that hold it."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from ml_collections import ConfigDict

from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method
from jaxcmr.train.devices import DATA, MEMBER
from jaxcmr.types import Outputs

Forward = Callable[..., tuple[Outputs, dict]]


def build(config: ConfigDict, method: Method, mesh: Mesh) -> Forward:
    """Returns `forward(variables, inputs, hp, keys, *, train) -> (outputs, state)` of all members.

    Variables, keys (None in evaluation), outputs and state are stacked over members. The members
    that a device holds are vmapped; those of other devices are none of its program, so that a
    device with one member runs the operations of a single model.

    Batch norm has the moments of `config.train.batch_statistics`. "global": of the whole batch.
    "device": of each device's part, without a message between devices in a layer; the training then
    depends on how many devices share a batch. Each part has a key of its own, and the running
    moments become the mean of those that each part alone would give.

    Args:
        config: of a stage.
        method: what is trained.
        mesh: of `devices.build`.

    Raises:
        UsageError: if a device would have the statistics of a single item.
    """
    parts = mesh.shape[DATA]
    apart = config.train.batch_statistics == "device" and parts > 1
    if apart and config.train.batch_size < 2 * parts:
        raise UsageError(
            f"each of {parts} devices has 1 item of a batch, which has no statistics; raise "
            f"config.train.batch_size to {2 * parts} or set config.train.batch_statistics to global"
        )
    member, whole = PartitionSpec(MEMBER), PartitionSpec()
    # Without the check of what varies over devices, which scans inside encoders do not declare.
    spread = partial(jax.shard_map, mesh=mesh, check_vma=False)

    def forward(variables, inputs, hp, keys, *, train: bool):
        local = partial(_members, method, train=train)
        if train and apart:
            rows = PartitionSpec(MEMBER, None, None, DATA)
            found = spread(
                partial(_part, local, parts),
                in_specs=(member, PartitionSpec(DATA), whole, member),
                out_specs=(Outputs(rows, rows, member), member),
            )
            outputs, state = found(variables, inputs, hp, keys)
            joined = lambda leaf: leaf.reshape(*leaf.shape[:2], -1, *leaf.shape[4:])
            return _map_rows(outputs, joined), state
        if mesh.shape[MEMBER] > 1:
            specs = (member, whole, whole, member)
            # The compiler divides the batch. Where it is whole, nothing is left to the compiler,
            # and a method may call back to the host, which JAX refuses otherwise.
            manual = {MEMBER} if parts > 1 else {MEMBER, DATA}
            local = spread(local, in_specs=specs, out_specs=member, axis_names=manual)
        return local(variables, inputs, hp, keys)

    return forward


def _members(method: Method, variables, inputs, hp, keys, *, train: bool):
    """Applies the method to the same inputs by each of some members."""
    one = lambda variables, key: method.apply(variables, inputs, hp, key=key, train=train)
    return jax.vmap(one)(variables, keys)


def _part(local: Forward, parts: int, variables, inputs, hp, keys):
    """Applies members to this device's part of the batch; rows become `[E, V, C, B / parts, ...]`.

    C copies of each item are an axis, because the parts lie beside each other in every copy.
    """
    keys = jax.vmap(lambda key: jax.random.split(key, parts)[lax.axis_index(DATA)])(keys)
    outputs, state = local(variables, inputs, hp, keys)
    size = len(jax.tree.leaves(inputs)[0])
    copies = lambda leaf: leaf.reshape(*leaf.shape[:2], -1, size, *leaf.shape[3:])
    # What is no real number, as a count of steps, has no mean, and is the same in all parts.
    real = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact)
    state = jax.tree.map(lambda leaf: lax.pmean(leaf, DATA) if real(leaf) else leaf, state)
    return _map_rows(outputs, copies), state


def _map_rows(outputs: Outputs, change: Callable[[jax.Array], jax.Array]) -> Outputs:
    """Maps the arrays that have an axis of rows; centers have none."""
    embeddings, logits = jax.tree.map(change, (outputs.embeddings, outputs.logits))
    return outputs.replace(embeddings=embeddings, logits=logits)
