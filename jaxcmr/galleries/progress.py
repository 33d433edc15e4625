"""Says in the log how much of a long work is done, and how long the rest takes."""

import time
from collections.abc import Callable

from absl import logging

EVERY = 5.0  # seconds between two lines
Report = Callable[[int, int], None]  # takes how many are done, and of how many


def logged(what: str) -> Report:
    """Returns what logs a line every few seconds: "embedding image: 40 of 100, about 7 s left"."""
    started = last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done and now - last > EVERY:
            last = now
            left = span((now - started) / done * (total - done))
            logging.info("%s: %d of %d, about %s left", what, done, total, left)

    return report


def span(seconds: float) -> str:
    """Returns a time in the unit that suits it: "7 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
