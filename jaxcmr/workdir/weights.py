"""The weights of a run, as another one starts from them (`start_from`)."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxcmr import methods
from jaxcmr.errors import UsageError, reading, reason
from jaxcmr.storage import paths
from jaxcmr.workdir import fingerprint, missing

BEST, LAST = ("best", "last"), ("last",)  # kinds of checkpoints; a run that chose none has no best


class Weights(NamedTuple):
    """What one training leaves to another: fields of its last `TrainState`."""

    params: Any
    model_state: Any
    alive: Any


def read(folder: Path, field: str) -> Weights:
    """Reads the weights of the best epoch of the run in `folder`; without one, of its last.

    The folder is only read: its run may be at work.

    Args:
        folder: of the run.
        field: the config's field that names it, for sentences.

    Raises:
        UsageError: there is no run, or its newest checkpoint is damaged.
    """
    found = newest(folder, BEST)
    if found is None:
        raise UsageError(
            f"config.{field} is {str(folder)!r}, but there is no checkpoint of a run; name the "
            "folder of one, or an earlier stage"
        )
    return restore(found, f"correct config.{field}")


def newest(folder: Path, kinds: Sequence[str]) -> Path | None:
    """Returns the newest checkpoint of the first of these kinds of which a run has one."""
    series = (steps_in(folder / "checkpoints" / kind) for kind in kinds)
    found = next((steps for steps in series if steps), [])
    return max(found, key=lambda path: int(path.name), default=None)


def trained_further(folder: Path) -> bool:
    """Tells whether a finished run has other weights by now than when it wrote its results.

    With more epochs a run goes on, and its results are those of before until it ends.

    Raises:
        UsageError: it is not finished, or its result or newest checkpoint is damaged.
    """
    found = newest(folder, BEST)
    if found is None:
        return False
    result = folder / "result.json"
    if not result.is_file():
        raise UsageError(missing.why(folder, result.name))
    with reading(result, "start the command of the run again, which writes it without training"):
        epoch = json.loads(result.read_bytes())["best_epoch"]
    with reading(found, "put back a copy"), paths.plain(found) as place:
        record = ocp.JsonCheckpointHandler().restore(place / "record")["record"]
        if found.parent.name == "best":
            return record["best_epoch"] != epoch
        return record["epoch"] != epoch or bool(record.get("terms"))  # within an epoch


def restore(checkpoint: Path, advice: str) -> Weights:
    """Reads the weights of a checkpoint, and no more of it.

    Args:
        checkpoint: its folder.
        advice: what to do if it is damaged, for the sentence that says so.

    Raises:
        UsageError: it is damaged.
    """
    try:
        with paths.plain(checkpoint) as place:
            state = _restore(place / "state")
            record = ocp.JsonCheckpointHandler().restore(place / "record")
        marks = Counter(fingerprint.on_host(state))
        if marks - Counter(record["fingerprint"]):
            raise ValueError("its content is not what was written")
        return Weights(**state)
    except Exception as error:  # whatever a decoder may raise on damaged bytes
        raise UsageError(
            f"the checkpoint {checkpoint} cannot be read ({reason(error)}); {advice}"
        ) from error


def steps_in(folder: Path) -> list[Path]:
    """Returns the checkpoints in the folder of one kind."""
    return [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []


def _restore(place: Path) -> dict[str, Any]:
    """Reads the weights of a state as numpy arrays, wherever it was written."""
    reader = ocp.PyTreeCheckpointHandler()
    tree = reader.metadata(place).tree
    weights = {name: tree[name] for name in Weights._fields}
    kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), weights)
    part = ocp.args.PyTreeRestore(item=weights, restore_args=kinds, partial_restore=True)
    return reader.restore(place, args=part)


def used_labels(folder: Path) -> bool:
    """Says whether the run, or the stage of one, in `folder` may have been taught given labels.

    Weights remember: a stage before it may have been taught them, too, and so may another run that
    one of them starts from. Where its config cannot be read, it may.
    """
    within = folder.parent.name == "stages"
    try:
        config = json.loads(
            ((folder.parents[1] if within else folder) / "config.json").read_bytes()
        )
        names = list(config["stages"])
        parts = {**config["stage"], names[-1]: config}
        before = names[: names.index(folder.name) + 1] if within else names
        uses = [methods.recipe(parts[name]["method"]["name"]).uses_labels for name in before]
        starts = {parts[name].get("start_from", "") for name in before} - {"", *names}
        return bool(starts) or (config["labels"] == "given" and any(uses))
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return True
