"""One checkpoint on the disk: read onto any mesh, and checked to be what was written."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax import lax

from jaxcmr.train import devices
from jaxcmr.train.state import TrainState
from jaxcmr.types import UsageError


def read(
    manager: ocp.CheckpointManager,
    step: int,
    like: TrainState,
    members: tuple[int, ...],
    folder: Path,
):
    """Reads one checkpoint; raises a `UsageError` if it is whole but of another state.

    `folder` is the manager's, as people name it.
    """
    layout = jax.tree.map(lambda leaf: leaf.sharding, like)
    ours = jax.tree.map(ocp.utils.to_shape_dtype_struct, storable(like))
    marked = read_record(manager, step)
    kept = [place for place, number in enumerate(marked["members"]) if number in members]
    stored = _by_name(manager.item_metadata(step)["state"])
    if not stored:
        raise ValueError("its description cannot be read")
    axes = _check_fit(folder / str(step), stored, ours, len(marked["members"]), len(kept))

    def target(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        if axes[_name(path)] is None:
            return leaf
        shape, everywhere = stored[_name(path)][0], devices.replicated(leaf.sharding.mesh)
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=everywhere)

    targets = jax.tree_util.tree_map_with_path(target, ours)
    state = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(targets)))[
        "state"
    ]
    if np.asarray(fingerprint(state)).tolist() != marked["fingerprint"]:
        raise ValueError("its content is not what was written")

    def take(path: Any, leaf: jax.Array) -> jax.Array:
        axis = axes[_name(path)]
        return leaf if axis is None else jnp.take(leaf, jnp.array(kept), axis=axis)

    state = jax.tree_util.tree_map_with_path(take, state)
    key = jax.random.wrap_key_data(state.key, impl=jax.random.key_impl(like.key))
    return devices.put(state.replace(key=key), layout), marked["record"]


def read_record(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Reads what `sealed` made; raises a `ValueError` if something is another."""
    found = manager.restore(step, args=ocp.args.Composite(record=ocp.args.JsonRestore()))["record"]
    seal = found.pop("seal")
    if seal != _seal(found):
        raise ValueError("its record is not what was written")
    return found


def sealed(record: dict[str, Any], members: tuple[int, ...], content: Any) -> dict[str, Any]:
    """Returns the record of a checkpoint, and what tells that it and the `content` are whole."""
    found = {
        "record": record,
        "members": members,
        "fingerprint": np.asarray(fingerprint(content)).tolist(),
    }
    return found | {"seal": _seal(found)}


def _seal(found: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _check_fit(
    checkpoint: Path,
    stored: dict[str, Any],
    state: TrainState,
    before: int,
    now: int,
) -> dict[str, int | None]:
    """Returns the axis of each leaf on which members were dropped; None where none were.

    Args:
        checkpoint: its folder.
        stored: its leaves, by name.
        state: ours.
        before: its number of members.
        now: how many of them are ours.
    """
    ours, axes = _by_name(state), {}
    for name in sorted(stored.keys() | ours.keys()):
        shape, kind = stored.get(name, ((), None))
        own_shape, own_kind = ours.get(name, ((), None))
        axis = None
        if shape != own_shape and len(shape) == len(own_shape) and now < before:
            axis = next(a for a, (one, two) in enumerate(zip(shape, own_shape)) if one != two)
            shape = (*shape[:axis], shape[axis] - before + now, *shape[axis + 1 :])
        if (shape, kind) != (own_shape, own_kind):
            there, here = (f"{kind}{list(shape)}" if kind else "absent" for shape, kind in (
                stored.get(name, ((), None)), (own_shape, own_kind)
            ))  # fmt: skip
            raise UsageError(
                f"the checkpoint {checkpoint} does not fit this configuration: "
                f"{name} is {there} there and {here} here; choose another --workdir"
            )
        axes[name] = axis
    return axes


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _by_name(tree: Any) -> dict[str, Any]:
    """Returns (shape, dtype) of each leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): (tuple(leaf.shape), leaf.dtype) for path, leaf in leaves}


@jax.jit
def fingerprint(tree: Any) -> jax.Array:
    """Sums the bits of each leaf, weighted by their places, modulo 2^32: `[leaves]` uint32.

    Whole numbers: the sum is the same on every mesh, and another after any change of one element.
    """

    def of(leaf: jax.Array) -> jax.Array:
        if leaf.dtype == bool:
            leaf = leaf.astype(jnp.uint8)
        width = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
        bits = lax.bitcast_convert_type(leaf, width).astype(jnp.uint32)
        place = jnp.zeros(leaf.shape, jnp.uint32)
        for axis, size in enumerate(leaf.shape):
            place = place * jnp.uint32(size) + lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        return (bits * (2 * place + 1)).sum(dtype=jnp.uint32)

    return jnp.stack([of(leaf) for leaf in jax.tree.leaves(tree)])


def storable(state: TrainState) -> TrainState:
    """Turns the typed key into the numbers that it is made of."""
    return state.replace(key=jax.random.key_data(state.key))
