"""Compares the speed of functions on a machine whose speed changes."""

import importlib.util
import statistics
import time

HAS_TORCH = importlib.util.find_spec("torch") is not None
LEAST, MOST, SPENT = 3, 20, 1.0  # repeats, and seconds after which there are enough


def interleaved(sides, repeats):
    """Returns the median of `interleaved_seconds` of each function."""
    seconds = interleaved_seconds(sides, repeats)
    return {name: statistics.median(values) for name, values in seconds.items()}


def interleaved_seconds(sides, repeats):
    """Returns the seconds of each run of each function; they alternate, after one of each."""
    seconds = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_seconds(run, wait, calls=1):
    """Returns the median of `measured_seconds`."""
    return statistics.median(measured_seconds(run, wait, calls))


def measured_seconds(run, wait, calls=1):
    """Returns the seconds of a call, several times, after a first one that is not counted.

    Args:
        run: what is called.
        wait: waits until the result of `run` is there.
        calls: how many calls are started before the last one is waited for.
    """
    wait(run())
    seconds, began = [], time.perf_counter()
    while len(seconds) < LEAST or (len(seconds) < MOST and time.perf_counter() - began < SPENT):
        start = time.perf_counter()
        for _ in range(calls):
            result = run()
        wait(result)
        seconds.append((time.perf_counter() - start) / calls)
    return seconds
