"""The compiled search: the best items of a part of a gallery, without a sort of all scores.

The part passes by in steps. Of each step the scores are computed, then the largest of every chunk
of them, and only the k chunks with the largest maxima are looked into. This loses nothing: if the
chunk of an item is not among these k, each of them holds an item that ranks before it, by a larger
score or by the same score and a smaller index.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcmr.numerics import unit_rows
from jaxcmr.retrieval.ranking import unit_scores

CHUNK = 64  # scores of which one maximum is kept
RECALL = 0.95  # the share of the k best that an approximate search finds, on average


@functools.lru_cache(maxsize=64)
def nearest(mesh: Mesh, k: int, scores: int, approx: bool) -> Callable:
    """Return the compiled search of a part of a gallery.

    Args:
        mesh: the devices over which the part is spread.
        k: how many items to find; fewer where the part is smaller.
        scores: how many of them a device holds at a time.
        approx: whether `jax.lax.approx_max_k` chooses the chunks; it misses some on a TPU.

    Returns:
        `(query [Q, d], part [P, d], mask [P]) -> (index, scores)`, `[Q, min(k, P)]` each, the best
        first, equal ones by index. Items that the mask leaves out come last, at -inf.
    """
    columns, rows = PartitionSpec(None, mesh.axis_names), PartitionSpec(mesh.axis_names)

    def of_share(query: jax.Array, share: jax.Array, mask: jax.Array):
        query = unit_rows(query)
        size = _step(len(share), scores // len(query))

        def of_step(first):
            items = lax.dynamic_slice_in_dim(share, first, size)
            there = lax.dynamic_slice_in_dim(mask, first, size)
            index, best = _best(unit_scores(query, items), there, k, approx)
            return first + index, best

        if size == len(share):
            index, best = of_step(0)
        else:
            best = jnp.full((len(query), min(k, len(share))), -jnp.inf)
            none = lax.pcast((best.astype(jnp.int32), best), mesh.axis_names, to="varying")
            (index, best), _ = lax.scan(
                lambda so_far, first: (_merged(so_far, of_step(first), k), None),
                none,
                jnp.arange(0, len(share), size, jnp.int32),
            )
        return lax.axis_index(mesh.axis_names) * len(share) + index, best

    search = jax.shard_map(
        of_share, mesh=mesh, in_specs=(PartitionSpec(), rows, rows), out_specs=(columns, columns)
    )

    def of_part(query: jax.Array, part: jax.Array, mask: jax.Array):
        found = search(query, part, mask)
        return found if mesh.size == 1 else _top(*found, k)

    return jax.jit(of_part, out_shardings=NamedSharding(mesh, PartitionSpec()))


def _step(items: int, most: int) -> int:
    """Returns how many items a step takes: all, or a power of two that divides them."""
    return items if items <= most else min(items & -items, 1 << (most.bit_length() - 1))


def _merged(before: tuple, after: tuple, k: int) -> tuple[jax.Array, jax.Array]:
    return _top(*(jnp.concatenate(both, axis=1) for both in zip(before, after)), k)


def _top(index: jax.Array, scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Returns the k best of `[Q, n]`, among equals those that come first."""
    best, place = lax.top_k(scores, min(k, scores.shape[1]))
    return jnp.take_along_axis(index, place, axis=1), best


def _best(scores: jax.Array, mask: jax.Array, k: int, approx: bool) -> tuple[jax.Array, jax.Array]:
    """Returns columns and values of the k best scores of `[Q, n]`, equal ones by column."""
    queries, items = scores.shape
    if items % CHUNK or items <= k * CHUNK:
        return lax.top_k(_masked(scores, mask[None]), min(k, items))[::-1]
    # Masked twice, where it is fused with what reads it, so that scores are written once.
    chunks, masks = scores.reshape(queries, -1, CHUNK), mask.reshape(-1, CHUNK)
    largest = _masked(chunks, masks[None]).max(axis=-1)
    choose = functools.partial(lax.approx_max_k, recall_target=RECALL) if approx else lax.top_k
    chosen = jnp.sort(choose(largest, k)[1], axis=1)
    inside = jnp.take_along_axis(chunks, chosen[:, :, None], axis=1)
    inside = _masked(inside, masks[chosen]).reshape(queries, -1)
    columns = chosen[:, :, None] * CHUNK + jnp.arange(CHUNK, dtype=jnp.int32)[None, None]
    return _top(columns.reshape(queries, -1), inside, k)


def _masked(scores: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.where(mask, jnp.where(scores == 0, 0.0, scores), -jnp.inf)  # -0 equals 0
