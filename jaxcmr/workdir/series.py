"""A folder of checkpoints of one kind, of any name; errors of the disk are sentences."""

import hashlib
import os
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxcmr import distributed
from jaxcmr.errors import UsageError
from jaxcmr.storage import files, paths


class Series(NamedTuple):
    """The checkpoints of one kind: the folder as the user names it, and orbax's manager of it."""

    folder: Path
    manager: ocp.CheckpointManager


@contextmanager
def opened(folder: Path) -> Iterator[Series]:
    """Opens the checkpoints in `folder`, and waits in the end for the writes under way.

    An error of these writes is raised, unless there was another error before.
    """
    if distributed.first():
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    distributed.wait_for_all(f"{folder!a}")
    # The processes wait for each other while they write. Without a prefix, the barriers of `last`,
    # in its thread, are taken for those of `best`, in this one, and both wait forever. With
    # `active_processes` the barriers are at the coordinator, not a collective on the devices.
    together = ocp.options.MultiprocessingOptions(
        active_processes=set(range(jax.process_count())),
        barrier_sync_key_prefix=hashlib.sha256(os.fsencode(folder.resolve())).hexdigest(),
    )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=2, create=False, multiprocessing_options=together
    )
    handlers = {
        "state": ocp.StandardCheckpointHandler(multiprocessing_options=together),
        "record": ocp.JsonCheckpointHandler(multiprocessing_options=together),
    }
    with paths.plain(folder) as place:
        with writing(folder):
            manager = ocp.CheckpointManager(place, item_handlers=handlers, options=options)
        try:
            yield Series(folder, manager)
        except BaseException:
            with suppress(UsageError), writing(folder):
                manager.close()
            raise
        with writing(folder):
            manager.close()


def try_out(folder: Path) -> None:
    """Writes a small checkpoint into `folder` and reads it back.

    A run does so before it trains.

    Raises:
        UsageError: either fails.
    """
    trial, content = folder / ".trial", {"numbers": np.arange(8)}
    items = ocp.args.Composite(state=ocp.args.StandardSave(content), record=ocp.args.JsonSave({}))
    wanted = ocp.args.Composite(state=ocp.args.StandardRestore(content))
    _remove(trial)  # what a killed run has left
    try:
        with opened(trial) as series:
            with writing(trial):
                series.manager.save(0, args=items)
                series.manager.wait_until_finished()
            found = series.manager.restore(0, args=wanted)["state"]
            distributed.wait_for_all("the trial is read")
        if not np.array_equal(found["numbers"], content["numbers"]):
            raise ValueError("other numbers come back")
    except UsageError:
        raise
    except Exception as error:  # whatever a decoder may raise
        raise UsageError(
            f"a checkpoint that was written to {folder} cannot be read back ({shortened(error)}); "
            "choose another --workdir"
        ) from error
    finally:
        _remove(trial)


def _remove(folder: Path) -> None:
    if distributed.first():
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns an error of the disk, in this write or an earlier one, into a `UsageError`."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        full = _full(error)
        advice = "make room there" if full else "choose a folder that can be written"
        raise UsageError(
            f"a checkpoint could not be written to {folder}: {full or shortened(error)}; {advice}, "
            "and the same command goes on from the last one that is whole"
        ) from error


def _full(error: Exception) -> str:
    """Returns how a disk is full, by what orbax and its storage report of it; "" if it is not."""
    messages = {code: os.strerror(code) for code in files.FULL}
    found = (
        text
        for code, text in messages.items()
        if getattr(error, "errno", None) == code or text in str(error)
    )
    return next(found, "")


def shortened(error: Exception) -> str:
    """Returns the beginning of an error's message, in one line."""
    return textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
