"""Checkpoints: `last` to go on from, `best` to serve, both written by orbax in the background.

All processes write their parts, and any mesh can read them. Each checkpoint carries a fingerprint
of its bits: what was cut short, or changed on the disk, is noticed, and the one before is used.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils

from jaxcmr import distributed
from jaxcmr.train import stored
from jaxcmr.train.state import TrainState
from jaxcmr.types import UsageError
from jaxcmr.workdir import series
from jaxcmr.workdir.series import Series


class Checkpoints:
    """The checkpoints of one run, a context manager around its loop.

    Leaving the context waits for the writes under way: without that, the last one would be lost.
    Each checkpoint holds the state and a JSON record (what the loop must know to go on), and the
    two newest of each kind are kept.

    Args:
        folder: where `last/` and `best/` are kept.
        members: the numbers of the members in training; others, in a checkpoint from before they
            were dropped, are left out as it is read.

    Raises:
        UsageError: from every method, if a disk is full or does not let us write.
    """

    def __init__(self, folder: Path, members: Sequence[int]):
        self._folder, self._members = folder, tuple(members)
        self._opened = ExitStack()

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
        _save(self._last, state, record, self._members)

    def save_best(self, state: TrainState, record: dict[str, Any]) -> None:
        """Writes the state with the best validation score so far."""
        _save(self._best, state, record, self._members)

    def restore_last(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest whole state and its record, or None if nothing was ever saved.

        A `best` of a later step, from before a crash, is removed: the steps come again, and may
        leave something else if the run has been given more epochs since.

        Raises:
            UsageError: if the state is another than `like`, which gives structure, shapes, dtypes
                and layout; or if no checkpoint can be read.
        """
        found = _restore(self._last, like, self._members)
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
        return _restore(self._best, like, self._members)


def _save(
    kind: Series,
    state: TrainState,
    record: dict[str, Any],
    members: tuple[int, ...],
) -> None:
    step, manager = int(state.step), kind.manager
    with series.writing(kind.folder):
        manager.wait_until_finished()
        if step in manager.all_steps():  # from before a crash; the same step has the same content
            return
        content = stored.storable(state)
        marked = stored.sealed(record, members, content)
        manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(content), record=ocp.args.JsonSave(marked)
            ),
        )


def _restore(kind: Series, like: TrainState, members: tuple[int, ...]):
    folder, manager = kind
    with series.writing(folder):
        manager.wait_until_finished()
    steps = sorted(manager.all_steps(), reverse=True)
    for step in steps:
        found, problem = None, ""
        try:
            found = stored.read(manager, step, like, members, folder)
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


def members_of_last(folder: Path, members: int) -> tuple[int, ...]:
    """Returns the numbers of the members in the newest checkpoint, all of them if there is none.

    Args:
        folder: as for `Checkpoints`.
        members: E of the config.
    """
    with series.opened(folder / "last") as last:
        for step in sorted(last.manager.all_steps(), reverse=True):
            try:
                return tuple(stored.read_record(last.manager, step)["members"])
            except Exception:  # damaged, as `restore_last` says
                continue
    return tuple(range(members))


def _put_aside(kind: Series, step: int) -> Path:
    """Moves a checkpoint to where it is neither read nor in the way; returns the place."""
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
    """Tells whether something went well in every process."""
    if jax.process_count() == 1:
        return fine
    return bool(np.all(multihost_utils.process_allgather(np.array(fine))))
