"""Reads and writes whole files; a file appears under its name when it is complete."""

import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxcmr.errors import UsageError, reading

UNFINISHED = ".jaxcmr-partial"  # ending of a file that is being written
ABANDONED = 60.0  # seconds without a write after which such a file may be one that nobody writes
MAX_BYTES = 1 << 30  # of a file that is read whole
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, write: Callable[[Any], None]) -> None:
    """Calls `write(file)` on a binary file that becomes `path`; see `replacing`."""
    with replacing(path) as file:
        write(file)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yields a binary file beside `path`, which becomes `path` at the end of the block.

    Missing folders are made. Whatever happens, `path` holds what it held before, or all of it.

    Raises:
        UsageError: the disk is full, or does not let us write.
    """
    # Short: with a part of the name in it, a name as long as the disk allows would not fit.
    unfinished = path.with_name(f".{secrets.token_hex(8)}{UNFINISHED}")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(unfinished, "xb") as file:
                with suppress(OSError):  # of a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def read_bytes(path: Path) -> bytes:
    """Reads a file whole.

    Raises:
        UsageError: it cannot be read, is no file, or is larger than 1 GiB.
    """
    with reading(path):
        if path.exists() and not path.is_file():  # reading a pipe would wait forever
            raise UsageError(f"{path} is no file; name the file that is to be read")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB")
        return path.read_bytes()


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left in a folder that no process writes into now."""
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            path.unlink()


def remove_abandoned(folder: Path) -> None:
    """Removes what killed processes have left in a folder that others may write into now.

    A process holds a lock on the file that it writes, which ends with it.
    """
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError), open(path, "rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED:  # it may lack its lock
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8, whole or not at all; raises as `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Writes JSON for people to read, whole or not at all; raises as `write_atomically`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a compressed `.npz`, whole or not at all; raises as `write_atomically`."""
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the disk raises while `path` is written into a `UsageError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        advice = "choose another place, or let this user write there"
        if error.errno in FULL:
            advice = "make room there, and start the same command again"
        raise UsageError(f"{path} cannot be written: {reason}; {advice}") from error
