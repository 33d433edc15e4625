"""How a data set reaches the device: at once (`Resident`), or batch by batch (`Streamed`).

Both give the step the same batches in the same order, and the same program runs on them.
"""

import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from jaxcmr.data.heldout import folded
from jaxcmr.storage import lazy
from jaxcmr.train import devices
from jaxcmr.types import Batch, Dataset, axis_order

MAX_WORKERS = 8
# A piece is this part of the limit. Training and a pass over the set hold at most MAX_WORKERS + 4
# pieces each: being read, ready, in use, and used.
PIECE = 24


def whole(dataset: Dataset) -> Batch:
    """Returns a data set as one batch on the host, lazy rows unread; without true labels."""
    rows, names = len(dataset), axis_order(dataset.modalities)
    complete = np.ones(rows, bool)
    return Batch(
        inputs=dict(dataset.inputs),
        labels=np.stack([dataset.labels_of(name).astype(np.int32) for name in names]),
        present=np.stack([dataset.present.get(name, complete) for name in names]),
        index=np.arange(rows, dtype=np.int32),
        mask=complete,
        group=folded(dataset.links, rows),
    )


def gather(data: Batch, rows: jax.Array) -> Batch:
    """Takes the places `rows [B]` out of `data`; negative ones give fillers with a false mask."""
    places = jnp.maximum(rows, 0)
    batch = data.map_rows(lambda array, axis: jnp.take(array, places, axis=axis))
    return batch.replace(mask=batch.mask & (rows >= 0))


def read(data: Batch, rows: np.ndarray) -> Batch:
    """Takes rows out of `data` on the host; lazy ones are read."""
    return data.map_rows(lambda array, axis: array[rows] if axis == 0 else array[:, rows])


def epoch_order(key: jax.Array, epoch: int, rows: int) -> np.ndarray:
    """Returns the order `[rows]` of an epoch: a permutation that depends only on key and epoch.

    Resuming therefore needs no iterator state.
    """
    return jax.device_get(_permutation(key, jax.device_put(np.int32(epoch)), rows))


@partial(jax.jit, static_argnames="rows")
def _permutation(key: jax.Array, epoch: jax.Array, rows: int) -> jax.Array:
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows)


def build(config: ConfigDict, dataset: Dataset, mesh: jax.sharding.Mesh) -> "Resident | Streamed":
    """Chooses by `config.data.feeding`; "auto": resident if `config.data.resident_bytes` hold it.

    Args:
        config: a stage's config.
        dataset: a training set, or, if only `parts` is used, any other.
        mesh: of `devices.build`.
    """
    fits = lazy.size(dict(dataset.inputs)) <= config.data.resident_bytes
    kinds = {"resident": Resident, "streamed": Streamed, "auto": Resident if fits else Streamed}
    return kinds[config.data.feeding](config, dataset, mesh)


