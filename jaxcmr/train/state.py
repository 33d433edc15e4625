"""The state of a training run."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from jaxcmr.methods.base import Method
from jaxcmr.train import devices
from jaxcmr.train.optimizer import Optimizer
from jaxcmr.types import Items

STEP_STREAM, DATA_STREAM, INIT_STREAM, REFRESH_STREAM = range(4)  # what the run's key is split into


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes and a checkpoint holds.

    Every member-owned leaf (`params`, `model_state`, `opt_state`) has a leading member axis
    `[E, ...]`, also when E = 1.

    Attributes:
        step: int32, optimiser steps done.
        params: what is learned.
        model_state: batch statistics.
        opt_state: the optimiser's moments.
        beliefs: what the method believes about the labels, indexed by training row.
        key: the run's root key; it never changes (see `step_keys`).
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    beliefs: Any
    key: jax.Array


def create(
    method: Method,
    optimizer: Optimizer,
    inputs: dict[str, Items],
    *,
    seed: int,
    members: int,
    rows: int,
    mesh: jax.sharding.Mesh | None = None,
) -> TrainState:
    """Initialises `members` members that differ by their keys alone, where they are to lie.

    Args:
        method: what is trained.
        optimizer: what updates it.
        inputs: a few items of every modality; only shapes and dtypes matter.
        seed: the run's seed.
        members: E.
        rows: size of the training set, for the beliefs.
        mesh: of `devices.build`; None: the default device.
    """

    def build(inputs) -> TrainState:
        key = jax.random.key(seed)
        keys = member_keys(jax.random.fold_in(key, INIT_STREAM), members)
        variables = jax.vmap(method.init, in_axes=(0, None))(keys, inputs)
        params = variables.pop("params")
        return TrainState(
            step=jnp.int32(0),
            params=params,
            model_state=variables,
            opt_state=jax.vmap(optimizer.init)(params),
            beliefs=method.beliefs(rows),
            key=key,
        )

    if mesh is None:
        return jax.jit(build)(inputs)
    shardings = devices.of_state(mesh, method, jax.eval_shape(build, inputs), rows)
    return jax.jit(build, out_shardings=shardings)(inputs)


def member_keys(key: jax.Array, members: int) -> jax.Array:
    """Derives one key a member; member e's key does not depend on how many members there are."""
    return jax.vmap(lambda e: jax.random.fold_in(key, e))(jnp.arange(members))


def members_of(state: TrainState) -> int:
    """Returns E."""
    return jax.tree.leaves(state.params)[0].shape[0]
