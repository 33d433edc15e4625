"""The environment of a command: memory, disks, devices, logs; each failure is one sentence.

An entry point imports this file, or `command_line.py`, before the package.
"""

import errno
import logging as std_logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import interrupts
from absl import logging
from streams import drop, say

# The package beside this folder, installed or not: another one may have other fields and methods.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from jaxcmr.errors import StoppedError, UsageError
from jaxcmr.storage import paths
from jaxcmr.workdir.logfile import is_ours

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
HERE = str(Path(sys._getframe().f_code.co_filename).parent) + os.sep  # as log records spell it


def prepare() -> None:
    """Sets up the lines of the log, and caches; called before JAX is imported."""
    _drop_lost_writes()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's is not installed here, and no window is shown
    set_up_log()
    os.environ[paths.COMPILED] = paths.compiled_programs()  # "": none are kept
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def guarded(work: Callable[[], int | None]) -> None:
    """Runs `work` and exits with its code; a mistake of the user is one sentence and code 2.

    Output to a reader that has gone away is dropped. A signal ends the command with one
    line, and its code (`interrupts.CODES`).
    """
    try:
        try:
            code = work()
        except SystemExit as done:
            code = done.code
        sys.stdout.flush()
    except UsageError as error:
        mistake(str(error))
    except StoppedError as error:
        say(str(error))
        _leave(interrupts.CODES[error.signal])
    except BrokenPipeError:
        _leave(0)
    except Exception as error:
        sentence = _sentence(error)
        if not sentence:
            raise
        mistake(sentence)
    sys.exit(code)


def mistake(sentence: str) -> NoReturn:
    """Prints the sentence in one line, and ends the command with code 2."""
    say(f"error: {UsageError(sentence)}")  # which keeps only printable characters
    if "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized():
        time.sleep(2.0)  # the others may have met the same mistake, and print it
        os._exit(2)  # an orderly exit would wait minutes for processes that wait for this one
    interrupts.end_children()
    _leave(2)


def _leave(code: int) -> NoReturn:
    """Ends the process; nothing that libraries leave unfinished is printed, or waited for long."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    drop()
    last = threading.Timer(5.0, os._exit, (code,))
    last.daemon = True
    last.start()
    sys.exit(code)


def check_variables() -> None:
    """Finds variables of the environment that JAX cannot start with.

    Raises:
        UsageError: for the first one.
    """
    if os.environ.get("XLA_FLAGS", "").strip():
        _check_xla_flags()
    try:
        import jax  # noqa: F401
    except ValueError as error:
        message = " ".join(str(error).split())
        raise UsageError(f"JAX does not start: {message}; correct or unset it") from None


def check_devices() -> None:
    """Asks JAX for its devices, after other processes of the run were joined.

    Raises:
        UsageError: there are none, or none of those that the environment asks for.
    """
    import jax

    try:
        jax.devices()
    except Exception as error:
        message = " ".join(str(error).split()) or "no such device here"
        variables = [key for key in ("JAX_PLATFORMS", "XLA_FLAGS") if os.environ.get(key)]
        where = " and ".join(f"{key}={os.environ[key]}" for key in variables)
        raise UsageError(
            f"JAX finds no device with {where} ({message}); unset it to take what there is"
            if variables
            else f"JAX finds no device ({message}); JAX_PLATFORMS=cpu takes the processor"
        ) from None


def _check_xla_flags() -> None:
    """Reads XLA_FLAGS in another process, because XLA ends one that has wrong flags."""
    import subprocess

    code = "from jaxlib import xla_client; xla_client.CompileOptions()"
    read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if read.returncode:
        lines = [line for line in read.stderr.splitlines() if line.strip()]
        message = next((line for line in lines if "XLA_FLAGS" in line), "")
        message = message.partition("] ")[2] or "XLA does not take them"
        value = os.environ["XLA_FLAGS"]
        raise UsageError(f"XLA_FLAGS is {value!r}: {message}; correct or unset it")


def _sentence(error: BaseException) -> str:
    """Returns the sentence for an error of the environment; "" for a bug of ours."""
    message, kind = " ".join(str(error).split()), type(error).__name__
    if isinstance(error, OSError):
        if error.errno in FULL:
            return f"{message}; make room there, and start the same command again"
        if error.errno and error.filename is not None:
            return f"{error.filename} cannot be used: {error.strerror}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in message:
        return (
            f"there is not enough memory ({message[:200] or kind}); lower config.train.batch_size, "
            "config.ensemble.members or the sizes of items, or set config.data.feeding=streamed"
        )
    if kind in ("TerminatedWorkerError", "BrokenProcessPool"):
        return "a process that prepares items was killed, perhaps for its memory; start again"
    return ""


def _drop_lost_writes() -> None:
    """Keeps the threads that write checkpoints from printing tracebacks after one has failed.

    The event loop of a write ends with its first error, which is raised to us. Writes still under
    way then find the loop closed, an error that no code of ours can catch.
    """
    before = sys.unraisablehook

    def report(unraisable) -> None:
        if unraisable.object is not None or str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = report


def set_up_log() -> None:
    """Makes log lines of a time and a sentence, and leaves out the messages of libraries."""
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    # Libraries report their progress at level INFO too; only ours is shown. What goes wrong with
    # checkpoints, or with a home folder that cannot be written, is reported by us in one sentence.
    quiet = ("orbax", "asyncio", "matplotlib")
    handler.addFilter(
        lambda record: (
            is_ours(record)
            or record.pathname.startswith(HERE)
            or (
                record.levelno > std_logging.INFO
                and not any(f"{os.sep}{name}{os.sep}" in record.pathname for name in quiet)
            )
        )
    )