class Resident:
    """Puts the whole set on every device; rows are gathered there, inside the step."""

    streamed = False

    def __init__(self, config: ConfigDict, dataset: Dataset, mesh: jax.sharding.Mesh):
        self._config, self._mesh, self._count = config, mesh, len(dataset)
        data = jax.tree.map(np.asarray, whole(dataset))
        self._data = devices.put(data, devices.replicated(mesh))

    def calls(self, key: jax.Array, epoch: int, done: int = 0) -> Iterator[tuple[Batch, jax.Array]]:
        """Yields an epoch's batches after the first `done`, an element a jitted call of k steps.

        An element is `(data, rows [k, B])`; `rows` are the places of each batch in `data`.
        """
        size, steps = self._config.train.batch_size, self._count // self._config.train.batch_size
        order = epoch_order(key, epoch, self._count)
        for first, last in _left(_spans(steps, self._config.train.steps_per_call or steps), done):
            yield self._data, self._place(order[first * size : last * size].reshape(-1, size))

    def parts(self) -> Iterator[tuple[Batch, jax.Array, int]]:
        """Yields all rows in their order, in batches for the evaluation: `(data, rows, count)`.

        Of each element the first `count` rows count, the others only fill it up.
        """
        block = _block(self._config, self._mesh)
        rows = np.arange(-(-self._count // block) * block, dtype=np.int32)
        rows = np.where(rows < self._count, rows, -1)
        yield self._data, self._place(rows.reshape(-1, block)), self._count

    def take(self, data: Batch, rows: jax.Array) -> Batch:
        """Gathers the batch at `rows [B]`, spread over the devices, which all hold `data`."""
        batch = gather(data, rows)
        spread = batch.map_rows(lambda _, axis: devices.by_rows(self._mesh, axis))
        return lax.with_sharding_constraint(batch, spread)

    def _place(self, rows: Any) -> jax.Array:
        return devices.put(rows, devices.by_rows(self._mesh, axis=1))


class Streamed:
    """Gathers rows on the host, in threads, some calls ahead of the device.

    What is on the way, on host and device, stays below `config.data.resident_bytes`, unless one
    batch is larger than a piece of it, or `config.train.steps_per_call` asks for more. The methods
    are those of `Resident`.
    """

    streamed = True

    def __init__(self, config: ConfigDict, dataset: Dataset, mesh: jax.sharding.Mesh):
        self._config, self._mesh, self._count = config, mesh, len(dataset)
        self._host = whole(dataset)
        self._workers = min(os.cpu_count() or 1, MAX_WORKERS)
        self._pool = ThreadPoolExecutor(self._workers, "feed")
        row_bytes = max(math.ceil(lazy.size(dict(dataset.inputs)) / self._count), 1)
        self._piece_rows = config.data.resident_bytes // PIECE // row_bytes
        size = config.train.batch_size
        per_call = config.train.steps_per_call or max(self._piece_rows // size, 1)
        self._spans = _spans(self._count // size, per_call)
        self._gather = devices.locally(mesh, gather)
        # Epoch -> its stream, which is under way while the epoch before is evaluated.
        self._begun: dict[int, Iterator] = {}

    def calls(self, key: jax.Array, epoch: int, done: int = 0) -> Iterator[tuple[Batch, jax.Array]]:
        """Yields an epoch's batches, as `Resident.calls`."""
        stream = self._begun.pop(epoch, None)
        if stream is None:
            stream = ahead(
                self._pool, self._read_batches, self._rows_from(key, epoch, done), self._workers
            )
        yield from itertools.islice(stream, len(_left(self._spans, done)))
        self._begun[epoch + 1] = stream

    def parts(self) -> Iterator[tuple[Batch, jax.Array, int]]:
        """Yields all rows in their order, as `Resident.parts`."""
        block = _block(self._config, self._mesh)
        # At least two blocks, for the reason that `_spans` gives.
        size = block * min(max(self._piece_rows // block, 2), -(-self._count // block))
        last = self._count - 1

        def fill_up(rows: np.ndarray) -> Batch:
            batch = read(self._host, np.minimum(rows, last))
            return batch.replace(mask=batch.mask & (rows <= last))

        def piece(first: int) -> tuple[Batch, jax.Array, int]:
            rows = np.arange(first, first + size).reshape(-1, block)
            placed = jax.block_until_ready(devices.put_batches(self._mesh, fill_up, rows))
            return *placed, min(size, self._count - first)

        yield from ahead(self._pool, piece, range(0, self._count, size), self._workers)

    def take(self, data: Batch, rows: jax.Array) -> Batch:
        """Gathers the batch at `rows [B]`, on each device only from its part of `data`."""
        return self._gather(data, rows)

    def _read_batches(self, rows: np.ndarray) -> tuple[Batch, jax.Array]:
        batches = rows.reshape(-1, self._config.train.batch_size)
        return jax.block_until_ready(
            devices.put_batches(self._mesh, partial(read, self._host), batches)
        )

    def _rows_from(self, key: jax.Array, first_epoch: int, done: int) -> Iterator[np.ndarray]:
        """Yields the rows of each call, from the middle of an epoch to the end of the training."""
        size = self._config.train.batch_size
        sort = lambda epoch: epoch_order(key, epoch, self._count)
        for order in ahead(self._pool, sort, range(first_epoch, self._config.train.epochs), 1):
            for first, last in _left(self._spans, done):
                yield order[first * size : last * size]
            done = 0  # it counts only in the first epoch


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


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[Any], Any], jobs: Iterable[Any], depth: int
) -> Iterator[Any]:
    """Yields `work(job)` of every job, in order; `depth` later ones are under way meanwhile.

    A result is freed in the pool, one later than its use: returning megabytes to the system takes
    long, and the device would wait for it.
    """

    def drop_then_work(spent: list[Any], job: Any) -> Any:
        spent.clear()
        return work(job)

    waiting, used = deque(), deque()
    try:
        for job in jobs:
            # The consumer still uses the latest result.
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
