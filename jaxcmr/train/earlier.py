"""Another run's weights, for a run that starts from them (`config.start_from`)."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import methods
from jaxcmr.errors import reason
from jaxcmr.storage import paths
from jaxcmr.train import stored
from jaxcmr.types import Dataset, UsageError


class Weights(NamedTuple):
    """What `stages.continued` takes over: trees of `[E, ...]`, as in `TrainState`."""

    params: Any
    model_state: Any


def for_start(
    config: ConfigDict, first: ConfigDict, folder: Path, train: Dataset
) -> Weights | None:
    """Returns the weights of `config.start_from`; None if it names no run, or no longer matters.

    Args:
        config: the run's.
        first: the config of what is trained first.
        folder: and the folder of that: once it has a checkpoint, the run goes on from this.
        train: the training set.

    Raises:
        UsageError: there are no such weights, or nothing of them fits.
    """
    if not config.start_from or _steps(folder / "checkpoints" / "last"):
        return None
    weights = read(paths.expanded(config.start_from))
    check_fit(first, weights, train)
    return weights


def read(folder: Path) -> Weights:
    """Reads the weights of the best epoch of the run in `folder`; without one, of its last.

    The folder is only read: its run may be at work.

    Raises:
        UsageError: there is no run, or its newest checkpoint is damaged.
    """
    kinds = (folder / "checkpoints" / kind for kind in ("best", "last"))
    steps = next((steps for steps in map(_steps, kinds) if steps), [])
    if not steps:
        raise UsageError(
            f"config.start_from is {str(folder)!r}, but there is no checkpoint of a run; name the "
            "folder of one"
        )
    newest = max(steps, key=lambda path: int(path.name))
    try:
        with paths.plain(newest) as place:
            state = _restore(place / "state")
            record = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(place / "record")
        marks = np.asarray(stored.fingerprint(jax.tree.map(jnp.asarray, state)))
        if sorted(marks.tolist()) != sorted(record["fingerprint"]):
            raise ValueError("its content is not what was written")
        return Weights(state["params"], state["model_state"])
    except Exception as error:  # whatever a decoder may raise on damaged bytes
        raise UsageError(
            f"the checkpoint {newest} cannot be read ({reason(error)}); correct config.start_from"
        ) from error


def _steps(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []


def _restore(place: Path) -> dict[str, Any]:
    """Reads a state as numpy arrays, by the names of its parts, wherever it was written."""
    reader = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
    tree = reader.metadata(place).item_metadata.tree
    kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    return reader.restore(place, ocp.args.PyTreeRestore(restore_args=kinds))


def check_fit(config: ConfigDict, weights: Weights, train: Dataset) -> None:
    """Says how much of the weights the first stage takes over.

    Args:
        config: of the stage that starts from them.
        weights: of the earlier run.
        train: the training set; only shapes matter.

    Raises:
        UsageError: nothing of them fits.
    """
    few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
    method = methods.build(config, max(config.classes, len(train.class_names)))
    ours = jax.eval_shape(method.init, jax.random.key(0), few)["params"]
    theirs = {_name(path): leaf.shape for path, leaf in _leaves(weights.params)}
    names = {
        _name(path): theirs.get(_name(path), ())[1:] == leaf.shape for path, leaf in _leaves(ours)
    }
    left = [name for name, fits in names.items() if not fits]
    if len(left) == len(names):
        raise UsageError(
            f"nothing of the weights in config.start_from, {config.start_from!r}, fits this model; "
            "choose the encoders and sizes of that run"
        )
    logging.info(
        "%d of %d arrays of weights are those of %s%s",
        len(names) - len(left),
        len(names),
        config.start_from,
        f"; new: {', '.join(left)}" if left else "",
    )


def _leaves(tree: Any) -> list:
    return jax.tree_util.tree_leaves_with_path(tree)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
