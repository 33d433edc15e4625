"""The state of a training run."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method
from jaxcmr.types import Items

Terms = Mapping[str, np.ndarray]  # loss term -> [steps, E]
STEP_STREAM, DATA_STREAM, INIT_STREAM, REFRESH_STREAM = range(4)  # what the run's key is split into


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes and a checkpoint holds.

    Every member-owned leaf (`params`, `model_state`, `opt_state`) has a leading member axis
    `[E, ...]`, also when E = 1.

    Attributes:
        step: int32, optimiser steps done.
        params: the trained parameters.
        model_state: batch statistics.
        opt_state: the optimiser's moments.
        beliefs: what the method believes about the labels, indexed by training row.
        alive: `[E]` bool; False for a member whose losses are no longer finite: it is not updated,
            has no vote, and is no part of the ensemble.
        key: the run's root key; it never changes (see `step.advance`).
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    beliefs: Any
    alive: jax.Array
    key: jax.Array

    @property
    def variables(self) -> dict[str, Any]:
        """What `Method.apply` takes, stacked over members."""
        return {"params": self.params, **self.model_state}


def create(
    method: Method,
    optimizer: optax.GradientTransformation,
    inputs: Mapping[str, Items],
    *,
    num_classes: int,
    seed: int,
    members: int,
    rows: int,
) -> TrainState:
    """Initialises `members` members that differ only by their keys.

    Args:
        method: what is trained.
        optimizer: what updates it.
        inputs: a few items of every modality; only shapes and dtypes matter.
        num_classes: K.
        seed: the run's seed.
        members: E.
        rows: size of the training set, for the beliefs.
    """
    key = jax.random.key(seed)
    keys = member_keys(jax.random.fold_in(key, INIT_STREAM), members)
    variables = jax.vmap(lambda key: method.init(key, inputs, num_classes))(keys)
    params = variables.pop("params")
    return TrainState(
        step=jnp.int32(0),
        params=params,
        model_state=variables,
        opt_state=jax.vmap(optimizer.init)(params),
        beliefs=method.beliefs(rows, num_classes),
        alive=jnp.ones(members, bool),
        key=key,
    )


@partial(jax.jit, static_argnames="stream")
def stream_key(key: jax.Array, stream: int) -> jax.Array:
    """Derives the key of one of the streams from the run's key."""
    return jax.random.fold_in(key, stream)


def member_keys(key: jax.Array, members: int) -> jax.Array:
    """Derives one key a member; member e's key does not depend on how many members there are."""
    return jax.vmap(lambda e: jax.random.fold_in(key, e))(jnp.arange(members))


def check_members(terms: Terms, before: np.ndarray, steps_before: int, *, drop: bool) -> np.ndarray:
    """Reports the members that died in a call of the step, and the loss term that was the reason.

    Args:
        terms: loss term -> `[steps, E]` of the call; those of dead members are NaN.
        before: `[E]` bool, which members were alive before it.
        steps_before: optimiser steps before the call.
        drop: whether the others go on.

    Returns:
        `[E]` bool, which members are alive after it.

    Raises:
        UsageError: a member has died and `drop` is False, or none is left.
    """
    after = np.isfinite(terms["loss"][-1])
    for member in np.flatnonzero(before & ~after):
        bad = {name: ~np.isfinite(values[:, member]) for name, values in terms.items()}
        when = {name: int(steps.argmax()) for name, steps in bad.items() if steps.any()}
        name = min(when, key=lambda name: (when[name], name == "loss", name), default="loss")
        sentence = (
            f"the loss term {name!r} of member {member} is not finite at step "
            f"{steps_before + when.get(name, 0) + 1}"
        )
        if not drop or not after.any():
            raise UsageError(
                f"{sentence}; the checkpoint `last` holds the epoch before: lower "
                "config.optimizer.learning_rate and start in another --workdir, or go on without "
                "the member by config.train.on_nan=drop"
            )
        logging.warning(
            "member %d is dropped, %d of %d are left: %s",
            member, after.sum(), len(after), sentence,
        )  # fmt: skip
    return after
