"""Where a run's arrays lie: a mesh of devices with the axes `member` and `data`.

The arrays of the members are spread over `member`; the rows of a batch, and the beliefs about
them, over `data`. Only this file, and `retrieval` with its galleries, depend on the number of
devices: the step is written for the whole batch, and XLA's partitioner adds the communication.
Losses, batch statistics and votes are therefore those of the whole batch and of all members
on every mesh.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method
from jaxcmr.types import Batch

MEMBER, DATA = "member", "data"


def build(config: ConfigDict) -> Mesh:
    """Builds the mesh of `config.mesh` over the devices of all processes.

    A size of -1 is chosen: it divides the members, or the batch, and as many devices as possible
    work. Of two such meshes the one that spreads members more is taken, because members
    communicate only when they vote.

    Raises:
        UsageError: if the devices, the members or the batch cannot be divided so.
    """
    devices = jax.devices()
    member, data = _sizes(config, len(devices))
    if member * data < len(devices) and jax.process_count() > 1:
        raise UsageError(
            f"config.mesh comes to {member} x {data} devices, but all {len(devices)} of the "
            f"{jax.process_count()} processes must take part; set config.mesh.member and "
            f"config.mesh.data to -1, and config.train.batch_size to {_full(config, len(devices))}"
        )
    shape, names, types = (member, data), (MEMBER, DATA), (AxisType.Auto, AxisType.Auto)
    used = devices[: member * data]
    try:  # JAX lays neighbours of a mesh on neighbouring chips
        return jax.make_mesh(shape, names, axis_types=types, devices=used)
    except (AssertionError, NotImplementedError, ValueError):  # five chips of eight form no box
        return Mesh(np.reshape(used, shape), names, axis_types=types)


def idle(config: ConfigDict) -> str:
    """Returns a sentence on devices that do not work, and on what lets them; "" if all do."""
    count = jax.device_count()
    member, data = _sizes(config, count)
    if member * data == count:
        return ""
    return (
        f"{member * data} of {count} devices work: {member} by members, {data} by batches of "
        f"{config.train.batch_size}; with config.train.batch_size={_full(config, count)} all do"
    )


def _sizes(config: ConfigDict, count: int) -> tuple[int, int]:
    """Returns the sizes of the two axes over `count` devices."""
    member, data = config.mesh.member, config.mesh.data
    members, batch = config.ensemble.members, config.train.batch_size
    for name, size in (("member", member), ("data", data)):
        if size > count:
            raise UsageError(
                f"config.mesh.{name} is {size}, but there are {count} devices; lower it"
            )
    if member * data > count:
        raise UsageError(
            f"config.mesh asks for {member} x {data} devices, but there are {count}; "
            "lower config.mesh.member or config.mesh.data"
        )
    if member != -1 and members % member:
        raise UsageError(
            f"config.mesh.member is {member}, but it must divide config.ensemble.members, "
            f"which is {members}"
        )
    if data != -1 and batch % data:
        raise UsageError(
            f"config.train.batch_size is {batch}, but config.mesh.data is {data}, and so many "
            f"devices share a batch; make it {-(-batch // data) * data}, or config.mesh.data -1"
        )
    least = 2 if config.train.batch_statistics == "device" else 1  # a single item has no moments
    sizes = [
        (one, other)
        for one in ([member] if member != -1 else _divisors(members))
        for other in ([data] if data != -1 else _divisors(batch, batch // least))
        if one * other <= count
    ]
    return max(sizes, key=lambda size: (size[0] * size[1], size[0]))


def _divisors(number: int, most: int | None = None) -> list[int]:
    return [size for size in range(1, (most or number) + 1) if number % size == 0]


def _full(config: ConfigDict, count: int) -> int:
    """Returns the next larger batch size with which all devices can work."""
    share = count // math.gcd(config.ensemble.members, count)
    return -(-config.train.batch_size // share) * share


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def by_rows(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Returns the sharding of an array whose axis `axis` counts rows of a batch."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def of_predictions(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of the members' outputs on k batches, `[k, E, V, B, ...]`."""
    return NamedSharding(mesh, PartitionSpec(None, MEMBER, None, DATA))


