"""Locks between processes, with a note of who holds one; those of dead processes do not count.

The operating system lets go of the lock of a process that ends, however it ends. Where a file
system has no such locks, or keeps them from other hosts, the holder's note in the file decides: a
process of this host is looked up, one of another host must renew its note every few seconds.
"""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.storage import files

BEAT = 2.0  # seconds between two renewals of a note
PATIENCE = 4 * BEAT  # after which a note of another host that was not renewed is that of a dead one
POLL = 0.2
REMIND = 60.0  # seconds between two lines about waiting
LENGTH = 400  # bytes of a note; more than one could not be renewed in one piece


@contextmanager
def alone(path: Path, refusal: Callable[[str], str]) -> Iterator[None]:
    """Holds the lock, a file that exists meanwhile, or fails at once if another process does.

    `refusal` makes the sentence of the error of who holds it, "process 7 on h, for 3 minutes".

    Raises:
        UsageError: another process holds the lock, or the file cannot be written.
    """
    handle = _take(path)
    if handle is None:
        raise UsageError(refusal(_owner(_note(path))))
    with _held(path, handle):
        yield


@contextmanager
def in_turn(path: Path, what: str) -> Iterator[None]:
    """Waits until no other process holds the lock `path`, then holds it; logs what it waits for.

    Raises:
        UsageError: the file cannot be written.
    """
    said = float("-inf")
    while (handle := _take(path)) is None:
        if time.monotonic() - said > REMIND:
            said = time.monotonic()
            logging.info("waiting for %s, which is %s", _owner(_note(path)), what)
        time.sleep(POLL)
    with _held(path, handle):
        yield


def _take(path: Path) -> int | None:
    """Returns the open file of the lock, which is ours then; None: another process holds it."""
    while True:
        handle = _open(path)
        taken = False
        try:
            given, note = _system_lock(handle), _note(handle)
            free = given is not False and not (note and _lives(path, note, given is None))
            # Otherwise its holder has removed it meanwhile: what we have locked is no lock.
            still = _is_still(path, handle)
            if free and still:
                note = _own_note(time.time(), 0)
                _write(handle, note)
                if not given:  # another process may have written at the same time
                    time.sleep(2 * POLL)
                taken = given is True or _note(handle) == note
            if taken:
                return handle
            if still and not free:
                return None
        finally:
            if not taken:
                os.close(handle)


def _open(path: Path) -> int:
    """Opens the file of a lock; one of another user, whom it may be held by, only to read."""
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            if not path.is_file():
                raise
            return os.open(path, os.O_RDONLY)


def _system_lock(handle: int) -> bool | None:
    """Tells whether the system gives us the lock; None where it has none for this file."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True


def _lives(path: Path, note: dict[str, Any], without_system: bool) -> bool:
    """Tells whether the process of a note is alive, although it has no lock of the system.

    On this host that is possible only where the system has no locks.
    """
    if note["host"] == socket.gethostname():
        return without_system and _started(note["pid"]) == note["started"]
    until = time.monotonic() + PATIENCE
    logging.info("%s was held by %s; waiting for a sign of life", path, _owner(note))
    while time.monotonic() < until:
        time.sleep(POLL)
        now = _note(path)
        if now != note:
            return now is not None
    return False


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextmanager
def _held(path: Path, handle: int) -> Iterator[None]:
    """Renews the note in the file of a lock that is ours, and removes the file in the end."""
    ended, since = threading.Event(), time.time()

    def renew() -> None:
        beat = 0
        while not ended.wait(BEAT):
            beat += 1
            _write(handle, _own_note(since, beat))

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(OSError):  # the folder may let its owner alone remove a file
            if _is_still(path, handle):
                path.unlink()
        os.close(handle)


def _own_note(since: float, beat: int) -> dict[str, Any]:
    host, pid = socket.gethostname(), os.getpid()
    return {"host": host, "pid": pid, "started": _started(pid), "since": since, "beat": beat}


def _write(handle: int, note: dict[str, Any]) -> None:
    with suppress(OSError):  # a full disk: the lock of the system is held all the same
        os.pwrite(handle, json.dumps(note).encode().ljust(LENGTH), 0)


def _started(pid: int) -> str:
    """Returns when a process started, as later ones may have its number; "" if there is none."""
    try:
        state, *more = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else more[18]
    except (OSError, ValueError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except OSError:
        pass
    return "alive"


def _note(source: int | Path) -> dict[str, Any] | None:
    """Reads the note in the open file of a lock, or in that at a path; None: it has none."""
    try:
        is_path = isinstance(source, Path)
        note = json.loads(source.read_bytes() if is_path else os.pread(source, LENGTH, 0))
        kinds = {"host": str, "pid": int, "started": str, "since": float}
        return note if all(isinstance(note[k], kind) for k, kind in kinds.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _owner(note: dict[str, Any] | None) -> str:
    """Says who holds a lock, and for how long."""
    if note is None:
        return "another process"
    seconds = max(time.time() - note["since"], 0)
    units = (("hours", 3600), ("minutes", 60), ("seconds", 1))
    unit, size = next(((u, n) for u, n in units if seconds >= 2 * n), units[-1])
    return f"process {note['pid']} on {note['host']}, for {seconds / size:.0f} {unit}"
