"""The callable behind the main command: from a config to results in a folder."""

import json
import resource
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr import config as configuration
from jaxcmr import data, methods
from jaxcmr.train import distributed, evaluate, introduce, noisy, series, stages, survivors
from jaxcmr.train import embeddings as saved
from jaxcmr.train.complete import complete
from jaxcmr.train.state import TrainState, members_of
from jaxcmr.types import Dataset, UsageError


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


def train_and_evaluate(config: ConfigDict, workdir: Path) -> Outcome:
    """Trains and evaluates a config; the same call again goes on where it was stopped.

    Writes `config.json`, `noise.npz`, `split.npz`, `metrics.jsonl`, `checkpoints/`, `embeddings/`
    and `result.json` into `workdir`.

    Raises:
        UsageError: for everything that the user can mend.
    """
    configuration.check(config)
    config = complete(config)
    stages.check(config)
    splits = distributed.in_turn(lambda: data.load(config.data))
    record, train, validation, rows = noisy.prepare(splits, config)
    stages.check_data(config, train)
    _claim(workdir, config)  # not before: a mistake must not take the folder
    series.try_out(workdir)
    known = introduce.what_is_known(config, record, splits.train, train, validation, splits.test)
    introduce.introduce(config, train, validation, splits.test, record, known)
    if distributed.first():
        record.save(workdir / "noise.npz")
        np.savez_compressed(workdir / "split.npz", **rows)

    prepared = stages.run(config, train, workdir)
    own = survivors.with_members(config, len(prepared.members))
    score, untrained = _scorer(own, prepared.num_classes, splits.test), {}
    fitted, kept = survivors.fit(
        own,
        prepared.num_classes,
        prepared.train,
        validation,
        workdir,
        on_start=lambda state: untrained.update(score(state)[0]),
        initialize=partial(stages.continued, before=prepared.state if config.continues else None),
    )
    best, embeddings = score(fitted.best)
    last, _ = score(fitted.last)
    trained = [prepared.members[place] for place in kept]
    result = {
        "method": config.method.name,
        "data": dict(splits.train.provenance),
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
        _write_json(workdir / "result.json", result)
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


def _claim(workdir: Path, config: ConfigDict) -> None:
    """Writes `config.json`, or checks that the folder belongs to the same config.

    The mesh may be another one: a run goes on on any devices.
    """
    path = workdir / "config.json"
    ours = json.loads(json.dumps(config.to_dict()))
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        found = json.loads(path.read_text()) if path.exists() else ours
    except (OSError, json.JSONDecodeError) as error:
        raise UsageError(f"the folder {workdir} cannot be used: {error}") from error
    was, now = (_flat({**fields, "mesh": {}}) for fields in (found, ours))
    for field in sorted(was.keys() | now.keys()):
        if was.get(field, "absent") != now.get(field, "absent"):
            raise UsageError(
                f"{workdir} holds a run of another config: config.{field} was "
                f"{was.get(field, 'absent')!r} and is {now.get(field, 'absent')!r}; "
                "choose another --workdir or remove the folder"
            )
    if distributed.first():
        _write_json(path, ours)
    distributed.wait_for_all("config.json")
    if not path.exists():
        raise UsageError(
            f"process {jax.process_index()} does not see {path}, which process 0 has written; "
            "--workdir must be on a file system that all hosts share"
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= _flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves


def _write_json(path: Path, content: Any) -> None:
    """Writes a file that appears whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def _peak_memory() -> int:
    """Returns the largest resident size that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
