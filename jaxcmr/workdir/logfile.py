"""The log of a run, kept in its folder as well as shown on the screen."""

import logging as std_logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path

from absl import logging

from jaxcmr import __version__
from jaxcmr.errors import StoppedError, UsageError

NAMES = ("log.txt", "jaxcmr-log.txt")  # the second where the first is a file of the user
MARK = "# jaxcmr "  # what the log of a run begins with
# The folder of the package as log records spell it: they name the file that the code was read from.
PACKAGE = str(Path(sys._getframe().f_code.co_filename).parents[1]) + os.sep


@contextmanager
def kept() -> Iterator[Callable[[Path], None]]:
    """Yields a function that puts the log into a folder: the lines so far, and all that follow.

    Until it is called nothing is written, because the folder may not be usable. The error that ends
    the run is kept, too. A later run appends.
    """
    logger = logging.get_absl_logger()
    memory = MemoryHandler(sys.maxsize, flushLevel=sys.maxsize, flushOnClose=False)
    memory.addFilter(is_ours)
    logger.addHandler(memory)
    opened: list[_File] = []

    def keep(folder: Path) -> None:
        file = _open(folder)
        if file is not None:
            opened.append(file)
            memory.setTarget(file)
            memory.flush()
            logger.addHandler(file)
            logger.removeHandler(memory)

    try:
        yield keep
    except BaseException as error:
        for file in opened:
            file.handle(_record(error))
        raise
    finally:
        logger.removeHandler(memory)
        for file in opened:
            logger.removeHandler(file)
            file.close()


class _File(std_logging.FileHandler):
    """Appends to a file; a full disk ends the log, not the run."""

    def handleError(self, record: std_logging.LogRecord) -> None:  # noqa: N802
        del record


def _open(folder: Path) -> _File | None:
    """Opens the first file of `NAMES` that is the log of a run, or absent; None: no log is kept."""
    try:
        path = next(path for name in NAMES if _may_be_ours(path := folder / name))
        file = _File(path, encoding="utf-8", errors="backslashreplace")
        file.stream.write(f"{MARK}{__version__}: {shlex.join(sys.argv)}\n")
        file.flush()
    except (OSError, StopIteration) as error:
        logging.warning("no log is kept in %s (%s)", folder, error or "all its names are taken")
        return None
    file.addFilter(is_ours)
    file.setFormatter(std_logging.Formatter("%(asctime)s  %(levelname)s  %(message)s"))
    return file


def _may_be_ours(path: Path) -> bool:
    """Returns whether a file is the log of a run, or absent; False for a file of the user."""
    if not path.is_file():
        return not os.path.lexists(path)
    with open(path, "rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def is_ours(record: std_logging.LogRecord) -> bool:
    """Tells the messages of this package from those of libraries."""
    return record.pathname.startswith(PACKAGE)


def _record(error: BaseException) -> std_logging.LogRecord:
    """Makes a log record of the error that ends a run, with a traceback if it is a bug."""
    expected = isinstance(error, UsageError | StoppedError | KeyboardInterrupt | SystemExit)
    text = str(error) or type(error).__name__
    if not expected:
        text = "".join(traceback.format_exception(error))
    level = std_logging.INFO if isinstance(error, StoppedError) else std_logging.ERROR
    return std_logging.LogRecord("absl", level, PACKAGE, 0, text, None, None)
