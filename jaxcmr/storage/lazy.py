"""Arrays whose rows are read at each use, for sets larger than memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


class LazyRows:
    """Rows `[N, ...]` on a disk, or still to be decoded, with the interface of a read-only array.

    Indexing reads: `lazy[index]` is a numpy array of these rows. `rows(index)` reads nothing and is
    another `LazyRows`. `numpy.asarray(lazy)` reads everything.

    Args:
        read: gives the rows `[n, ...]` of some row numbers `[n]`; may be called by many threads.
        shape: `(N, ...)`.
        dtype: of the rows that `read` gives.
        numbers: row i is number `numbers[i]` of `read`; None: i itself.
    """

    def __init__(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        shape: Sequence[int],
        dtype: Any,
        numbers: np.ndarray | None = None,
    ):
        self._read = read
        self._numbers = np.arange(shape[0]) if numbers is None else numbers
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.ndim, self.nbytes = len(self.shape), math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis or not all(isinstance(part, int | slice) for part in rest):
            return np.asarray(self)[index]
        numbers = self._numbers[first]
        found = self._read(np.atleast_1d(numbers)).reshape(np.shape(numbers) + self.shape[1:])
        return found[(slice(None),) * np.ndim(numbers) + tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy  # what is read is always new
        return self[:].astype(dtype or self.dtype, copy=False)

    def rows(self, index: np.ndarray) -> "LazyRows":
        """Returns the rows `index` (numbers, a mask or a slice), unread."""
        numbers = self._numbers[index]
        return LazyRows(self._read, (len(numbers), *self.shape[1:]), self.dtype, numbers)


def select(array: Any, index: np.ndarray) -> Any:
    """Returns the rows `index` of an array, unread if it is lazy or stays on the disk."""
    if isinstance(array, np.memmap):
        array = stored(array)
    return array.rows(index) if isinstance(array, LazyRows) else array[index]


def stored(array: np.memmap) -> LazyRows:
    """Makes rows that stay on the disk of an array that was loaded as a memory map.

    Numbers of 64 bits after the point become 32 bits as they are read, and all get the machine's
    order of bytes.
    """
    native = array.dtype.newbyteorder("=")
    dtype = np.dtype(np.float32) if native == np.float64 else native
    return LazyRows(lambda rows: np.asarray(array[rows], dtype), array.shape, dtype)


def decoded(sources: Sequence[Any], decode: Callable[[Any], np.ndarray]) -> LazyRows:
    """Makes rows that are decoded from their sources, such as paths, at each use.

    Public API without a caller in the package: for data sets of one's own that memory cannot hold.

    Args:
        sources: one a row; None where the item is missing: zeros.
        decode: makes a source's item; all of one shape and dtype. The first is made at once, to
            know them.
    """
    like = decode(next(source for source in sources if source is not None))
    item = lambda source: np.zeros_like(like) if source is None else decode(source)

    def read(rows: np.ndarray) -> np.ndarray:
        return np.array([item(sources[row]) for row in rows], like.dtype)

    return LazyRows(read, (len(sources), *like.shape), like.dtype)


def size(tree: Any) -> int:
    """Returns the bytes that the arrays of a tree take in memory."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
