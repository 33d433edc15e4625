"""A gallery that is prepared once and searched many times, on one device or spread over many."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_rows
from jaxcmr.retrieval.blocks import one_device, padded, place
from jaxcmr.retrieval.nearest import CHUNK, nearest

_UNIT = 1e-5  # what the squared length of a unit row may be off
# Items that one program of a CPU searches. Galleries of any size then share the program, and an
# array is searched where it lies.
_PART = 16384
_QUERIES = 256  # at most, at a time
_CPU_SCORES, _SCORES = 2**21, 2**26  # at a time and device: 8 MiB, 256 MiB
_LEAST_K = 16  # so that searches for less share one program
_FEW = 16  # items are copied and searched alone where a mask leaves less than 1 of 16


class Found(NamedTuple):
    """What each query found, the best first.

    Attributes:
        index: `[Q, k]` int32, gallery rows.
        scores: `[Q, k]` float32, their cosine similarities.
    """

    index: np.ndarray
    scores: np.ndarray


class Gallery:
    """Items to be found, checked and laid on the devices once.

    On a single CPU, float32 unit rows are searched where they lie, in memory or in a file that is
    mapped into it, if they begin at a multiple of 64 bytes, as those of
    `numpy.load(path, mmap_mode="r")` do; they must not be changed then. All else is copied once.

    Example:
        >>> gallery = Gallery([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> gallery.search([[0.6, 0.8]], k=2).index
        array([[1, 0]], dtype=int32)
    """

    def __init__(self, rows: Any, mesh: Mesh | None = None):
        """Prepare a gallery.

        Args:
            rows: `[G, d]` embeddings; other than unit rows are brought to length 1. A row of zeros
                has similarity 0 to all.
            mesh: the devices that share gallery and work; the rows are then the same in every
                process. None: the default device.

        Raises:
            UsageError: there is no row, or one holds NaN or infinity.
        """
        self._rows = guards.on_host(rows)
        if self._rows.ndim != 2 or not self._rows.size:
            raise UsageError(
                f"the gallery has shape {self._rows.shape}; give [G, d], at least one row"
            )
        guards.check_rows("gallery", self._rows[:1])  # the others where a length is not finite
        self._mesh = mesh or one_device()
        self._spread = NamedSharding(self._mesh, PartitionSpec(self._mesh.axis_names))
        self._whole = NamedSharding(self._mesh, PartitionSpec())
        self._on_cpu = self._mesh.devices.flat[0].platform == "cpu"
        self._on_one_cpu = self._on_cpu and self._mesh.size == 1
        self._parts = self._placed(self._rows.astype(np.float32, copy=False))
        off = np.array([_off_unit(part) for part in self._parts])
        if not (off <= _UNIT).all():
            guards.check_rows("gallery", self._rows)
            for at, part in enumerate(self._parts):  # in turn, so that few are held twice
                self._parts[at] = _unit_rows(part)
        self._all = self._placed(np.ones(len(self), bool))

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, query: Any, k: int, mask: Any = None, approx: bool = False) -> Found:
        """Find the k items of highest cosine similarity for every query.

        Exact: scores are float32, equal scores rank by gallery index.

        Args:
            query: `[Q, d]` embeddings of any length; a row of zeros has similarity 0 to all.
            k: how many items.
            mask: `[G]` bool, False for items that must not be found. None: all may be.
            approx: let `jax.lax.approx_max_k` choose among groups of 64 items, with a recall of
                0.95: on average 95 of 100 of the k best are found on a TPU. Elsewhere JAX finds all
                of them, no faster. Equal scores have no order.

        Raises:
            UsageError: shapes do not fit, there is no query, one holds NaN or infinity, or k is
                below 1 or above the number of items that may be found.
        """
        query = self._checked(query)
        if mask is not None:
            mask = guards.on_host(guards.row_mask(mask, (len(self),)))
        items = len(self) if mask is None else int(mask.sum())
        k = guards.check_whole("k", k, 0)
        if not 1 <= k <= items:
            raise UsageError(
                f"k is {k}, but the gallery has {items} items; give a number from 1 to that"
            )
        if self._on_one_cpu and items * _FEW < len(self):
            kept = np.flatnonzero(mask).astype(np.int32)
            found = Gallery(self._rows[kept], self._mesh).search(query, k, approx=approx)
            return Found(kept[found.index], found.scores)
        masks = self._all if mask is None else self._placed(mask)
        return Found(*map(np.concatenate, zip(*self._blocks(query, k, masks, approx))))

    def _checked(self, query: Any) -> np.ndarray:
        query = guards.on_host(query)
        if query.ndim != 2 or not len(query) or query.shape[1] != self._rows.shape[1]:
            raise UsageError(
                f"query has shape {query.shape}; give [Q, {self._rows.shape[1]}], at least one row"
            )
        guards.check_rows("query", query)
        return query.astype(np.float32)

    def _blocks(self, query: np.ndarray, k: int, masks: list[jax.Array], approx: bool):
        """Yields `(index, scores)` of one block of queries after the other."""
        most = _power_of_two(max(k, _LEAST_K))
        scores = _CPU_SCORES if self._on_cpu else _SCORES
        run = nearest(self._mesh, most, scores, approx)
        block = max(1, min(scores // (2 * CHUNK * most), _QUERIES))
        for first in range(0, len(query), block):
            rows = query[first : first + block]
            placed = place(padded(rows, _power_of_two(len(rows))), self._whole)
            started = [run(placed, *part) for part in zip(self._parts, masks)]
            yield _joined(started, len(rows), k)

    def _placed(self, array: np.ndarray) -> list[jax.Array]:
        """Lays an array with an entry an item over the devices, in as many parts as are searched.

        They are filled up, a single one by an eighth at most if it is large, so that galleries that
        grow share programs.
        """
        size = len(array)
        if self._on_one_cpu and size > _PART:  # all alike, or copies of a row may score differently
            parts = [padded(array[at : at + _PART], _PART) for at in range(0, size, _PART)]
            return place(parts, self._spread)
        share = -(-size // self._mesh.size)
        step = 1 << max(share.bit_length() - 4, 4)
        return [place(padded(array, -(-share // step) * step * self._mesh.size), self._spread)]


def _joined(found: list[tuple[jax.Array, jax.Array]], queries: int, k: int):
    """Returns `(index, scores)` `[Q, k]` of the best of consecutive parts."""
    local = [[np.asarray(leaf.addressable_data(0))[:queries] for leaf in part] for part in found]
    index = np.concatenate([index + np.int32(at * _PART) for at, (index, _) in enumerate(local)], 1)
    scores = np.concatenate([scores for _, scores in local], 1)
    if len(found) > 1:
        order = np.argsort(-scores, axis=1, kind="stable")  # among equals the first
        index, scores = (np.take_along_axis(leaf, order, 1) for leaf in (index, scores))
    return index[:, :k], scores[:, :k]


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


@jax.jit
def _off_unit(rows: jax.Array) -> jax.Array:
    """Returns by how much a squared length is off 1 at most, zero rows left out; NaN for NaN."""
    squares = jnp.sum(jnp.square(rows), axis=1)
    return jnp.max(jnp.where((rows == 0).all(axis=1), 0.0, jnp.abs(squares - 1)))


_unit_rows = jax.jit(unit_rows)
