"""Checkpoints: `last` to go on from, `best` to serve, both written by orbax in the background.

All processes write their parts, and any mesh can read them. Each checkpoint carries a fingerprint
of its bits: one that was cut short, or changed on the disk, is not used, but the one before it.
"""

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils

from jaxcmr import distributed
from jaxcmr.errors import UsageError
from jaxcmr.train import devices
from jaxcmr.train.state import TrainState
from jaxcmr.workdir import series
from jaxcmr.workdir.fingerprint import fingerprint
from jaxcmr.workdir.series import Series


class Checkpoints:
    """The checkpoints of one stage, a context manager around its loop.

    Leaving the context waits for the writes under way: without that, the last one would be lost.
    Each checkpoint holds the state and a JSON record (what the loop needs to go on), and the
    two newest of each kind are kept.

    Args:
        folder: where `last/` and `best/` are kept.

    Raises:
        UsageError: from every method, if a disk is full or does not let us write.
    """

    def __init__(self, folder: Path):
        self._folder, self._opened = folder, ExitStack()

    def __enter__(self) -> "Checkpoints":
        with ExitStack() as opened:
            self._last, self._best = (
                opened.enter_context(series.opened(self._folder / name))
                for name in ("last", "best")
            )
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def save_last(self, state: TrainState, record: dict[str, Any]) -> None:
        """Writes the state to go on from; a `best` under way is finished first.

        The record may name the best step, so `best` must never lag behind `last`.
        """
        with series.writing(self._best.folder):
            self._best.manager.wait_until_finished()
        _save(self._last, state, record)

    def save_best(self, state: TrainState, record: dict[str, Any]) -> None:
        """Writes the state with the best validation score so far."""
        _save(self._best, state, record)

    def restore_last(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest whole state and its record, or None if nothing was ever saved.

        A `best` of a later step, from before a crash, is removed: the steps come again, and may
        leave something else if the run has been given more epochs since.

        Raises:
            UsageError: if the state is another than `like`, which gives structure, shapes, dtypes
                and layout; or if no checkpoint can be read.
        """
        found = _restore(self._last, like)
        best = list(self._best.manager.all_steps())
        if found is None and best:
            raise UsageError(
                f"there is no checkpoint in {self._last.folder} to go on from, but one in "
                f"{self._best.folder}; put back a copy, or remove both to start afresh"
            )
        for step in best:
            if step > int(found[0].step):
                with series.writing(self._best.folder):
                    self._best.manager.delete(step)
        return found

    def restore_best(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the best state and its record, or None if there is none."""
        return _restore(self._best, like)


def _save(kind: Series, state: TrainState, record: dict[str, Any]) -> None:
    step, manager = int(state.step), kind.manager
    with series.writing(kind.folder):
        manager.wait_until_finished()
        if step in manager.all_steps():  # from before a crash; the same step has the same content
            return
        content = storable(state)
        marked = {"record": record, "fingerprint": np.asarray(fingerprint(content)).tolist()}
        manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(content),
                record=ocp.args.JsonSave(marked | {"seal": _seal(marked)}),
            ),
        )


def _restore(kind: Series, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
    folder, manager = kind
    with series.writing(folder):
        manager.wait_until_finished()
    steps = sorted(manager.all_steps(), reverse=True)
    for step in steps:
        found, problem = None, ""
        try:
            found = _read(kind, step, like)
        except UsageError:
            raise
        except Exception as error:  # whatever a decoder may raise on damaged bytes
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        if _all_agree(found is not None):
            return found
        logging.warning(
            "the checkpoint %s/%d is damaged (%s); it is moved to %s, and the one before is used",
            folder,
            step,
            problem or "in another process",
            _put_aside(kind, step),
        )
    if steps:
        raise UsageError(
            f"no checkpoint in {folder} can be read; put back a copy, or remove the "
            "folder to start afresh"
        )
    return None


def _read(kind: Series, step: int, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """Reads one checkpoint; raises a `UsageError` if it is whole but of another state."""
    manager, ours = kind.manager, jax.tree.map(ocp.utils.to_shape_dtype_struct, storable(like))
    record = ocp.args.Composite(record=ocp.args.JsonRestore())
    marked = manager.restore(step, args=record)["record"]
    if marked.pop("seal") != _seal(marked):
        raise ValueError("its record is not what was written")
    stored = _by_name(manager.item_metadata(step)["state"])
    if not stored:
        raise ValueError("its description cannot be read")
    _check_fit(kind.folder / str(step), stored, _by_name(ours))
    content = ocp.args.Composite(state=ocp.args.StandardRestore(ours))
    state = manager.restore(step, args=content)["state"]
    if np.asarray(fingerprint(state)).tolist() != marked["fingerprint"]:
        raise ValueError("its content is not what was written")
    key = jax.random.wrap_key_data(state.key, impl=jax.random.key_impl(like.key))
    layout = jax.tree.map(lambda leaf: leaf.sharding, like)
    return devices.put(state.replace(key=key), layout), marked["record"]


def _check_fit(checkpoint: Path, stored: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raises a `UsageError` that names the first leaf of another shape or type."""
    in_words = lambda leaf: f"{leaf[1]}{list(leaf[0])}" if leaf else "absent"
    for name in sorted(stored.keys() | ours.keys()):
        there, here = stored.get(name), ours.get(name)
        if there != here:
            raise UsageError(
                f"the checkpoint {checkpoint} does not fit this configuration: {name} is "
                f"{in_words(there)} there and {in_words(here)} here; choose another --workdir"
            )


def _by_name(tree: Any) -> dict[str, Any]:
    """Returns (shape, dtype) of each leaf."""
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator=".")
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name(path): (tuple(leaf.shape), leaf.dtype) for path, leaf in leaves}


def _seal(found: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def storable(state: TrainState) -> TrainState:
    """Replaces the typed key by its numbers."""
    return state.replace(key=jax.random.key_data(state.key))


def _put_aside(kind: Series, step: int) -> Path:
    """Moves a damaged checkpoint out of the series; returns its new place."""
    folder = kind.folder
    place = folder.parent / "damaged" / f"{folder.name}-{step}"
    if distributed.first():
        place.parent.mkdir(exist_ok=True)
        while place.exists():
            place = place.with_name(place.name + "-again")
        (folder / str(step)).rename(place)
    distributed.wait_for_all(f"{folder.name}-{step}")
    kind.manager.reload()
    return place


def _all_agree(fine: bool) -> bool:
    """Returns whether something succeeded in every process."""
    if jax.process_count() == 1:
        return fine
    return bool(np.all(multihost_utils.process_allgather(np.array(fine))))
