"""Several processes as one run: how they find each other, who writes, and when all stop.

JAX's own runtime does the work; every process runs the same program.
"""

import importlib.util
import itertools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from jaxcmr.errors import UsageError

T = TypeVar("T")

SENTENCE = 4096  # bytes of an error that process 0 sends to the others

_CALLS = itertools.count(1)  # how often processes have agreed on whether to stop


def start(coordinator_address: str = "", num_processes: int = 0, process_id: int = -1) -> None:
    """Joins the other processes of the run, if there are any; comes before any other call of JAX.

    Explicit values win. Without them JAX reads those of a TPU pod, a SLURM step or Open MPI;
    anywhere else the run has one process.

    Args:
        coordinator_address: `host:port` of process 0, as all processes reach it.
        num_processes: how many there are.
        process_id: which of them this is, from 0.

    Raises:
        UsageError: only some of the values are given, or the others cannot be reached.
    """
    given = (coordinator_address != "", num_processes > 0, process_id >= 0)
    if any(given) and not all(given):
        raise UsageError(
            "--coordinator_address, --num_processes and --process_id belong together; "
            "give all three or none"
        )
    if not any(given) and not _in_a_cluster():
        return
    if all(given) and process_id >= num_processes:
        raise UsageError(
            f"--process_id is {process_id}, but with --num_processes={num_processes} it must be "
            f"at most {num_processes - 1}"
        )
    values = (coordinator_address, num_processes, process_id) if all(given) else (None,) * 3
    try:
        jax.distributed.initialize(*values)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"the processes of the run do not find each other: {error}") from error
    logging.info(
        "process %d of %d, on %s, pid %d, with %d of %d devices",
        jax.process_index(),
        jax.process_count(),
        socket.gethostname(),
        os.getpid(),
        jax.local_device_count(),
        jax.device_count(),
    )


def _in_a_cluster() -> bool:
    """Returns, by the environment, whether JAX will find this process to be one of several.

    Checked first because JAX fails where it finds none.
    """
    present = lambda *names: all(name in os.environ for name in names)
    several = lambda name: int(os.environ.get(name) or 1) > 1
    return (
        (present("SLURM_STEP_NODELIST", "SLURM_PROCID") and several("SLURM_NTASKS"))
        or several("OMPI_COMM_WORLD_SIZE")
        or present("JAX_COORDINATOR_ADDRESS")
        or (_has_tpu() and (_worker_names() or not present("TPU_SKIP_MDS_QUERY")))
    )


def _has_tpu() -> bool:
    """Returns whether this machine has TPU chips, and the library that drives them."""
    chips = Path("/dev/accel0").exists() or Path("/dev/vfio/0").exists()
    return chips and importlib.util.find_spec("libtpu") is not None


def _worker_names() -> bool:
    """Returns whether Kubernetes has named the workers of a TPU slice."""
    return "TPU_WORKER_HOSTNAMES" in os.environ or "TPU_PROCESS_ADDRESSES" in os.environ


def several() -> bool:
    """Returns whether the run has more than one process."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def first() -> bool:
    """Returns whether this is process 0: the one that writes files and logs."""
    return jax.process_index() == 0


def wait_for_all(place: str) -> None:
    """Waits until every process has come to this place."""
    if several():
        multihost_utils.sync_global_devices(place)


def in_turn(work: Callable[[], T]) -> T:
    """Returns `work()`, run by process 0 first: the others then find its files on the disk."""
    if first():
        found = work()
        wait_for_all("the first is done")
        return found
    wait_for_all("the first is done")
    return work()


def by_the_first(work: Callable[[], T]) -> T | None:
    """Returns `work()`, run only by process 0; None in the others.

    A `UsageError` of it is raised in every process.
    """
    sentence, found = "", None
    if first():
        try:
            found = work()
        except UsageError as error:
            sentence = str(error)
    if several():
        text = np.frombuffer(sentence.encode(errors="replace")[:SENTENCE].ljust(SENTENCE), np.uint8)
        text = multihost_utils.broadcast_one_to_all(text).tobytes()
        sentence = text.decode(errors="ignore").rstrip()
    if sentence:
        raise UsageError(sentence)
    return found


@contextmanager
def stopping() -> Iterator[Callable[[], int]]:
    """Yields a function that returns, between two calls of the step, whether to save and stop.

    It returns the number of the signal that asks for it, SIGTERM or SIGINT (Ctrl-C), or 0. With
    several processes it does so at the same call in all of them after a signal to any. All
    processes must call it equally often.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are the main one's
        yield lambda: _reached() if several() else 0
        return
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        received.append(number)

    def pass_on(number: int, frame: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    # JAX itself waits for a SIGTERM to one of several processes, and informs the others.
    handlers = (
        {signal.SIGINT: pass_on} if several() else {signal.SIGTERM: note, signal.SIGINT: note}
    )
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield _reached if several() else (lambda: received[0] if received else 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reached() -> int:
    """Returns SIGTERM if all processes are to stop at this call, else 0."""
    return signal.SIGTERM if multihost_utils.reached_preemption_sync_point(next(_CALLS)) else 0
