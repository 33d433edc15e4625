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
        optimizer: what updates it.
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
            state, terms = advance(method, optimizer, state, take(data, rows), progress, hp)
            return stay(state), terms

        return lax.scan(body, state, rows)

    return step


def advance(
    method: Method,
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
        forward = lambda variables, key: method.apply(
            variables, batch.inputs, hp["method"], key=key, train=True
        )
        outputs, model_state = jax.vmap(forward)({"params": params, **state.model_state}, keys)
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
    updates, opt_state = jax.vmap(update)(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    updated = state.replace(params=params, model_state=model_state, opt_state=opt_state)
    return of_living(alive, updated, state).replace(
        step=state.step + 1, beliefs=beliefs, alive=alive
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


def of_living(alive: jax.Array, new: TrainState, old: TrainState) -> TrainState:
    """Returns the new arrays of living members, and the old ones of the others."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    chosen = lambda name: jax.tree.map(choose, getattr(new, name), getattr(old, name))
    names = ("params", "model_state", "opt_state")
    return new.replace(**{name: chosen(name) for name in names})


def progress_at(step: jax.Array, steps_per_epoch: int, total_steps: int) -> Progress:
    """Returns where a run stands after `step` steps."""
    return Progress(epoch=step // steps_per_epoch, fraction=step / total_steps)


def with_batch_statistics(config: ConfigDict, method: Method, mesh: jax.sharding.Mesh) -> Method:
    """Returns the method with the batch norm of `config.train.batch_statistics`.

    "global": the moments of the whole batch. "device": of each device's part, without a message
    between devices in a layer; the training then depends on how many devices share a batch.

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
    """Applies `Method.apply`, in training, to a batch cut into parts.

    Each part is normalised by its own moments and has a key of its own. The running moments become
    the mean of those that each part alone would give, so that they, and the evaluation, are the
    same on every device.

    Args:
        method: what is trained.
        parts: how many, which must divide the batch.
        lay: lays the parts, `[parts, B / parts, ...]`, on the devices.
    """

    def cut(rows: jax.Array) -> jax.Array:  # [B, ...] -> [parts, B / parts, ...]
        return lay(rows.reshape(parts, -1, *rows.shape[1:]))

    def join(rows: jax.Array, size: int) -> jax.Array:
        """Returns `[V, C B, ...]` from `[parts, V, C B / parts, ...]`, C copies of each item."""
        rows = rows.reshape(*rows.shape[:2], -1, size // parts, *rows.shape[3:])
        return jnp.moveaxis(rows, 0, 2).reshape(rows.shape[1], -1, *rows.shape[4:])

    def apply(variables, inputs, hp, *, key: jax.Array | None, train: bool):
        if not train:
            return method.apply(variables, inputs, hp, key=key, train=False)
        one = lambda part, key: method.apply(variables, part, hp, key=key, train=True)
        found = Outputs(embeddings=0, logits=0, centers=None)  # centers are of no part
        outputs, state = jax.vmap(one, out_axes=(found, 0))(
            jax.tree.map(cut, inputs), jax.random.split(key, parts)
        )
        size = len(jax.tree.leaves(inputs)[0])
        rows = jax.tree.map(lambda leaf: join(leaf, size), (outputs.embeddings, outputs.logits))
        outputs = outputs.replace(embeddings=rows[0], logits=rows[1])
        return outputs, jax.tree.map(lambda leaf: jnp.mean(leaf, 0), state)

    return method._replace(apply=apply)
