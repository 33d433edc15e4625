"""How a data set reaches the device: at once (`resident`), or batch by batch (`streamed`).

Both give the step the same batches in the same order, and the same program runs on them.
"""

import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr.storage import lazy
from jaxcmr.train import devices, feed
from jaxcmr.types import Batch, Dataset

MAX_WORKERS = 8
# A piece is this part of the limit. Training and a pass over the set hold at most MAX_WORKERS + 4
# each: what is under way, what is ready, what is in use, what is spent.
PIECE = 24


class Feed(NamedTuple):
    """A data set as the step and the evaluation consume it.

    Attributes:
        calls: `(key, epoch, done=0) -> (data, rows [k, B])...`: an epoch's batches after the first
            `done`, an element a jitted call of k steps; `rows` says where in `data` each batch
            lies.
        parts: `() -> (data, rows [k, B], count)...`: all rows in their order, in batches for the
            evaluation; of each element the first `count` rows, the others only fill it up.
        take: `(data, rows [B]) -> Batch`, spread over the devices.
        streamed: whether elements are made on the host while the device computes.
    """

    calls: Callable[..., Iterator[tuple[Batch, jax.Array]]]
    parts: Callable[[], Iterator[tuple[Batch, jax.Array, int]]]
    take: Callable[[Batch, jax.Array], Batch]
    streamed: bool


def build(config: ConfigDict, dataset: Dataset) -> Feed:
    """Chooses by `config.data.feeding`; "auto": resident if `config.data.resident_bytes` hold it.

    Args:
        config: a run's config.
        dataset: a training set, or, for `parts` alone, any other.
    """
    fits = lazy.size(dict(dataset.inputs)) <= config.data.resident_bytes
    modes = {"resident": resident, "streamed": streamed, "auto": resident if fits else streamed}
    return modes[config.data.feeding](config, dataset)


