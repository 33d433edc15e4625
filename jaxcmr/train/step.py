"""The one training step: all members, k optimiser steps, one jitted call."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr import losses
from jaxcmr.methods.base import Method, Progress
from jaxcmr.train import devices, feed
from jaxcmr.train.optimizer import Optimizer
from jaxcmr.train.state import STEP_STREAM, TrainState, member_keys, members_of
from jaxcmr.types import Batch

Step = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def hyper_parameters(config, optimizer: Optimizer, groups) -> dict[str, Any]:
    """Returns the numbers of a config that reach the step as arrays, not as constants.

    A sweep over them is therefore one more `vmap`, and a new value compiles nothing.
    """
    numbers = {
        name: jnp.float32(value)
        for name, value in config.method.items()
        if isinstance(value, float | int) and not isinstance(value, bool)
    }
    return {"method": numbers, "rates": optimizer.rates(groups)}


def build_step(
    method: Method,
    optimizer: Optimizer,
    *,
    steps_per_epoch: int,
    total_steps: int,
    take: Callable[[Batch, jax.Array], Batch] = feed.take,
    shardings: TrainState | None = None,
) -> Step:
    """Returns the jitted `step(state, data, rows, hp) -> (state, metrics)`.

    One call advances every member by k optimiser steps inside an epoch: a `scan` over steps, a
    `vmap` over members inside. The batch of a step is one row of `rows [k, B]`: places in `data`,
    which is the resident training set, or what was streamed for this call (`stream.Feed`). `state`
    is donated. Metrics are the mean of each loss term, `[k, E]`.

    Args:
        method: what is trained.
        optimizer: what updates it.
        steps_per_epoch: optimiser steps of an epoch.
        total_steps: and of the run.
        take: gathers a batch (`stream.Feed.take`).
        shardings: where each leaf of the state lies, and stays (`devices.of_state`); None: where
            the arguments lie. Metrics then go to every device.
    """
    laid_out = None if shardings is None else (shardings, devices.replicated(shardings.step.mesh))
    stay = partial(lax.with_sharding_constraint, shardings=shardings) if shardings else lambda s: s

    @partial(jax.jit, donate_argnames="state", out_shardings=laid_out)
    def step(state: TrainState, data: Batch, rows: jax.Array, hp: dict[str, Any]):
        def body(state: TrainState, rows: jax.Array):
            progress = progress_at(state.step, steps_per_epoch, total_steps)
            state, terms = advance(method, optimizer, state, take(data, rows), progress, hp)
            return stay(state), terms

        return lax.scan(body, state, rows)

    return step


def advance(
    method: Method,
    optimizer: Optimizer,
    state: TrainState,
    batch: Batch,
    progress: Progress,
    hp: dict[str, Any],
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Advances every member by one optimiser step on the same batch.

    Forward of all members; vote across the member axis, without gradient; each member's loss and
    gradient; update. The objective is the sum of the members' losses, whose gradient with respect
    to stacked parameters is each member's own.
    """
    step_key = jax.random.fold_in(jax.random.fold_in(state.key, STEP_STREAM), state.step)
    keys = member_keys(step_key, members_of(state))

    def objective(params):
        forward = lambda variables, key: method.apply(variables, batch.inputs, key=key, train=True)
        outputs, model_state = jax.vmap(forward)({"params": params, **state.model_state}, keys)
        beliefs, targets = method.vote(
            lax.stop_gradient(outputs), state.beliefs, batch, progress, hp["method"]
        )
        member_losses = lambda outputs, targets: {
            name: losses.masked_mean(values, batch.mask)
            for name, values in method.losses(
                outputs, batch, targets, progress, hp["method"]
            ).items()
        }
        terms = jax.vmap(member_losses)(outputs, lax.stop_gradient(targets))
        terms = {"loss": sum(terms.values()), **terms}
        return terms["loss"].sum(), (model_state, beliefs, terms)

    grads, (model_state, beliefs, terms) = jax.grad(objective, has_aux=True)(state.params)
    update = jax.vmap(optimizer.update, in_axes=(0, 0, 0, None, None))
    params, opt_state = update(grads, state.opt_state, state.params, state.step, hp["rates"])
    state = state.replace(
        step=state.step + 1,
        params=params,
        model_state=model_state,
        opt_state=opt_state,
        beliefs=beliefs,
    )
    return state, terms


def progress_at(step: jax.Array, steps_per_epoch: int, total_steps: int) -> Progress:
    """Returns where a run stands after `step` steps."""
    return Progress(step=step, epoch=step // steps_per_epoch, fraction=step / total_steps)
