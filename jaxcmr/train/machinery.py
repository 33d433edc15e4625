"""Puts a run's pieces together: data on the devices, the untrained state, what is compiled."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr.config.ranges import LARGEST_INT32
from jaxcmr.errors import NotFiniteError, UsageError
from jaxcmr.methods.base import Method
from jaxcmr.train import devices, evaluate, optimizer, statistics, stream
from jaxcmr.train import state as train_state
from jaxcmr.train.state import DATA_STREAM, REFRESH_STREAM, TrainState
from jaxcmr.train.step import build_step, hyper_parameters
from jaxcmr.types import Dataset

Terms = Mapping[str, np.ndarray]  # loss term -> [steps, E]


class Machinery(NamedTuple):
    """The compiled pieces of a run.

    Attributes:
        start: the untrained state, laid out over the devices.
        layout: where each of its leaves lies.
        advance: `(state, epoch, earlier, stop) -> (state, terms, waited)` runs an epoch to its end,
            or to the call of the step after which `stop()` holds. The state may stand inside the
            epoch: `earlier` is then what the loss terms were so far. `waited` are the seconds spent
            waiting for batches; None if there is nothing to wait for.
        refresh: `(state, epoch) -> state`, before an epoch.
        diagnose: `state -> numbers for people`, after it.
        score: `state -> validation scores`, or None.
        steps_per_epoch: optimiser steps of an epoch.
    """

    start: TrainState
    layout: TrainState
    advance: Callable[..., tuple[TrainState, dict[str, np.ndarray], float | None]]
    refresh: Callable[[TrainState, int], TrainState]
    diagnose: Callable[[TrainState], dict[str, Any]]
    score: Callable[[TrainState], dict[str, float]] | None
    steps_per_epoch: int


def steps_per_epoch(config: ConfigDict, rows: int) -> int:
    """Returns how many whole batches the rows give; those left over differ from epoch to epoch.

    Raises:
        UsageError: not even one, or more steps in all than are counted.
    """
    batch_size = config.train.batch_size
    if batch_size > rows:
        raise UsageError(
            f"config.train.batch_size is {batch_size}, but the training set has {rows} rows; "
            "lower it"
        )
    if config.train.epochs * (rows // batch_size) > LARGEST_INT32:
        raise UsageError(
            f"config.train.epochs is {config.train.epochs}, which are more than {LARGEST_INT32} "
            "steps; lower it"
        )
    return rows // batch_size


def assemble(
    config: ConfigDict, method: Method, train: Dataset, validation: Dataset | None
) -> Machinery:
    """Puts the training set on the device and builds everything that the loop calls."""
    epochs, steps = config.train.epochs, steps_per_epoch(config, len(train))
    rule = optimizer.build(config.optimizer, epochs * steps)
    mesh, source = devices.build(config), stream.build(config, train)
    few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
    start = train_state.create(
        method, rule, few, seed=config.seed, members=config.ensemble.members, rows=len(train),
        mesh=mesh,
    )  # fmt: skip
    layout = jax.tree.map(lambda leaf: leaf.sharding, start)
    hp = devices.put(hyper_parameters(config, rule, tuple(start.params)), devices.replicated(mesh))
    step = build_step(
        statistics.trained(config, method, mesh), rule, steps_per_epoch=steps,
        total_steps=epochs * steps, take=source.take, shardings=layout,
    )  # fmt: skip
    predict = evaluate.build_predict(method, mesh)
    key_of = lambda state, kind: jax.random.fold_in(devices.local(state.key), kind)

    def advance(
        state: TrainState,
        epoch: int | None = None,
        earlier: Terms | None = None,
        stop: Callable[[], bool] = lambda: False,
    ):
        at = int(state.step)
        epoch = at // steps if epoch is None else epoch
        calls, waited = [earlier] if earlier else [], 0.0
        idle_since = time.monotonic()
        for data, rows in source.calls(key_of(state, DATA_STREAM), epoch, at - epoch * steps):
            waited += time.monotonic() - idle_since
            state, terms = step(state, data, rows, hp)
            # Fetching waits for the device: time from here on is spent waiting for batches.
            calls.append(jax.device_get(terms))
            check_finite(calls[-1], at)
            at += len(rows)
            if stop():
                break
            idle_since = time.monotonic()
        terms = {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}
        return state, terms, waited if source.streamed else None

    def refresh(state: TrainState, epoch: int) -> TrainState:
        if method.refresh is None:
            return state
        key = jax.random.fold_in(key_of(state, REFRESH_STREAM), epoch)
        params, beliefs = method.refresh(
            lambda: predict(state, source),
            state.params,
            devices.local(state.beliefs),
            epoch,
            key,
            hp["method"],
        )
        return state.replace(
            params=devices.put(params, layout.params),
            beliefs=devices.put(beliefs, layout.beliefs),
        )

    def diagnose(state: TrainState) -> dict[str, Any]:
        if method.diagnose is None:
            return {}
        return dict(method.diagnose(devices.local(state.beliefs), train))

    score = None
    if validation is not None:
        score = evaluate.build_validation(method, validation, config)
    return Machinery(start, layout, advance, refresh, diagnose, score, steps)


def check_finite(terms: Terms, steps_before: int) -> None:
    """Raises `NotFiniteError`, naming the first step, term and member that is not finite."""
    bad = {name: ~np.isfinite(values) for name, values in terms.items() if name != "loss"}
    wrong = [
        (int(step), name, int(member))
        for name, values in bad.items()
        for step, member in np.argwhere(values)[:1]
    ]
    if wrong:
        step, name, member = min(wrong)
        raise NotFiniteError(
            f"the loss term {name!r} of member {member} is not finite at step "
            f"{steps_before + step + 1}; the checkpoint `last` holds the epoch before: lower "
            "config.optimizer.learning_rate and start in another --workdir, or go on without the "
            "member by config.train.on_nan=drop",
            member,
        )
