"""Finds the nearest items of a gallery, exactly, on one device or spread over many."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_rows
from jaxcmr.retrieval.blocks import checked_rows, map_blocks, one_device, place, spread_units
from jaxcmr.retrieval.ranking import ordered, unit_scores


class Found(NamedTuple):
    """What each query found, the best first.

    Attributes:
        index: `[Q, k]` int32, gallery rows.
        scores: `[Q, k]` float32, their cosine similarities.
    """

    index: np.ndarray
    scores: np.ndarray


def top_k(
    query: Any,
    gallery: Any,
    k: int,
    *,
    gallery_mask: Any = None,
    block: int | None = None,
    mesh: Mesh | None = None,
) -> Found:
    """Find the k gallery items of highest cosine similarity for every query.

    Exact: scores are float32, equal scores rank by gallery index. On a mesh every
    device searches its part of the gallery, and the k best of each part are merged.

    Args:
        query: `[Q, d]` embeddings; a row of zeros has similarity 0 to all.
        gallery: `[G, d]` embeddings.
        k: how many items.
        gallery_mask: `[G]` bool, False for items that do not exist.
        block: queries a block and device; None: as many as fit 24 MiB (CPU) or 256 MiB.
        mesh: the devices that share gallery and work; the arguments are then the same in every
            process. None: the default device.

    Raises:
        UsageError: if shapes do not fit, there is no query, a query or an item that exists holds
            NaN or infinity, k is below 1 or above the number of items that exist, or the block is
            below 1.
    """
    query, gallery, mask = checked_rows(query, gallery, gallery_mask)
    k = guards.check_whole("k", k, 0)
    if not 1 <= k <= mask.sum():
        raise UsageError(
            f"k is {k}, but the gallery has {mask.sum()} items; give a number from 1 to that"
        )
    mesh = mesh or one_device()
    part = spread_units(gallery, mesh)
    exists = np.arange(len(part)) < len(gallery)
    exists[: len(mask)] &= mask
    exists = place(exists, part.sharding)
    run, whole = _search(mesh, k), NamedSharding(mesh, PartitionSpec())
    of_block = lambda rows: run(place(rows, whole), part, exists)
    # Each device scores all queries of a block, on 1 / n of the items.
    return Found(*map_blocks(of_block, query, len(gallery), mesh, block))


@functools.lru_cache(maxsize=64)
def _search(mesh: Mesh, k: int):
    """Returns the compiled search: `(query [B, d], gallery, exists) -> (index, scores)`."""
    columns, rows = PartitionSpec(None, mesh.axis_names), PartitionSpec(mesh.axis_names)

    def best_of_part(query: jax.Array, part: jax.Array, exists: jax.Array):
        scores = unit_scores(unit_rows(query).astype(jnp.float32), part)
        keys = ordered(scores, jnp.broadcast_to(~exists[None], scores.shape))
        keys, place = lax.top_k(keys, min(k, len(part)))  # among equals the first
        first = lax.axis_index(mesh.axis_names) * len(part)
        return keys, first + place, jnp.take_along_axis(scores, place, axis=1)

    search = jax.shard_map(
        best_of_part, mesh=mesh, in_specs=(PartitionSpec(), rows, rows), out_specs=columns
    )

    def merged(query: jax.Array, gallery: jax.Array, exists: jax.Array):
        # Parts lie in the order of the gallery: among equals the first is again the one of the
        # lowest index.
        keys, index, scores = search(query, gallery, exists)
        _, best = lax.top_k(keys, k)
        return tuple(jnp.take_along_axis(leaf, best, axis=1) for leaf in (index, scores))

    return jax.jit(merged, out_shardings=NamedSharding(mesh, PartitionSpec()))
