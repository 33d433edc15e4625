"""The trainer of one stage: everything that its epochs need, built once, and the one loop."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from jaxcmr import distributed, methods
from jaxcmr.data.heldout import folded
from jaxcmr.errors import StoppedError, UsageError
from jaxcmr.train import devices, evaluate, feed, forward, log, optimizer
from jaxcmr.train import state as train_state
from jaxcmr.train.checkpoint import Checkpoints
from jaxcmr.train.stages import Stage, continued, steps_per_epoch
from jaxcmr.train.state import (
    DATA_STREAM,
    REFRESH_STREAM,
    Terms,
    TrainState,
    check_members,
    stream_key,
)
from jaxcmr.train.step import build_step, method_numbers
from jaxcmr.types import Dataset, Outputs
from jaxcmr.workdir.weights import Weights


class Fit(NamedTuple):
    """What the training of a stage leaves.

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


class Trainer:
    """Trains one stage, or goes on where it was stopped.

    Args:
        stage: what is trained, where.
        num_classes: K.
        train: the training set, labels as given.
        validation: the set on which `best` is chosen, with the same noise in its labels; None:
            nothing is chosen, and `best` is the last state.

    Attributes:
        untrained: the state before the first step, laid out over the devices; `fit` consumes it.
        mesh: the devices.
        config: of the stage.

    Raises:
        UsageError: the batch is larger than the training set.
    """

    def __init__(
        self, stage: Stage, num_classes: int, train: Dataset, validation: Dataset | None = None
    ):
        config, method, mesh = stage.config, stage.method, stage.mesh
        self.mesh = mesh
        self._stage, self.config, self._train, self._classes = stage, config, train, num_classes
        self._steps = steps_per_epoch(config, len(train))
        total_steps = config.train.epochs * self._steps
        rule = optimizer.build(config.optimizer, total_steps)
        few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
        create = partial(
            train_state.create, method, rule, num_classes=num_classes, seed=config.seed,
            members=config.ensemble.members, rows=len(train),
        )  # fmt: skip
        shapes = jax.eval_shape(create, few)
        self._layout = devices.of_state(mesh, method, shapes, len(train), num_classes)
        self.untrained = jax.jit(create, out_shardings=self._layout)(few)
        hp = {
            "method": method_numbers(config.method),
            "rates": optimizer.rates(config.optimizer, self.untrained.params),
        }
        self._hp = devices.put(hp, devices.replicated(mesh))
        self._feed = feed.build(config, train, mesh)
        apply = forward.build(config, method, mesh)
        self._step = build_step(
            method, apply, rule, self._feed.take,
            steps_per_epoch=self._steps, total_steps=total_steps, shardings=self._layout,
        )  # fmt: skip
        self._predict = evaluate.build_predict(apply, mesh)
        self._score = self._validation = None
        if validation is not None:
            self._score = evaluate.build_validation(validation, config, mesh)
            self._validation = feed.build(config, validation, mesh)

    def fit(self, start: Weights | None = None) -> Fit:
        """Trains the epochs that are left; writes `metrics.jsonl` and `checkpoints/`.

        Each epoch, in this order: let the method refresh its beliefs; advance all members (jitted
        calls of k steps); score the validation set; keep the state if it is the best; write the
        metrics; write the checkpoint `last`. SIGTERM and Ctrl-C end the run after the calls of the
        step that are under way: one, or two of an epoch.

        Args:
            start: weights to start from; None: new ones.

        Raises:
            UsageError: a checkpoint does not fit or cannot be written, or a loss is not finite.
            StoppedError: after a SIGTERM or a Ctrl-C, when all is saved.
        """
        config, folder = self.config, self._stage.folder
        epochs, every = config.train.epochs, config.evaluate.every_epochs
        with (
            Checkpoints(folder / "checkpoints") as checkpoints,
            distributed.stopping() as stop,
        ):
            state, record = self._begin(checkpoints, start)
            first = record["epoch"]
            metrics = log.MetricsLog(
                folder / "metrics.jsonl" if distributed.first() else None, first
            )
            began, timed = time.monotonic(), first
            for epoch in range(first, epochs):
                epoch_began = time.monotonic()
                terms = {k: np.float32(v) for k, v in record.pop("terms", {}).items()}
                if not terms:
                    state = self.refresh(state, epoch)
                state, terms, speed, stopped = self.run_epoch(state, epoch, terms, stop)
                if stopped:
                    seconds = record["seconds"] + time.monotonic() - epoch_began
                    terms = {name: values.tolist() for name, values in terms.items()}
                    checkpoints.save_last(state, record | {"seconds": seconds, "terms": terms})
                    raise StoppedError(
                        f"stopped by {signal.Signals(stopped).name} after step {int(state.step)} "
                        f"(epoch {epoch + 1}/{epochs}); the same command goes on from there",
                        stopped,
                    )
                line = {"step": int(state.step), "epoch": epoch + 1, **log.means(terms)}
                line |= self.diagnose(state, epoch) | speed
                if self._score is not None and ((epoch + 1) % every == 0 or epoch + 1 == epochs):
                    line |= self.validate(state)
                    if line["val_mAP"] > record["best"]:
                        record |= {"best": line["val_mAP"], "best_epoch": epoch + 1}
                        checkpoints.save_best(state, dict(record))
                metrics.write(line)
                now = time.monotonic()
                record |= {"epoch": epoch + 1, "seconds": record["seconds"] + now - epoch_began}
                checkpoints.save_last(state, dict(record))
                left = (now - began) / (epoch + 1 - timed) * (epochs - epoch - 1)
                log.log_progress(line, epochs, left)
                if epoch == first:  # it has compiled: no other epoch takes as long
                    began, timed = now, epoch + 1
            if self._score is None:
                return Fit(state, state, epochs, record["seconds"])
            found = checkpoints.restore_best(state)
            if found is None:
                raise UsageError(
                    f"{folder / 'checkpoints' / 'best'} has lost the checkpoint of the best epoch; "
                    "put back a copy, or choose another --workdir"
                )
            best, of_best = found
            return Fit(state, best, of_best["best_epoch"], record["seconds"])

    def _begin(
        self, checkpoints: Checkpoints, start: Weights | None
    ) -> tuple[TrainState, dict[str, Any]]:
        """Returns the state and the record to go on from; those of a new run are saved first."""
        restored = checkpoints.restore_last(self.untrained)
        if restored is not None:
            state, record = restored
            if record["epoch"] or record.get("terms"):
                logging.info(
                    "going on after epoch %d of %d, step %d",
                    record["epoch"], self.config.train.epochs, int(state.step),
                )  # fmt: skip
            return restored
        folder = self._stage.folder
        if (folder / "metrics.jsonl").exists():
            logging.warning(
                "there is no checkpoint in %s any more: the run begins anew", folder / "checkpoints"
            )
        record = {"epoch": 0, "best": -1.0, "best_epoch": 0, "seconds": 0.0}
        state = self.untrained
        if start is not None:
            state = devices.put(continued(state, start), self._layout)
        checkpoints.save_last(state, dict(record))
        return state, record

    def run_epoch(
        self, state: TrainState, epoch: int, terms: Terms, stop: Callable[[], int] = lambda: 0
    ) -> tuple[TrainState, Terms, dict[str, float], int]:
        """Advances to the end of an epoch, or of the calls under way when `stop()` holds.

        Args:
            state: where the training stands, perhaps inside the epoch.
            epoch: its number, from 0.
            terms: the loss terms of the steps of this epoch that are done; {}: none is.
            stop: gives the number of a signal to stop by, or 0.

        Returns:
            The state; the loss terms of all steps; `steps_per_second` and, where batches are
            streamed, the `wait_share` of the time; the number of the signal.

        Raises:
            UsageError: a member dies and `config.train.on_nan` is "stop", or none is left.
        """
        key = stream_key(devices.local(state.key), DATA_STREAM)
        first, alive = jax.device_get((state.step, devices.local(state.alive)))
        first, calls, stopped, waited = int(first), [terms] if terms else [], 0, 0.0
        at, began = first, time.monotonic()
        idle_since = began

        def dispatched() -> Iterator[tuple[Any, float]]:
            nonlocal state
            for data, rows in self._feed.calls(key, epoch, first - epoch * self._steps):
                arrived = time.monotonic()
                state, of_call = self._step(state, data, rows, self._hp)
                yield of_call, arrived
                if stopped:
                    return

        def fetched(call: tuple[Any, float]) -> tuple[Terms, float, float]:
            of_call, arrived = call
            return jax.device_get(of_call), arrived, time.monotonic()

        # The next call is on the device before the terms of one are looked at. A thread fetches
        # them, and so tells when the device was done, also while this one waits for a batch.
        with ThreadPoolExecutor(1) as thread:
            for of_call, arrived, done in feed.ahead(thread, fetched, dispatched(), 1):
                waited += max(arrived - idle_since, 0.0)
                idle_since = done
                alive = check_members(of_call, alive, at, drop=self.config.train.on_nan == "drop")
                calls.append(of_call)
                at += len(of_call["loss"])
                stopped = stopped or stop()
        terms = {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}
        seconds = time.monotonic() - began
        speed = {"steps_per_second": round((at - first) / seconds, 2)}
        if self._feed.streamed:
            speed["wait_share"] = round(waited / seconds, 4)
        return state, terms, speed, stopped

    def refresh(self, state: TrainState, epoch: int) -> TrainState:
        """Lets the method refresh its beliefs, before an epoch."""
        method = self._stage.method
        if method.refresh is None:
            return state
        key = jax.random.fold_in(devices.local(state.key), REFRESH_STREAM)
        params, beliefs = method.refresh(
            lambda: evaluate.joined(self._predict(state, self._hp["method"], self._feed)),
            state.params,
            devices.local(state.beliefs),
            epoch,
            jax.random.fold_in(key, epoch),
            self._hp["method"],
        )
        return state.replace(
            params=devices.put(params, self._layout.params),
            beliefs=devices.put(beliefs, self._layout.beliefs),
        )

    def diagnose(self, state: TrainState, epoch: int) -> dict[str, Any]:
        """Returns the method's diagnosis of its beliefs; a warning in it is logged."""
        diagnose = self._stage.method.diagnose
        if diagnose is None:
            return {}
        found = dict(diagnose(devices.local(state.beliefs), self._train, self._classes))
        if warning := found.pop("warning", ""):
            logging.warning("epoch %d: %s", epoch + 1, warning)
        plain = lambda value: np.asarray(value).tolist()  # of an array of JAX or numpy, too
        return {f"labels {name}": plain(value) for name, value in found.items()}

    def validate(self, state: TrainState) -> dict[str, float | None]:
        """Scores the validation set."""
        return self._score(self.predict(state, self._validation))

    def predict(self, state: TrainState, source: evaluate.Feed | None = None) -> Outputs:
        """Returns the outputs of the living members, by default over the training set."""
        return evaluate.joined(self._pieces(state, source or self._feed))

    def predictor(self, dataset: Dataset) -> Callable[[TrainState], Outputs]:
        """Returns `state -> outputs` of the living members, over another data set."""
        source = feed.build(self.config, dataset, self.mesh)
        return lambda state: self.predict(state, source)

    def pieces(self, state: TrainState) -> dict[str, Iterator[Outputs]]:
        """Returns what yields the outputs of the living members, of "train" and "validation"."""
        sources = {"train": self._feed}
        if self._validation is not None:
            sources["validation"] = self._validation
        return {name: self._pieces(state, source) for name, source in sources.items()}

    def _pieces(self, state: TrainState, source: evaluate.Feed) -> Iterator[Outputs]:
        for outputs in self._predict(state, self._hp["method"], source):
            yield evaluate.of_living(outputs, state.alive)

    def hidden(self, alive: np.ndarray) -> np.ndarray:
        """Returns `[E, N]` bool, the members that were not taught the label of each training row.

        Args:
            alive: `[E]` bool, the members that are left.
        """
        config, rows = self.config, len(self._train)
        shape = (config.ensemble.members, rows)
        if not methods.recipe(config.method.name).uses_labels:
            return np.ones(shape, bool)
        if self._stage.method.hidden is None:
            return np.zeros(shape, bool)
        group = folded(self._train.links, rows)
        numbers = np.arange(rows, dtype=np.int32) if group is None else group
        # What is hidden from a member later was taught to it before others died, and too few that
        # are left are taught everything: what counts is hidden at the start and now.
        masks = (np.ones(config.ensemble.members, bool), np.asarray(alive))
        hidden = [self._stage.method.hidden(numbers, mask, self._hp["method"]) for mask in masks]
        return np.logical_and(*hidden)

    def remembered(self, state: TrainState) -> np.ndarray | None:
        """Returns the logits `[N, K]` of the training rows that the method remembers, or None."""
        read = self._stage.method.remembered
        return None if read is None else np.asarray(read(devices.local(state.beliefs)))
