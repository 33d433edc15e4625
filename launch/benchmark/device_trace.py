"""The costliest operations of a compiled program, from a trace of JAX's profiler."""

import collections
import re
import tempfile
from pathlib import Path

import jax
from device_report import NOTE

COLUMNS = ("costliest", "second", "third")
CONTAINERS = ("while", "call", "conditional")  # their time is that of what they run
NAMED = re.compile(r"%?([\w.-]+) = .*op_name=\"([^\"]*)\"")
NUMBER = re.compile(r"[._]\d+(?=[._]|$)")


def costliest(steps) -> dict:
    """Returns the three kinds of operations that take most of a call's time, and their shares.

    A kind is the name of a compiled operation, or of a kernel, without its number, and the last
    part of the path that the traced operation has in the program.
    """
    jax.block_until_ready(steps())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(steps())
        (file,) = Path(folder).rglob("*.xplane.pb")
        seconds = _by_kind(jax.profiler.ProfileData.from_file(str(file)), _paths(steps.program))
    total = sum(seconds.values())
    if not total:
        return {NOTE: "the profiler saw no operation of the device"}
    ranked = sorted(seconds.items(), key=lambda item: -item[1])
    cells = [f"{kind} {value / total:.0%}" for kind, value in ranked[: len(COLUMNS)]]
    return dict(zip(COLUMNS, cells)) | {"busy ms a step": 1e3 * total / steps.count}


def _paths(program) -> dict[str, str]:
    """Returns the last part of the path of each operation in the compiled text."""
    return {name: path.rpartition("/")[2] for name, path in NAMED.findall(program.as_text())}


def _by_kind(data, paths) -> dict[str, float]:
    """Returns seconds of the device by kind of operation."""
    seconds = collections.Counter()
    for name, operation, duration in _events(data):
        kind = NUMBER.sub("", name)[:40]
        if kind not in CONTAINERS:
            path = paths.get(operation, "")
            seconds[f"{kind} ({path})" if path and path != kind else kind] += duration
    return seconds


def _events(data):
    """Yields the (name, compiled operation, seconds) of all that the device has run."""
    planes = list(data.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices or planes:
        lines = list(plane.lines)
        # TPU: a line of operations, beside others of the same time. GPU: a line a stream.
        chosen = [line for line in lines if line.name == "XLA Ops"]
        chosen = chosen or [line for line in lines if line.name.startswith("Stream")] or lines
        for line in chosen:
            for event in line.events:
                operation = dict(event.stats).get("hlo_op")
                if operation or line.name.startswith("Stream"):
                    yield event.name, operation or event.name, 1e-9 * event.duration_ns
