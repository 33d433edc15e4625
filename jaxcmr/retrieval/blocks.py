"""Sends queries through the device in blocks, so that memory does not grow with Q times G."""

import functools
import os
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr.losses.stable import unit_rows
from jaxcmr.retrieval.ranking import rank_relevance, relevance, unit_scores

# What a block of queries may take. On a CPU it stays below the size from which on the C library
# hands freed memory back to the system, so that each block would pay for its pages again: a fifth
# of the time.
_CPU_BLOCK_BYTES = 24 * 2**20
_BLOCK_BYTES = 256 * 2**20
# The biggest arrays are the 64-bit keys and their sorted copy; scores, relevance and running hits
# make it about 32 bytes a pair.
_BYTES_PER_PAIR = 32


class Task(NamedTuple):
    """What is ranked: queries, a gallery, and which items of it count for which query.

    `query [Q, d]`, `gallery [G, d]`, labels `[Q]` and `[G]` or multi-hot `[Q, C]` and `[G, C]`;
    `keep_self=False` leaves item i out of the gallery of query i; `gallery_mask [G]` is False for
    items that do not exist, or None.
    """

    query: Any
    gallery: Any
    query_labels: Any
    gallery_labels: Any
    keep_self: bool = True
    gallery_mask: Any = None


def map_ranked(
    measure: Callable[[jax.Array, Hashable], Any],
    options: Hashable,
    task: Task,
    block: int | None = None,
) -> Any:
    """Apply `measure(ranked [B, G], options)` to the ranked relevance of all queries.

    The blocks of a CPU run on all its cores, one a thread, because XLA sorts on a single one.

    Args:
        measure: a pure function of arrays, the same object in every call (it keys the compiled
            program); its results have one entry a query.
        options: hashable, handed to `measure`.
        task: what is ranked.
        block: queries a block; None: as many as fit 24 MiB (CPU) or 256 MiB.

    Returns:
        The results of `measure` as numpy arrays `[Q, ...]`.

    Raises:
        ValueError: if shapes do not fit, the gallery is empty, or the block is below 1.
    """
    task = _checked(task)
    num_queries, num_items = len(task.query), len(task.gallery)
    device = jnp.zeros(()).device  # threads do not inherit the caller's default device
    workers = _workers(device)
    if block is None:
        budget = _CPU_BLOCK_BYTES if device.platform == "cpu" else _BLOCK_BYTES
        block = min(budget // (_BYTES_PER_PAIR * num_items), -(-num_queries // workers))
    elif block < 1:
        raise ValueError(f"block is {block}; give a number of queries of at least 1")
    block = max(1, min(block, num_queries))
    gallery = jax.device_put((task.gallery, task.gallery_labels, task.gallery_mask), device)
    gallery = (_unit_rows(gallery[0]).astype(jnp.float32), *gallery[1:])
    self_index = np.full(num_queries, -1) if task.keep_self else np.arange(num_queries)
    queries = (task.query, task.query_labels, self_index.astype(np.int32))

    def start(first):
        rows = jax.tree.map(lambda array: _padded(array[first : first + block], block), queries)
        return _block(*jax.device_put(rows, device), *gallery, measure=measure, options=options)

    def fetch(results, first):
        size = min(block, num_queries - first)
        return jax.tree.map(lambda array: jax.device_get(array)[:size], results)

    # The first block compiles before the threads start, lest each of them does.
    opening = start(0)
    with ThreadPoolExecutor(workers) as pool:
        firsts = range(block, num_queries, block)
        others = list(pool.map(lambda first: fetch(start(first), first), firsts))
    return jax.tree.map(lambda *parts: np.concatenate(parts), fetch(opening, 0), *others)


@functools.partial(jax.jit, static_argnames=("measure", "options"))
def _block(
    query, query_labels, self_index, gallery, gallery_labels, gallery_mask, *, measure, options
):
    scores = unit_scores(unit_rows(query).astype(jnp.float32), gallery)
    items = lax.iota(jnp.int32, len(gallery))
    excluded = ~gallery_mask[None, :] | (self_index[:, None] == items[None, :])
    relevant = relevance(query_labels, gallery_labels)
    return measure(rank_relevance(scores, relevant, excluded), options)


_unit_rows = jax.jit(unit_rows)


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """Fills up with zeros to `size` rows, so that all blocks share one compiled program."""
    missing = size - len(array)
    if not missing:
        return array
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])


def _workers(device: jax.Device) -> int:
    if device.platform != "cpu":
        return 2  # one computes while the results of the other travel
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 8)
    return min(os.cpu_count() or 1, 8)


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(jax.device_get(array) if isinstance(array, jax.Array) else array)


def _checked(task: Task) -> Task:
    query, gallery, query_labels, gallery_labels = map(_on_host, task[:4])
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"query has shape {query.shape} and gallery {gallery.shape}; give [Q, d] and [G, d]"
        )
    if not (len(query) and len(gallery)):
        raise ValueError(f"{len(query)} queries against {len(gallery)} items; give at least one")
    if len(gallery) > 2**24:
        raise ValueError(f"the gallery has {len(gallery)} items; ranks are exact up to 2^24")
    if len(query_labels) != len(query) or len(gallery_labels) != len(gallery):
        raise ValueError(
            f"{len(query_labels)} labels for {len(query)} queries and {len(gallery_labels)} for "
            f"{len(gallery)} items; give one label a row"
        )
    if query_labels.ndim == 1 and gallery_labels.ndim == 1:
        # Codes of 32 bits for any labels: names, or numbers too long for the device.
        both = np.concatenate([query_labels, gallery_labels])
        codes = np.unique(both, return_inverse=True)[1].astype(np.int32)
        query_labels, gallery_labels = codes[: len(query)], codes[len(query) :]
    if not task.keep_self and len(query) != len(gallery):
        raise ValueError(
            f"keep_self=False pairs query i with item i, but there are {len(query)} queries and "
            f"{len(gallery)} items; give the same rows twice"
        )
    mask = np.ones(len(gallery)) if task.gallery_mask is None else _on_host(task.gallery_mask)
    if mask.shape != (len(gallery),):
        raise ValueError(f"gallery_mask has shape {mask.shape}; give one value an item")
    mask = mask.astype(bool)
    return Task(query, gallery, query_labels, gallery_labels, task.keep_self, mask)
