"""The callable behind the main command: from a config to results in a folder."""

import collections
import itertools
import os
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import __version__, data, distributed, methods
from jaxcmr import config as configuration
from jaxcmr.data import corrections, introduce, open_classes, prepare
from jaxcmr.data.own.complete import complete
from jaxcmr.storage import files
from jaxcmr.storage.paths import expanded
from jaxcmr.train import evaluate, judging, stages
from jaxcmr.train.stages import Stage
from jaxcmr.train.state import TrainState
from jaxcmr.train.trainer import Fit, Trainer
from jaxcmr.types import Dataset, Outputs
from jaxcmr.workdir import embeddings, folder, labels, logfile, trained_on
from jaxcmr.workdir.labels import LabelTable
from jaxcmr.workdir.weights import Weights

LIBRARIES = ("jax", "flax", "optax")  # whose versions are part of a result


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
        result: the content of `result.json`.
        test: the test set.
        embeddings: modality -> `[N, E d]` unit rows of the test set, by the best epoch's members;
            those of all rows are read by `jaxcmr.workdir.embeddings.read`.
        labels: what is believed of the labels of training and validation rows, with `audit.test`
            of test rows, too; None for a method without classes that is trained without labels.
    """

    result: dict[str, Any]
    test: Dataset
    embeddings: dict[str, np.ndarray]
    labels: LabelTable | None = None


class Trained(NamedTuple):
    """What the stages leave.

    Attributes:
        fit: of the last one.
        classes: its K.
        scores: of the test set: `best` and `last` of the last stage, the `untrained` state, and
            `stages`: earlier stage -> its last state.
        embeddings: of the test set, by `fit.best`.
        labels: what is believed of the given labels, by `fit.best`; None without classes.
        seconds: wall time spent in the epochs of all stages.
    """

    fit: Fit
    classes: int
    scores: dict[str, Any]
    embeddings: dict[str, np.ndarray]
    labels: LabelTable | None
    seconds: float


def train_and_evaluate(config: ConfigDict, workdir: str | os.PathLike) -> Outcome:
    """Trains and evaluates a config; the same call again goes on where it was stopped.

    Writes `config.json`, `trained_on.json`, `noise.npz`, `split.npz`, `preparation.json`,
    `log.txt`, `metrics.jsonl`, `checkpoints/`, `embeddings/` (of all rows), `labels.npz`,
    `labels.csv` and `result.json` into `workdir`. With more epochs in the config a finished run
    goes on.

    Raises:
        UsageError: for every mistake that the user can correct, such as a `workdir` in use, or with
            a run of another config or on other data.
    """
    with logfile.kept() as keep:
        given = config
        configuration.check(given)
        config = complete(given)
        workdir = expanded(workdir)
        planned = stages.plan(config, workdir)
        with folder.held(workdir):
            folder.check_config(workdir, config, given)
            return _train_and_evaluate(config, planned, workdir, keep)


def _train_and_evaluate(
    config: ConfigDict, planned: list[Stage], workdir: Path, keep: Callable[[Path], None]
) -> Outcome:
    """Trains and evaluates in a folder that is held; `keep` starts the log there."""
    splits = distributed.in_turn(lambda: data.load(config.data))
    splits, drawn = open_classes.take_out(splits, config.noise)
    record, train, validation, rows = prepare.prepare(splits, config, drawn)
    splits, train, validation, rows = corrections.correct(
        config.data.corrections, splits, train, validation, rows
    )
    stages.check_data(planned, train)
    classes = config.classes or len(train.class_names)
    weights = stages.weights_to_start(planned, classes, train)
    describe = lambda: trained_on.describe(config, splits, record, rows)
    content = distributed.by_the_first(describe) or {}
    # After all checks of the data: a config that is refused must leave the folder as it was.
    folder.claim(workdir, config, content, splits, record, rows)
    if distributed.first():
        keep(workdir)
    known = introduce.what_is_known(config, record, splits.train, train, validation, splits.test)
    levels = evaluate.levels(config, splits.test)
    missing = levels["not_measured"]
    introduce.introduce(planned[-1].config, train, validation, splits.test, record, known, missing)

    trained = train_stages(planned, classes, train, validation, splits.test, weights)
    alive = np.asarray(trained.fit.last.alive)
    result = {
        "method": config.method.name,
        "data": dict(splits.train.provenance),
        "trained_on": content,
        "sizes": {
            "train": len(train),
            "validation": 0 if validation is None else len(validation),
            "test": len(splits.test),
        },
        "labels": config.labels,
        "classes": trained.classes,
        "noise": record.summary(),
        **known,
        "members": len(alive),
        "members_dropped": np.flatnonzero(~alive).tolist(),
        "seed": config.seed,
        "epochs": config.train.epochs,
        "best_epoch": trained.fit.best_epoch,
        "scores": trained.scores | levels,
        "training_seconds": round(trained.seconds, 1),
        "peak_memory_bytes": _peak_memory(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
        "mesh": dict(planned[-1].mesh.shape),
        "versions": {"jaxcmr": __version__} | {name: version(name) for name in LIBRARIES},
    }
    if distributed.first():
        if trained.labels is not None:
            labels.save(trained.labels, workdir)
        files.write_json(workdir / "result.json", result)
    return Outcome(result, splits.test, trained.embeddings, trained.labels)


def train_stages(
    planned: list[Stage],
    classes: int,
    train: Dataset,
    validation: Dataset | None,
    test: Dataset,
    weights: dict[str, Weights],
) -> Trained:
    """Trains all stages in their order, or goes on where they were stopped.

    Then it writes the embeddings of all rows into the folder of the last one.

    Args:
        planned: the stages.
        classes: K; below 0: estimated before the first stage that has classes.
        train: the training set, labels as given.
        validation: on which the last stage chooses its best epoch.
        test: the test set.
        weights: stage -> the weights of another run that it starts from.
    """
    *_, last = planned
    weights, scores, seconds, outputs = dict(weights), {}, 0.0, None
    sets = {"train": train, "validation": validation, "test": test}
    sets = {name: part for name, part in sets.items() if part is not None}
    for stage in planned:
        config = stage.config
        if classes < 0 and methods.recipe(config.method.name).has_classes:
            classes = stages.estimate_classes(outputs, train)
        if len(planned) > 1:
            logging.info(
                "stage %s: method %s, %d epochs",
                stage.name, config.method.name, config.train.epochs,
            )  # fmt: skip
        trainer = Trainer(stage, classes, train, validation if stage is last else None)
        predict = trainer.predictor(test)
        score = evaluate.build_test(test, config, trainer.mesh)
        if stage is last:
            untrained, _ = score(predict(trainer.untrained))
        fit = trainer.fit(weights.get(stage.name) or weights.get(config.start_from))
        seconds += fit.seconds
        if stage is last:
            break
        scores[stage.name], _ = score(predict(fit.last))
        weights[stage.name] = Weights(fit.last.params, fit.last.model_state, fit.last.alive)
        outputs = trainer.predict(fit.last)
        if config.pseudo_labels:
            labels = stages.pseudo_labels(outputs, config.pseudo_labels, train)
            train = train.with_labels(labels)
    outputs = predict(fit.best)
    best, joined = score(outputs)
    believed = look_at_all(trainer, fit.best, sets, outputs, planned, classes)
    last_scores, _ = score(predict(fit.last))
    found = {"best": best, "last": last_scores, "untrained": untrained, "stages": scores}
    return Trained(fit, classes, found, joined, believed, seconds)


def look_at_all(
    trainer: Trainer,
    state: TrainState,
    sets: Mapping[str, Dataset],
    of_test: Outputs,
    planned: list[Stage],
    classes: int,
) -> LabelTable | None:
    """Passes over all rows once: writes their embeddings, and judges their labels, if any.

    Args:
        trainer: of the last stage.
        state: whose living members are asked.
        sets: "train", "validation" if there is one, and "test" -> the data set, labels as given.
        of_test: their outputs of the test set.
        planned: all stages.
        classes: K.
    """
    config, folder = trainer.config, planned[-1].folder
    passes = {**trainer.pieces(state), "test": [of_test]}
    judged = [name for name in sets if name != "test" or config.audit.test]
    writer = embeddings.written(folder, sets)
    with writer if distributed.first() else nullcontext(lambda rows: None) as record:
        pieces = {name: evaluate.recorded(passes[name], sets[name], name, record) for name in sets}
        chained = lambda names: itertools.chain.from_iterable(pieces[name] for name in names)
        table = None
        if config.labels == "given" or methods.recipe(config.method.name).has_classes:
            taught, parts = stages.taught_before(planned), {name: sets[name] for name in judged}
            table = judging.believe(trainer, state, chained(judged), parts, classes, taught)
        collections.deque(chained(sets), maxlen=0)  # the sets that are not judged
    return table


def _peak_memory() -> int:
    """Returns the largest resident size that this process has had, in bytes."""
    with suppress(OSError, StopIteration):  # elsewhere than on Linux
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    # This may be the peak of a larger process that has started this one.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
