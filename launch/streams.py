"""Standard streams that may be closed, full, narrow, or without a reader."""

import contextlib
import os
import sys
from pathlib import Path

# Whether this process is one of the commands of this folder, and no test that imports them.
STARTED = Path(__file__).resolve().parent in Path(sys.argv[0]).resolve().parents


def open_all() -> None:
    """Opens closed streams on the null device, and lets the others take every character."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file that is opened would receive what is printed
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(sentence: str) -> None:
    """Prints a sentence to stderr, if it has a reader."""
    try:
        print(sentence, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        drop()


def drop() -> None:
    """Flushes stdout, and sends everything printed later to the null device."""
    with contextlib.suppress(OSError, ValueError):  # a reader that went away, or a full disk
        sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


if STARTED:
    open_all()
