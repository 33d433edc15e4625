"""What a device can do at best, and how fast a program comes to it: the units of all tables."""

import functools
import statistics
import time

import jax
import jax.numpy as jnp
from counting import operations
from device_report import NOTE
from stopwatch import measured_seconds, median_seconds
from training import first_call

# Value of config.train.compute_dtype -> dtype and precision of the products.
PRECISIONS = {
    "float32": (jnp.float32, "highest"),
    "tensorfloat32": (jnp.float32, "tensorfloat32"),
    "bfloat16": (jnp.bfloat16, "default"),
}
MIB = 2**20

_cache_hits: list[str] = []
jax.monitoring.register_event_listener(
    lambda event, **_: _cache_hits.append(event) if event.endswith("/cache_hits") else None
)


def seconds_of(run, calls: int = 1) -> float:
    """Returns the median seconds of a call whose results are arrays."""
    return median_seconds(run, jax.block_until_ready, calls)


@functools.cache
def ceiling(precision: str, size: int) -> float:
    """Returns the measured rate of a matrix product `[size, size]`, in operations/s."""
    dtype, how = PRECISIONS[precision]
    x, y = (jax.random.normal(jax.random.key(i), (size, size), dtype) for i in range(2))
    product = jax.jit(lambda x, y: jnp.matmul(x, y, precision=how))
    return 2 * size**3 / seconds_of(lambda: product(x, y), calls=4)


def matmul(precision: str, size: int) -> dict:
    """Measures the ceiling of products."""
    return {"TFLOP/s": ceiling(precision, size) / 1e12, "size": f"{size} x {size}"}


def copy(mib: int) -> dict:
    """Measures the rate at which bytes are read and written."""
    x = jax.random.normal(jax.random.key(0), (mib * MIB // 4,))
    negative = jax.jit(lambda x: -x)
    rate = 2 * x.nbytes / seconds_of(lambda: negative(x), calls=4)
    return {"GB/s": rate / 1e9, "size": f"{mib} MiB read, {mib} MiB written"}


class Steps:
    """The steps of a jitted call, compiled, to be run again and again.

    Attributes:
        count: steps of the call.
        operations: of the products of a step.
        program: what was compiled.
        compile_seconds: how long tracing and compilation took; "cached" if it was compiled before.
    """

    def __init__(self, trainer):
        step, self._state, self._arguments = first_call(trainer)
        hits, began = len(_cache_hits), time.perf_counter()
        traced = step.trace(self._state, *self._arguments)
        self.program = traced.lower().compile()
        seconds = time.perf_counter() - began
        self.compile_seconds = "cached" if len(_cache_hits) > hits else seconds
        self.count = len(self._arguments[1])
        self.operations = operations(traced.jaxpr) / self.count

    def __call__(self):
        """Runs the call, from the state that the one before has left."""
        self._state, terms = self.program(self._state, *self._arguments)
        return terms


def speed(steps: Steps, ceiling: float) -> dict:
    """Measures steps; `ceiling` is the rate of products that they are compared with."""
    before = _peak()
    times = measured_seconds(steps, jax.block_until_ready)
    seconds = statistics.median(times) / steps.count
    least, most = (f"{1e3 * of(times) / steps.count:.3g}" for of in (min, max))
    found = {
        "ms a step": 1e3 * seconds,
        "from - to": f"{least} - {most}",
        "GFLOP a step": steps.operations / 1e9,
        "TFLOP/s": steps.operations / seconds / 1e12,
        "share of ceiling": steps.operations / seconds / ceiling,
        "compile s": steps.compile_seconds,
        "MiB of program": _program_bytes(steps.program) / MIB,
    }
    # The device only says what was the most of all so far.
    return found | ({"MiB at peak": _peak() / MIB} if _peak() > before else {})


def ratio(found: dict, one: dict, members: int) -> dict:
    """Adds how many times longer a step takes than that of one member."""
    times = found["ms a step"] / one["ms a step"]
    verdict = "met" if times < 2 else "not met"
    note = {NOTE: f"8 members below 2 times one: {verdict}"} if members == 8 else {}
    return found | {"times one": times} | note


def _program_bytes(compiled) -> float:
    """Returns the memory that a compiled program needs, arguments included."""
    sizes = compiled.memory_analysis()
    names = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return sum(getattr(sizes, name) for name in names) - sizes.alias_size_in_bytes


def _peak() -> int:
    """Returns the most bytes of the device that were ever in use; 0 if it does not say."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
