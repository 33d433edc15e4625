"""The one training loop.

Each epoch, in this order: advance all members (jitted calls of k steps); let the method refresh
its beliefs; score the validation set; keep the state if it is the best; write the metrics; write
the checkpoint `last`.
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
from jaxcmr.train import evaluate, feed, log, optimizer
from jaxcmr.train import state as train_state
from jaxcmr.train.checkpoint import Checkpoints
from jaxcmr.train.state import TrainState
from jaxcmr.train.step import build_step, hyper_parameters, progress_at
from jaxcmr.types import Dataset, UsageError


class Fit(NamedTuple):
    """What a run of the loop leaves.

    Attributes:
        last: the state after the last epoch.
        best: the state with the best validation score.
        best_epoch: how many epochs `best` has seen.
        seconds: wall time spent in epochs, over all starts of the run.
    """

    last: TrainState
    best: TrainState
    best_epoch: int
    seconds: float


class Machinery(NamedTuple):
    """The compiled pieces of a run: `start` is the untrained state, `advance` runs one epoch."""

    start: TrainState
    advance: Callable[[TrainState], tuple[TrainState, dict[str, np.ndarray]]]
    refresh: Callable[[TrainState], TrainState]
    score: Callable[[TrainState], dict[str, float]]
    steps_per_epoch: int


def fit(
    config: ConfigDict,
    method: Method,
    train: Dataset,
    validation: Dataset,
    workdir: Path,
    on_start: Callable[[TrainState], None] = lambda state: None,
) -> Fit:
    """Trains `config.ensemble.members` members of `method`, or goes on where it was stopped.

    Args:
        config: the run's config.
        method: what is trained.
        train: the training set, labels as given.
        validation: the set on which `best` is chosen, with the same noise in its labels.
        workdir: `metrics.jsonl` and `checkpoints/` are kept here.
        on_start: called with the untrained state, on a first start and after a resume alike.

    Raises:
        UsageError: if the batch is larger than the set, if a checkpoint does not fit, or if a loss
            is no longer finite.
    """
    machinery = assemble(config, method, train, validation)
    state, epochs = machinery.start, config.train.epochs
    on_start(state)
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
            if (epoch + 1) % config.evaluate.every_epochs == 0 or epoch + 1 == epochs:
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
        best, best_record = checkpoints.restore_best(state)
    return Fit(state, best, best_record["best_epoch"], record["seconds"])


def assemble(config: ConfigDict, method: Method, train: Dataset, validation: Dataset) -> Machinery:
    """Puts the training set on the device and builds everything that the loop calls."""
    batch_size, epochs = config.train.batch_size, config.train.epochs
    if batch_size > len(train):
        raise UsageError(
            f"config.train.batch_size is {batch_size}, but the training set has {len(train)} rows; "
            "lower it"
        )
    steps = len(train) // batch_size  # the rows left over differ from epoch to epoch
    rule = optimizer.build(config.optimizer, epochs * steps)
    data = feed.resident(train)
    few = jax.tree.map(lambda leaf: leaf[:2], data.inputs)
    start = train_state.create(
        method, rule, few, seed=config.seed, members=config.ensemble.members, rows=len(train)
    )
    hp = hyper_parameters(config, rule, tuple(start.params))
    step = build_step(
        method, rule, batch_size=batch_size, steps_per_epoch=steps, total_steps=epochs * steps
    )
    predict = evaluate.build_predict(method, config.evaluate.batch_size)
    per_call = config.train.steps_per_call or steps

    def advance(state: TrainState):
        calls = []
        for done in range(0, steps, per_call):
            state, terms = step(state, data, hp, min(per_call, steps - done))
            calls.append(terms)
        return state, {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}

    def refresh(state: TrainState) -> TrainState:
        if method.refresh is None:
            return state
        progress = progress_at(state.step, steps, epochs * steps)
        outputs = predict(state, data)
        return state.replace(beliefs=method.refresh(outputs, state.beliefs, progress, hp["method"]))

    score = evaluate.build_validation(method, validation, config.evaluate.batch_size)
    return Machinery(start, advance, refresh, score, steps)


def _epoch(machinery: Machinery, state: TrainState, epoch: int):
    """Advances by one epoch; returns the state and the epoch's line of metrics."""
    began = time.monotonic()
    state, terms = machinery.advance(state)
    seconds = time.monotonic() - began
    _check_finite(terms, epoch * machinery.steps_per_epoch)
    state = machinery.refresh(state)
    line = {
        "step": int(state.step),
        "epoch": epoch + 1,
        **{name: float(values.mean()) for name, values in terms.items()},
        "steps_per_second": round(machinery.steps_per_epoch / seconds, 2),
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
