"""Checkpoints: `last` to go on from, `best` to serve, both written by orbax in the background."""

from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxcmr.train.state import TrainState
from jaxcmr.types import UsageError


class Checkpoints:
    """The checkpoints of one run, a context manager around its loop.

    Leaving the context waits for the writes under way: without that, the last one would be lost.
    Each checkpoint holds the state and a JSON record (what the loop must know to go on).

    Args:
        folder: where `last/` and `best/` are kept.
    """

    def __init__(self, folder: Path):
        self._last = _manager(folder / "last", keep=2)
        self._best = _manager(folder / "best", keep=1)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._last.close()
        self._best.close()

    def save_last(self, state: TrainState, record: dict[str, Any]) -> None:
        """Writes the state to go on from; a `best` under way is finished first.

        The record may name the best step, so `best` must never lag behind `last`.
        """
        self._best.wait_until_finished()
        _save(self._last, state, record)

    def save_best(self, state: TrainState, record: dict[str, Any]) -> None:
        """Writes the state with the best validation score so far."""
        _save(self._best, state, record)

    def restore_last(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest state and its record, or None if there is none.

        `like` gives structure, shapes, dtypes and shardings; raises `UsageError` if they differ.
        """
        return _restore(self._last, like)

    def restore_best(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the best state and its record, or None if there is none."""
        return _restore(self._best, like)


def _manager(folder: Path, keep: int) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
    return ocp.CheckpointManager(folder.resolve(), options=options)


def _save(manager: ocp.CheckpointManager, state: TrainState, record: dict[str, Any]) -> None:
    step = int(state.step)
    if step in manager.all_steps():  # written before a crash; the same step has the same content
        return
    manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(_storable(state)), record=ocp.args.JsonSave(record)
        ),
    )


def _restore(manager: ocp.CheckpointManager, like: TrainState):
    manager.wait_until_finished()
    step = manager.latest_step()
    if step is None:
        return None
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, _storable(like))
    try:
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(target), record=ocp.args.JsonRestore()
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"the checkpoint {manager.directory}/{step} does not fit this configuration; "
            f"choose another --workdir ({str(error).splitlines()[0]})"
        ) from error
    state = restored["state"]
    key = jax.random.wrap_key_data(state.key, impl=jax.random.key_impl(like.key))
    return state.replace(key=key), restored["record"]


def _storable(state: TrainState) -> TrainState:
    """Turns the typed key into the numbers that it is made of."""
    return state.replace(key=jax.random.key_data(state.key))