def resident(config: ConfigDict, dataset: Dataset) -> Feed:
    """Puts the whole set on every device; rows are gathered there, inside the step."""
    mesh = devices.build(config)
    data = feed.resident(dataset, devices.replicated(mesh))
    batch_size, steps, _ = _sizes(config, dataset)
    place = lambda rows: devices.put(rows, devices.by_rows(mesh, axis=1))

    def calls(key: jax.Array, epoch: int, done: int = 0) -> Iterator[tuple[Batch, jax.Array]]:
        order = feed.epoch_order(key, epoch, len(dataset))
        for first, last in _left(_spans(steps, config.train.steps_per_call or steps), done):
            rows = order[first * batch_size : last * batch_size]
            yield data, place(rows.reshape(-1, batch_size))

    def parts() -> Iterator[tuple[Batch, jax.Array, int]]:
        block = _block(config, mesh)
        rows = np.arange(-(-len(dataset) // block) * block, dtype=np.int32)
        rows = np.where(rows < len(dataset), rows, -1)
        yield data, place(rows.reshape(-1, block)), len(dataset)

    return Feed(calls, parts, devices.take_whole(mesh, feed.take), streamed=False)


def streamed(config: ConfigDict, dataset: Dataset) -> Feed:
    """Gathers rows on the host, in threads, some calls ahead of the device.

    What is on the way, on host and device, stays below `config.data.resident_bytes`, unless one
    batch is larger than a piece of it, or `config.train.steps_per_call` asks for more.
    """
    host, mesh = feed.on_host(dataset), devices.build(config)
    workers = min(os.cpu_count() or 1, MAX_WORKERS)
    pool = ThreadPoolExecutor(workers, "feed")
    batch_size, steps, row_bytes = _sizes(config, dataset)
    piece_rows = config.data.resident_bytes // PIECE // row_bytes
    spans = _spans(steps, config.train.steps_per_call or max(piece_rows // batch_size, 1))
    begun: dict[int, Iterator] = {}  # epoch -> its stream, under way while the last is evaluated

    def batches(rows: np.ndarray) -> tuple[Batch, jax.Array]:
        read = lambda own: jax.tree.map(lambda leaf: leaf[own], host)
        placed = devices.put_batches(mesh, read, rows.reshape(-1, batch_size))
        return jax.block_until_ready(placed)

    def rows_from(key: jax.Array, first_epoch: int, done: int) -> Iterator[np.ndarray]:
        sort = lambda epoch: np.asarray(feed.epoch_order(key, epoch, len(dataset)))
        for order in _ahead(pool, sort, range(first_epoch, config.train.epochs), 1):
            for first, last in _left(spans, done):
                yield order[first * batch_size : last * batch_size]
            done = 0  # it counts in the first epoch alone

    def calls(key: jax.Array, epoch: int, done: int = 0) -> Iterator[tuple[Batch, jax.Array]]:
        stream = begun.pop(epoch, None)
        if stream is None:
            stream = _ahead(pool, batches, rows_from(key, epoch, done), workers)
        yield from itertools.islice(stream, len(_left(spans, done)))
        begun[epoch + 1] = stream

    def parts() -> Iterator[tuple[Batch, jax.Array, int]]:
        block = _block(config, mesh)
        # At least two blocks, for the reason that `_spans` gives.
        size = block * min(max(piece_rows // block, 2), -(-len(dataset) // block))
        last = len(dataset) - 1

        def read(rows: np.ndarray) -> Batch:
            data = jax.tree.map(lambda leaf: leaf[np.minimum(rows, last)], host)
            return data.replace(mask=data.mask & (rows <= last))

        def part(first: int) -> tuple[Batch, jax.Array, int]:
            rows = np.arange(first, first + size).reshape(-1, block)
            placed = jax.block_until_ready(devices.put_batches(mesh, read, rows))
            return *placed, min(size, last + 1 - first)

        return _ahead(pool, part, range(0, len(dataset), size), workers)

    return Feed(calls, parts, devices.take_local(mesh, feed.take), streamed=True)


def _sizes(config: ConfigDict, dataset: Dataset) -> tuple[int, int, int]:
    """Returns B, the steps of an epoch, and the bytes of a row."""
    row = math.ceil(lazy.size(dict(dataset.inputs)) / len(dataset))
    return config.train.batch_size, len(dataset) // config.train.batch_size, max(row, 1)


def _block(config: ConfigDict, mesh: jax.sharding.Mesh) -> int:
    """Returns the rows of a batch of the evaluation, a multiple of the devices that share it."""
    parts = mesh.shape[devices.DATA]
    return -(-config.evaluate.batch_size // parts) * parts


def _spans(steps: int, per_call: int) -> list[tuple[int, int]]:
    """Cuts an epoch into calls of at most `per_call` steps whose lengths differ by one at most.

    A short last call, of a single step perhaps, would be compiled in another way.
    """
    count = max(-(-steps // per_call), 1)
    edges = [steps * call // count for call in range(count + 1)]
    return list(itertools.pairwise(edges))


def _left(spans: list[tuple[int, int]], done: int) -> list[tuple[int, int]]:
    """Returns the calls of an epoch that are left after `done` steps."""
    return [span for span in spans if span[0] >= done]


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Any], Any], jobs: Iterable[Any], depth: int
) -> Iterator[Any]:
    """Yields `work(job)` of every job, in order; `depth` later ones are under way meanwhile.

    A result is dropped in the pool, one after it was used: giving megabytes back to the system
    takes longer than handing them over, and the device would wait meanwhile.
    """

    def drop_then_work(spent: list[Any], job: Any) -> Any:
        spent.clear()
        return work(job)

    waiting, used = deque(), deque()
    try:
        for job in jobs:
            # The consumer has the latest result still in its hands.
            spent = [used.popleft()] if len(used) > 1 else []
            waiting.append(pool.submit(drop_then_work, spent, job))
            if len(waiting) > depth:
                used.append(waiting.popleft().result())
                yield used[-1]
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
