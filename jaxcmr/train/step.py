"""The one training step: all members, k optimiser steps, one jitted call."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from ml_collections import ConfigDict

from jaxcmr import losses, methods
from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method, Progress
from jaxcmr.train import devices
from jaxcmr.train.forward import Forward
from jaxcmr.train.state import STEP_STREAM, TrainState, member_keys
from jaxcmr.types import Batch, Outputs

Step = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def method_numbers(section: ConfigDict) -> dict[str, jax.Array]:
    """Returns the numbers of `config.method` as arrays: the only way in which they reach a step.

    A sweep over them is therefore one more `vmap`, and a new value compiles nothing. What is no
    number (`Recipe.choices`) is read where the method is built.
    """
    return {name: jnp.float32(section[name]) for name in methods.recipe(section.name).numbers}


def build_step(
    method: Method,
    forward: Forward,
    optimizer: optax.GradientTransformationExtraArgs,
    take: Callable[[Any, jax.Array], Batch],
    *,
    steps_per_epoch: int,
    total_steps: int,
    shardings: TrainState | None = None,
) -> Step:
    """Returns the jitted `step(state, data, rows, hp) -> (state, terms)`.

    One call advances every member by k optimiser steps inside an epoch: a `scan` over steps, a
    `vmap` over members inside. The batch of a step is one row of `rows [k, B]`: places in `data`,
    which is the resident training set, or what was streamed for this call (`feed`). `state` is
    donated. Terms are the mean of each loss term over the batch, `[k, E]`.

    Args:
        method: what is trained.
        forward: applies all members (`forward.build`).
        optimizer: what updates them.
        take: gathers a batch (`feed.Resident.take`).
        steps_per_epoch: optimiser steps of an epoch.
        total_steps: and of the run.
        shardings: where each leaf of the state lies, and stays (`devices.of_state`); None: where
            the arguments lie. Terms then go to every device.
    """
    laid_out = None if shardings is None else (shardings, devices.replicated(shardings.step.mesh))
    stay = partial(lax.with_sharding_constraint, shardings=shardings) if shardings else lambda s: s

    @partial(jax.jit, donate_argnames="state", out_shardings=laid_out)
    def step(state: TrainState, data: Any, rows: jax.Array, hp: Mapping[str, Any]):
        def body(state: TrainState, rows: jax.Array):
            progress = progress_at(state.step, steps_per_epoch, total_steps)
            batch = take(data, rows)
            state, terms = advance(method, forward, optimizer, state, batch, progress, hp)
            return stay(state), terms

        # Towers choose their own precision (`towers.tower`); nothing else is rounded on any device.
        with jax.default_matmul_precision("float32"):
            return lax.scan(body, state, rows)

    return step


def advance(
    method: Method,
    forward: Forward,
    optimizer: optax.GradientTransformationExtraArgs,
    state: TrainState,
    batch: Batch,
    progress: Progress,
    hp: Mapping[str, Any],
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Advances every living member by one optimiser step on the same batch.

    Forward of all members; vote across the member axis, without gradient; each member's loss and
    gradient; update. The objective is the sum of the members' losses, whose gradient with respect
    to stacked parameters is that of each member. A member dies in the step in which its loss is not
    finite: it is not updated any more, and its vote no longer counts.
    """
    step_key = jax.random.fold_in(jax.random.fold_in(state.key, STEP_STREAM), state.step)
    keys = member_keys(step_key, len(state.alive))

    def objective(params):
        variables = {"params": params, **state.model_state}
        outputs, model_state = forward(variables, batch.inputs, hp["method"], keys, train=True)
        beliefs, targets = method.vote(
            finite(lax.stop_gradient(outputs)),
            state.alive, state.beliefs, batch, progress, hp["method"],
        )  # fmt: skip
        member_losses = lambda outputs, targets: {
            name: _mean_over_pairs(name, values, batch.mask)
            for name, values in method.losses(
                outputs, batch, targets, progress, hp["method"]
            ).items()
        }
        terms = jax.vmap(member_losses)(outputs, lax.stop_gradient(targets))
        terms = {"loss": sum(terms.values()), **terms}
        terms = {k: jnp.where(state.alive, values, jnp.nan) for k, values in terms.items()}
        alive = state.alive & jnp.isfinite(terms["loss"])
        return jnp.where(alive, terms["loss"], 0.0).sum(), (alive, model_state, beliefs, terms)

    grads, (alive, model_state, beliefs, terms) = jax.grad(objective, has_aux=True)(state.params)
    update = partial(optimizer.update, step=state.step, rates=hp["rates"])
    # The dead have no gradient and no update. Keeping their old moments, which nobody uses, would
    # keep a copy of everybody's: they could not be overwritten in place.
    zeros = jax.tree.map(jnp.zeros_like, grads)
    updates, opt_state = jax.vmap(update)(
        of_living(alive, grads, zeros), state.opt_state, state.params
    )
    return state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, of_living(alive, updates, zeros)),
        model_state=of_living(alive, model_state, state.model_state),
        opt_state=opt_state,
        beliefs=beliefs,
        alive=alive,
    ), terms


def _mean_over_pairs(name: str, values: jax.Array, mask: jax.Array) -> jax.Array:
    """Averages a loss term `[B]`; `[V, B]` would broadcast, and count missing items."""
    if jnp.shape(values) != mask.shape:
        raise UsageError(
            f"the loss term {name!r} of the method has the shape {jnp.shape(values)}, but it must "
            f"be {mask.shape}, one value a pair; sum or average it over modalities"
        )
    return losses.masked_mean(values, mask)


def finite(outputs: Outputs) -> Outputs:
    """Puts zeros where a member that dies in this step gives no numbers.

    Its vote would stay in the memories otherwise. The check is by element, without communication.
    """
    return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, 0.0), outputs)


def of_living(alive: jax.Array, new: Any, old: Any) -> Any:
    """Returns the new arrays `[E, ...]` of living members, and the old ones of the others."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


def progress_at(step: jax.Array, steps_per_epoch: int, total_steps: int) -> Progress:
    """Returns where a run stands after `step` steps."""
    return Progress(epoch=step // steps_per_epoch, fraction=step / total_steps)
