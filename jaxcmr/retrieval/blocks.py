"""Sends queries through the devices in blocks, so that memory does not grow with Q times G.

The gallery lies spread over the devices: none of them has to hold its embeddings whole. Each scores
a block of queries against its part; then the scores are exchanged, so that each device has
whole rows for its share of the queries, to be ranked as on one device.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_rows

# Memory of a block of queries. On a CPU it stays below the size above which the C library returns
# freed memory to the system: to get it back for each block costs a fifth of the time.
_CPU_BLOCK_BYTES = 24 * 2**20
_BLOCK_BYTES = 256 * 2**20
# The biggest arrays are the 64-bit keys and their sorted copy; with scores, relevance and running
# hits it is about 32 bytes a pair.
_BYTES_PER_PAIR = 32


def map_blocks(
    work: Callable[[Any], Any], queries: Any, items: int, mesh: Mesh, block: int | None
) -> Any:
    """Returns `work(rows)` of all queries, one block of them after the other.

    The blocks of a single CPU run on all its cores, one a thread, because XLA sorts on a single
    one. Several devices run them in turn, because all work on each block.

    Args:
        work: of arrays with an entry a query, as many in each call; so are its results.
        queries: numpy arrays with an entry a query.
        items: G, which decides how many pairs fit.
        mesh: the devices that share a block.
        block: queries a block and device; None: as many as fit.

    Raises:
        UsageError: if the block is below 1.
    """
    count = len(jax.tree.leaves(queries)[0])
    device = mesh.devices.flat[0]
    workers = _workers(device) if mesh.size == 1 else 1
    if block is None:
        budget = _CPU_BLOCK_BYTES if device.platform == "cpu" else _BLOCK_BYTES
        block = min(budget // (_BYTES_PER_PAIR * items), -(-count // (workers * mesh.size)))
    else:
        block = guards.check_whole("block", block, 1)
    block = max(1, min(block, -(-count // mesh.size))) * mesh.size

    def start(first: int):
        return work(jax.tree.map(lambda leaf: padded(leaf[first : first + block], block), queries))

    def fetch(results, first: int):
        size = min(block, count - first)
        return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0))[:size], results)

    # The first block compiles before the threads start, or each of them would compile.
    opening = start(0)
    with ThreadPoolExecutor(workers) as pool:
        firsts = range(block, count, block)
        others = list(pool.map(lambda first: fetch(start(first), first), firsts))
    return jax.tree.map(lambda *parts: np.concatenate(parts), fetch(opening, 0), *others)


def one_device() -> Mesh:
    """Returns the mesh of only the default device."""
    return Mesh(np.array([jnp.zeros(()).device]), ("gallery",))  # threads do not inherit a default


def spread_units(rows: np.ndarray, mesh: Mesh) -> jax.Array:
    """Lays unit rows `[G, d]`, filled up with zeros, over the devices, `G / n` on each."""
    size = -(-len(rows) // mesh.size) * mesh.size
    spread = place(padded(rows, size), NamedSharding(mesh, PartitionSpec(mesh.axis_names)))
    return _unit_rows(spread)


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Lays numpy arrays, the same in every process, over the devices."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    put = lambda leaf: jax.make_array_from_callback(leaf.shape, sharding, lambda at: leaf[at])
    return jax.tree.map(put, tree)


_unit_rows = jax.jit(lambda rows: unit_rows(rows).astype(jnp.float32))


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """Fills up with zeros to `size` rows, so that all blocks share one compiled program."""
    if len(array) == size:
        return array
    return np.pad(array, [(0, size - len(array)), *[(0, 0)] * (array.ndim - 1)])


def _workers(device: jax.Device) -> int:
    if device.platform != "cpu":
        return 2  # one computes while the results of the other travel
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    return min(len(cores), 8)


def checked_rows(
    query: Any, gallery: Any, gallery_mask: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checks queries, items and their mask, and returns them on the host, the mask as `[G]` bool.

    Raises:
        UsageError: shapes do not fit, there are no queries or no items, or a query or an item
            that exists holds NaN or infinity.
    """
    query, gallery = guards.on_host(query), guards.on_host(gallery)
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise UsageError(
            f"query has shape {query.shape} and gallery {gallery.shape}; give [Q, d] and [G, d]"
        )
    mask = guards.on_host(guards.row_mask(gallery_mask, gallery.shape[:1], name="gallery_mask"))
    if not len(query):
        raise UsageError("there are no queries; give at least one")
    if not mask.any():
        raise UsageError(f"{len(query)} queries against 0 items; give at least one")
    if len(gallery) > 2**24:
        raise UsageError(f"the gallery has {len(gallery)} items; ranks are exact up to 2^24")
    guards.check_rows("query", query)
    guards.check_rows("gallery", gallery, mask)
    return query, gallery, mask


def check_pairs(queries: int, items: int, keep_self: bool) -> None:
    """Raises a `UsageError` if query i cannot be left without item i."""
    if not keep_self and queries != items:
        raise UsageError(
            f"keep_self=False pairs query i with item i, but there are {queries} queries and "
            f"{items} items; give the same rows twice"
        )