def of_state(mesh: Mesh, method: Method, shapes: Any, rows: int, num_classes: int) -> Any:
    """Returns the sharding of each leaf of a `TrainState`, as a tree like it.

    The arrays of a member lie on its devices. Beliefs are spread along their axis of rows, if the
    devices divide its size, and along that of members; they are whole on every device otherwise.

    Args:
        mesh: of `build`.
        method: whose `beliefs` tell which axis counts rows: the one that grows with `rows`.
        shapes: the state, or its shapes.
        rows: size of the training set.
        num_classes: K.
    """
    owned = NamedSharding(mesh, PartitionSpec(MEMBER))
    members = len(shapes.alive)

    def of_belief(leaf: Any, longer: Any) -> NamedSharding:
        names: list[str | None] = [None] * len(leaf.shape)
        for axis, (size, grown) in enumerate(zip(leaf.shape, longer.shape)):
            if size != grown:
                names[axis] = None if size % mesh.shape[DATA] else DATA
            elif axis == 0 and size == members:
                names[axis] = MEMBER
        return NamedSharding(mesh, PartitionSpec(*names))

    longer = jax.eval_shape(lambda: method.beliefs(rows + 1, num_classes))
    return shapes.replace(
        step=replicated(mesh),
        params=jax.tree.map(lambda _: owned, shapes.params),
        model_state=jax.tree.map(lambda _: owned, shapes.model_state),
        opt_state=jax.tree.map(lambda _: owned, shapes.opt_state),
        beliefs=jax.tree.map(of_belief, shapes.beliefs, longer),
        alive=owned,
        key=replicated(mesh),
    )


def put(tree: Any, sharding: Any) -> Any:
    """Lays out arrays, whole in every process or laid out already, by `sharding`.

    Args:
        tree: arrays.
        sharding: one for all of them, or a tree like `tree`.
    """

    def one(leaf: Any, sharding: NamedSharding) -> jax.Array:
        spread = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
        if spread or sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    if isinstance(sharding, NamedSharding):
        return jax.tree.map(lambda leaf: one(leaf, sharding), tree)
    return jax.tree.map(one, tree, sharding)


def local(tree: Any) -> Any:
    """Returns arrays of any layout as whole arrays on this process's first device."""
    spread = [leaf for leaf in jax.tree.leaves(tree) if not leaf.sharding.is_fully_replicated]
    if spread:
        tree = _gather(spread[0].sharding.mesh)(tree)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def on_host(tree: Any) -> Any:
    """Returns arrays `[k, ...]` of any layout as numpy arrays, whole in every process.

    What other processes hold comes one of the k entries at a time, so that no device has to hold
    more than that.
    """
    leaves = jax.tree.leaves(tree)
    if all(leaf.is_fully_addressable for leaf in leaves):
        return jax.tree.map(np.asarray, tree)
    entry = _gather_entry(leaves[0].sharding.mesh)
    entries = [jax.tree.map(np.asarray, entry(tree, place)) for place in range(len(leaves[0]))]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *entries)


@functools.cache
def _gather(mesh: Mesh) -> Callable[[Any], Any]:
    """Returns the compiled copy of arrays to every device."""
    return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))


@functools.cache
def _gather_entry(mesh: Mesh) -> Callable[[Any, int], Any]:
    """Returns the compiled copy of one entry of the first axis to every device."""
    take = lambda tree, place: jax.tree.map(lambda leaf: leaf[place], tree)
    return jax.jit(take, out_shardings=replicated(mesh))


def put_batches(
    mesh: Mesh, read: Callable[[np.ndarray], Batch], batches: np.ndarray
) -> tuple[Batch, jax.Array]:
    """Gives each device its part of k batches, read by the process that the device belongs to.

    Args:
        mesh: of `build`.
        read: gives the rows of some numbers `[n]`.
        batches: `[k, B]` row numbers.

    Returns:
        The rows of all k batches, spread over `data`; and where the batches lie in them, `[k, B]`,
        counted from the beginning of each device's part (see `locally`).
    """
    steps, size = batches.shape
    parts = mesh.shape[DATA]
    by_part = batches.reshape(steps, parts, size // parts)
    places = np.arange(steps * size // parts, dtype=np.int32).reshape(steps, -1)
    part_of = {
        device: index.indices(parts)[0]
        for device, (index,) in by_rows(mesh).addressable_devices_indices_map((parts,)).items()
    }
    items = {part: read(by_part[:, part].ravel()) for part in sorted(set(part_of.values()))}

    def join(axis: int, *arrays: np.ndarray) -> jax.Array:
        shape, of_part = list(arrays[0].shape), dict(zip(items, arrays))
        shape[axis] *= parts
        placed = [jax.device_put(of_part[part], device) for device, part in part_of.items()]
        return jax.make_array_from_single_device_arrays(tuple(shape), by_rows(mesh, axis), placed)

    axes = next(iter(items.values())).map_rows(lambda _, axis: axis)
    return jax.tree.map(join, axes, *items.values()), join(1, *[places] * len(items))


def locally(
    mesh: Mesh, gather: Callable[[Batch, jax.Array], Batch]
) -> Callable[[Batch, jax.Array], Batch]:
    """Makes `gather(data, rows [B])` read, on each device, only the device's part of `data`."""
    if mesh.size == 1:
        return gather

    def take(data: Batch, rows: jax.Array) -> Batch:
        spread = data.map_rows(lambda _, axis: by_rows(mesh, axis).spec)
        specs = (spread, PartitionSpec(DATA))
        return jax.shard_map(gather, mesh=mesh, in_specs=specs, out_specs=spread)(data, rows)

    return take
