"""The one training loop.

Each epoch, in this order: let the method refresh its beliefs; advance all members (jitted calls of
k steps); score the validation set; keep the state if it is the best; write the metrics; write the
checkpoint `last`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.methods.base import Method
from jaxcmr.train import evaluate, log, optimizer, stream
from jaxcmr.train import state as train_state
from jaxcmr.train.checkpoint import Checkpoints
from jaxcmr.train.state import DATA_STREAM, REFRESH_STREAM, TrainState
from jaxcmr.train.step import build_step, hyper_parameters
from jaxcmr.types import Dataset, UsageError


class Fit(NamedTuple):
    """What a run of the loop leaves.

    Attributes:
        last: the state after the last epoch.
        best: the state with the best validation score; the last one without a validation set.
        best_epoch: how many epochs `best` has seen.
        seconds: wall time spent in epochs, over all starts of the run.
    """

    last: TrainState
    best: TrainState
    best_epoch: int
    seconds: float


class Machinery(NamedTuple):
    """The compiled pieces of a run.

    `start` is the untrained state. `advance` runs one epoch, and also returns the seconds that it
    waited for batches; None if there is nothing to wait for.
    """

    start: TrainState
    advance: Callable[[TrainState], tuple[TrainState, dict[str, np.ndarray], float | None]]
    refresh: Callable[[TrainState, int], TrainState]
    diagnose: Callable[[TrainState], dict[str, Any]]
    score: Callable[[TrainState], dict[str, float]] | None
    steps_per_epoch: int


def fit(
    config: ConfigDict,
    method: Method,
    train: Dataset,
    validation: Dataset | None,
    workdir: Path,
    on_start: Callable[[TrainState], None] = lambda state: None,
    initialize: Callable[[TrainState], TrainState] = lambda state: state,
) -> Fit:
    """Trains `config.ensemble.members` members of `method`, or goes on where it was stopped.

    Args:
        config: the run's config.
        method: what is trained.
        train: the training set, labels as given.
        validation: the set on which `best` is chosen, with the same noise in its labels; None:
            nothing is chosen, and `best` is the last state.
        workdir: `metrics.jsonl` and `checkpoints/` are kept here.
        on_start: called with the untrained state, on a first start and after a resume alike.
        initialize: changes the untrained state, to start from an earlier run's parameters.

    Raises:
        UsageError: if the batch is larger than the set, if a checkpoint does not fit, or if a loss
            is no longer finite.
    """
    machinery = assemble(config, method, train, validation)
    on_start(machinery.start)
    state, epochs = initialize(machinery.start), config.train.epochs
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        record: dict[str, Any] = {"epoch": 0, "best": -1.0, "best_epoch": 0, "seconds": 0.0}
        restored = checkpoints.restore_last(state)
        if restored is not None:
            state, record = restored
            logging.info("going on after epoch %d of %d", record["epoch"], epochs)
        metrics = log.MetricsLog(workdir / "metrics.jsonl", record["epoch"])
        first, began = record["epoch"], time.monotonic()
        for epoch in range(first, epochs):
            epoch_began = time.monotonic()
            state, line = _epoch(machinery, state, epoch)
            due = (epoch + 1) % config.evaluate.every_epochs == 0 or epoch + 1 == epochs
            if machinery.score is not None and due:
                line |= machinery.score(state)
                if line["val_mAP"] > record["best"]:
                    record |= {"best": line["val_mAP"], "best_epoch": epoch + 1}
                    checkpoints.save_best(state, dict(record))
            metrics.write(line)
            now = time.monotonic()
            record |= {"epoch": epoch + 1, "seconds": record["seconds"] + now - epoch_began}
            checkpoints.save_last(state, dict(record))
            left = (now - began) / (epoch + 1 - first) * (epochs - epoch - 1)
            log.say_progress(line, epochs, left)
        best = state if machinery.score is None else checkpoints.restore_best(state)[0]
    return Fit(state, best, record["best_epoch"] or epochs, record["seconds"])


def assemble(
    config: ConfigDict, method: Method, train: Dataset, validation: Dataset | None
) -> Machinery:
    """Puts the training set on the device and builds everything that the loop calls."""
    batch_size, epochs = config.train.batch_size, config.train.epochs
    if batch_size > len(train):
        raise UsageError(
            f"config.train.batch_size is {batch_size}, but the training set has {len(train)} rows; "
            "lower it"
        )
    steps = len(train) // batch_size  # the rows left over differ from epoch to epoch
    rule = optimizer.build(config.optimizer, epochs * steps)
    source = stream.build(config, train)
    few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
    start = train_state.create(
        method, rule, few, seed=config.seed, members=config.ensemble.members, rows=len(train)
    )
    hp = hyper_parameters(config, rule, tuple(start.params))
    step = build_step(method, rule, steps_per_epoch=steps, total_steps=epochs * steps)
    predict = evaluate.build_predict(method, config.evaluate.batch_size)

    def advance(state: TrainState):
        key, epoch = jax.random.fold_in(state.key, DATA_STREAM), int(state.step) // steps
        calls, waited, idle_since = [], 0.0, time.monotonic()
        for data, rows in source.calls(key, epoch):
            waited += time.monotonic() - idle_since
            state, terms = step(state, data, rows, hp)
            # Fetching waits for the device: time from here on is spent waiting for batches.
            calls.append(jax.device_get(terms))
            idle_since = time.monotonic()
        terms = {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}
        return state, terms, waited if source.streamed else None

    def refresh(state: TrainState, epoch: int) -> TrainState:
        if method.refresh is None:
            return state
        key = jax.random.fold_in(jax.random.fold_in(state.key, REFRESH_STREAM), epoch)
        params, beliefs = method.refresh(
            lambda: predict(state, source), state.params, state.beliefs, epoch, key, hp["method"]
        )
        return state.replace(params=params, beliefs=beliefs)

    def diagnose(state: TrainState) -> dict[str, Any]:
        return dict(method.diagnose(state.beliefs, train)) if method.diagnose else {}

    score = None
    if validation is not None:
        score = evaluate.build_validation(method, validation, config)
    return Machinery(start, advance, refresh, diagnose, score, steps)


def _epoch(machinery: Machinery, state: TrainState, epoch: int):
    """Advances by one epoch; returns the state and the epoch's line of metrics."""
    state = machinery.refresh(state, epoch)
    began = time.monotonic()
    state, terms, waited = machinery.advance(state)
    seconds = time.monotonic() - began
    _check_finite(terms, epoch * machinery.steps_per_epoch)
    found = machinery.diagnose(state)
    if warning := found.pop("warning", ""):
        logging.warning("epoch %d: %s", epoch + 1, warning)
    line = {
        "step": int(state.step),
        "epoch": epoch + 1,
        **{name: float(values.mean()) for name, values in terms.items()},
        **{f"labels {name}": value for name, value in found.items()},
        "steps_per_second": round(machinery.steps_per_epoch / seconds, 2),
        **({} if waited is None else {"wait_share": round(waited / seconds, 4)}),
    }
    return state, line


def _check_finite(terms: dict[str, np.ndarray], first_step: int) -> None:
    """Raises a `UsageError` that names the first step, term and member that is not finite."""
    bad = {name: ~np.isfinite(values) for name, values in terms.items() if name != "loss"}
    wrong = [
        (int(step), name, int(member))
        for name, values in bad.items()
        for step, member in np.argwhere(values)[:1]
    ]
    if wrong:
        step, name, member = min(wrong)
        raise UsageError(
            f"the loss term {name!r} of member {member} is not finite at step "
            f"{first_step + step + 1}; the checkpoint `last` holds the epoch before: lower "
            "config.optimizer.learning_rate and start in another --workdir"
        )
