"""The exceptions that a command answers without a traceback, and helpers that raise them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class UsageError(ValueError):
    """A mistake of the user in one sentence: what is wrong, the value seen, what to do.

    The entry points in `launch/` print it without a traceback and exit with code 2; every other
    exception is a bug of ours and keeps its traceback. Names in damaged files may hold line breaks
    and control characters: they become "?".
    """

    def __init__(self, sentence: str):
        super().__init__("".join(c if c.isprintable() else "?" for c in str(sentence)))


@contextmanager
def named(place: str) -> Iterator[None]:
    """Puts `place`, such as a file and its line, before the sentence of a `UsageError`."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


@contextmanager
def reading(path: Any, advice: str = "", errors: Any = Exception) -> Iterator[None]:
    """Turns `errors` that a reader raises into a `UsageError`: `path` cannot be read, and why."""
    try:
        yield
    except UsageError:
        raise
    except errors as error:
        ending = f"; {advice}" if advice else ""
        raise UsageError(f"{path} cannot be read ({reason(error)}){ending}") from None


def reason(error: Exception) -> str:
    """Returns the first line of an error's message, in 200 printable characters, or its type."""
    text = str(getattr(error, "strerror", None) or error)
    lines = text.strip().splitlines() or [type(error).__name__]
    return "".join(letter if letter.isprintable() else "?" for letter in lines[0][:200])


def check_choice(field: str, value: Any, choices: Iterable[str]) -> None:
    """Raises a `UsageError` if the config's `field` ("method.voters") is none of `choices`."""
    known = tuple(choices)
    if value not in known:
        names = ", ".join(name or "''" for name in known)
        raise UsageError(f"config.{field} is {value!r}, but it must be one of {names}")


class StoppedError(Exception):
    """A signal stopped the run, which has saved what it needs to go on.

    Attributes:
        signal: its number.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal
