"""The callable behind the main command: from a config to results in a folder."""

import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr import config as configuration
from jaxcmr import data, distributed, methods
from jaxcmr.data import prepare
from jaxcmr.data.own.complete import complete
from jaxcmr.storage import files
from jaxcmr.storage.paths import expanded
from jaxcmr.train import earlier, evaluate, introduce, stages, survivors
from jaxcmr.train.state import TrainState, members_of
from jaxcmr.types import Dataset
from jaxcmr.workdir import embeddings as saved
from jaxcmr.workdir import folder, logfile, trained_on


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
        result: the content of `result.json`.
        test: the test set.
        embeddings: modality -> `[N, E d]` unit rows of the test set, by the best epoch's members.
    """

    result: dict[str, Any]
    test: Dataset
    embeddings: dict[str, np.ndarray]


def train_and_evaluate(config: ConfigDict, workdir: str | os.PathLike) -> Outcome:
    """Trains and evaluates a config; the same call again goes on where it was stopped.

    Writes `config.json`, `trained_on.json`, `noise.npz`, `split.npz`, `log.txt`, `metrics.jsonl`,
    `checkpoints/`, `embeddings/` and `result.json` into `workdir`. With more epochs in the config a
    finished run goes on.

    Raises:
        UsageError: for everything that the user can mend: also for a `workdir` in use, or with a
            run of another config or on other data.
    """
    with logfile.kept() as keep:
        given = config
        configuration.check(given)
        config = complete(given)
        stages.check(config)
        workdir = expanded(workdir)
        with folder.held(workdir):
            folder.check_config(workdir, config, given)
            return _train_and_evaluate(config, workdir, keep)


def _train_and_evaluate(config: ConfigDict, workdir: Path, keep: Callable[[Path], None]) -> Outcome:
    """Does so in a folder that is ours; `keep` is told where the log goes."""
    splits = distributed.in_turn(lambda: data.load(config.data))
    record, train, validation, rows = prepare.prepare(splits, config)
    stages.check_data(config, train)
    weights = earlier.for_start(config, *stages.first(config, workdir), train)
    content: dict[str, Any] = {}
    describe = lambda: content.update(trained_on.describe(config, splits, record, rows))
    distributed.by_the_first(describe)
    # Not before: a mistake must not take the folder.
    folder.claim(workdir, config, content, splits, record, rows)
    if distributed.first():
        keep(workdir)
    known = introduce.what_is_known(config, record, splits.train, train, validation, splits.test)
    introduce.introduce(config, train, validation, splits.test, record, known)

    prepared = stages.run(config, train, workdir, weights)
    own = survivors.with_members(config, len(prepared.members))
    score, untrained = _scorer(own, prepared.num_classes, splits.test), {}
    fitted, kept = survivors.fit(
        own,
        prepared.num_classes,
        prepared.train,
        validation,
        workdir,
        on_start=lambda state: untrained.update(score(state)[0]),
        initialize=partial(stages.continued, before=prepared.start),
    )
    best, embeddings = score(fitted.best)
    last, _ = score(fitted.last)
    trained = [prepared.members[place] for place in kept]
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
        "classes": prepared.num_classes,
        "noise": record.summary(),
        **known,
        "members": config.ensemble.members,
        "members_dropped": [m for m in range(config.ensemble.members) if m not in trained],
        "seed": config.seed,
        "epochs": config.train.epochs,
        "best_epoch": fitted.best_epoch,
        "scores": {
            "best": best,
            "last": last,
            "untrained": untrained,
            "stages": {
                name: evaluate.build_test(methods.build(own, classes), splits.test, own)(state)[0]
                for name, (own, classes, state) in prepared.states.items()
            },
            **evaluate.levels(config, splits.test),
        },
        "training_seconds": round(prepared.seconds + fitted.seconds, 1),
        "peak_memory_bytes": _peak_memory(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
        "mesh": dict(fitted.last.step.sharding.mesh.shape),
        "versions": {name: version(name) for name in ("jaxcmr", "jax", "flax", "optax")},
    }
    if distributed.first():
        saved.save(workdir / "embeddings", splits.test, embeddings)
        files.write_json(workdir / "result.json", result)
    return Outcome(result, splits.test, embeddings)


def _scorer(config: ConfigDict, num_classes: int, test: Dataset):
    """Returns `evaluate.build_test` of states with any number of members left."""
    built = {}

    def score(state: TrainState):
        members = members_of(state)
        if members not in built:
            own = survivors.with_members(config, members)
            built[members] = evaluate.build_test(methods.build(own, num_classes), test, own)
        return built[members](state)

    return score


def _peak_memory() -> int:
    """Returns the largest resident size that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
