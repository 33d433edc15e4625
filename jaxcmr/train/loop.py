"""The one training loop.

Each epoch, in this order: let the method refresh its beliefs; advance all members (jitted calls of
k steps); score the validation set; keep the state if it is the best; write the metrics; write the
checkpoint `last`. SIGTERM and Ctrl-C end the run after the call of the step that is under way.
"""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import distributed
from jaxcmr.errors import StoppedError, UsageError
from jaxcmr.methods.base import Method
from jaxcmr.train import devices, log
from jaxcmr.train.checkpoint import Checkpoints
from jaxcmr.train.machinery import Machinery, Terms, assemble
from jaxcmr.train.state import TrainState
from jaxcmr.types import Dataset


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


def fit(
    config: ConfigDict,
    method: Method,
    train: Dataset,
    validation: Dataset | None,
    workdir: Path,
    on_start: Callable[[TrainState], None] = lambda state: None,
    initialize: Callable[[TrainState], TrainState] = lambda state: state,
    members: Sequence[int] = (),
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
        members: their numbers, if some were dropped (`survivors.fit`).

    Raises:
        UsageError: if the batch is larger than the set, if a checkpoint does not fit or cannot be
            written, or if a loss is no longer finite.
        StoppedError: after a SIGTERM or a Ctrl-C, when all is saved.
    """
    machinery = assemble(config, method, train, validation)
    on_start(machinery.start)
    members = members or range(config.ensemble.members)
    with (
        Checkpoints(workdir / "checkpoints", members) as checkpoints,
        distributed.stopping() as stop,
    ):
        state, record = _begin(machinery, checkpoints, initialize, workdir)
        return _run(config, machinery, checkpoints, state, record, workdir, stop)


def _begin(machinery: Machinery, checkpoints: Checkpoints, initialize, workdir: Path):
    """Returns the state and the record to go on from; the untrained ones are saved first."""
    restored = checkpoints.restore_last(machinery.start)
    if restored is not None:
        return restored
    if (workdir / "metrics.jsonl").exists():
        logging.warning(
            "there is no checkpoint in %s any more: the run begins anew", workdir / "checkpoints"
        )
    record: dict[str, Any] = {"epoch": 0, "best": -1.0, "best_epoch": 0, "seconds": 0.0}
    state = devices.put(initialize(machinery.start), machinery.layout)
    checkpoints.save_last(state, dict(record))
    return state, record


def _run(
    config: ConfigDict,
    machinery: Machinery,
    checkpoints: Checkpoints,
    state: TrainState,
    record: dict[str, Any],
    workdir: Path,
    stop: Callable[[], int],
) -> Fit:
    """Trains the epochs that are left."""
    epochs, first = config.train.epochs, record["epoch"]
    if first or record.get("terms"):
        logging.info("going on after epoch %d of %d, step %d", first, epochs, int(state.step))
    metrics = log.MetricsLog(workdir / "metrics.jsonl" if distributed.first() else None, first)
    began = time.monotonic()
    for epoch in range(first, epochs):
        epoch_began, stopped = time.monotonic(), []
        earlier = {k: np.float32(v) for k, v in record.pop("terms", {}).items()}
        asked = lambda stopped=stopped: (by := stop()) > 0 and not stopped.append(by)
        state, terms, line = _epoch(machinery, state, epoch, earlier, asked)
        if stopped:
            spent = record["seconds"] + time.monotonic() - epoch_began
            terms = {name: values.tolist() for name, values in terms.items()}
            checkpoints.save_last(state, record | {"seconds": spent, "terms": terms})
            raise StoppedError(
                f"stopped by {signal.Signals(stopped[0]).name} after step {int(state.step)} of "
                f"epoch {epoch + 1}/{epochs}; the same command goes on from there",
                stopped[0],
            )
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
    if machinery.score is None:
        return Fit(state, state, epochs, record["seconds"])
    found = checkpoints.restore_best(state)
    if found is None:
        raise UsageError(
            f"{workdir / 'checkpoints' / 'best'} has lost the checkpoint of the best epoch; put "
            "back a copy, or choose another --workdir"
        )
    best, of_best = found
    return Fit(state, best, of_best["best_epoch"], record["seconds"])


def _epoch(
    machinery: Machinery,
    state: TrainState,
    epoch: int,
    earlier: Terms,
    stop: Callable[[], bool],
):
    """Advances to the end of an epoch; returns the state, the loss terms and the line of metrics.

    `earlier` are the loss terms of its steps that a run before this one has done.
    """
    if not earlier:
        state = machinery.refresh(state, epoch)
    steps, began = machinery.steps_per_epoch, time.monotonic()
    state, terms, waited = machinery.advance(state, epoch, earlier, stop)
    seconds = time.monotonic() - began
    done = steps - len(next(iter(earlier.values()), ()))
    found = machinery.diagnose(state)
    if warning := found.pop("warning", ""):
        logging.warning("epoch %d: %s", epoch + 1, warning)
    line = {
        "step": int(state.step),
        "epoch": epoch + 1,
        **{name: float(values.mean()) for name, values in terms.items()},
        **{f"labels {name}": value for name, value in found.items()},
        "steps_per_second": round(done / seconds, 2),
        **({} if waited is None else {"wait_share": round(waited / seconds, 4)}),
    }
    return state, terms, line
