"""Compares the speed of functions on a machine whose speed changes."""

import importlib.util
import statistics
import time

HAS_TORCH = importlib.util.find_spec("torch") is not None


def interleaved(sides, repeats):
    """Returns the median seconds of each function; the runs alternate, after one of each."""
    seconds = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
