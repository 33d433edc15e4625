"""Measures of ranked lists: average precision, precision, recall, hits, NDCG.

Every function takes `ranked [..., G]`, the relevance (0 or 1) of the gallery in rank order, as
`jaxcmr.retrieval.ranking.rank_relevance` returns it, and gives one value a list, `[...]`, float32.
Notation: `rel_r` is the relevance at rank r = 1..G, `hits_r = rel_1 + ... + rel_r` and
`R = hits_G`. A list without a relevant item scores 0 in every measure. Every function
raises a `UsageError` for a `ranked` without an axis or of other numbers than 0 and 1, and for a `k`
that is no whole number of at least 1.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.shapes import Array, Bool, Float, Int, Shaped

Ranked = Shaped[Array, "*batch g"]
Value = Float[Array, "*batch"]

_WIDTH = 128


def cumulative_hits(ranked: Ranked) -> Float[Array, "*batch g"]:
    """Count the hits up to each rank: `hits_r`, `[..., G]` float32, exact up to 2^24 items."""
    ranked = _relevant(ranked)
    *batch, size = ranked.shape
    pieces = -(-size // _WIDTH)
    padding = [(0, 0)] * len(batch) + [(0, pieces * _WIDTH - size)]
    x = jnp.pad(ranked.astype(jnp.float32), padding).reshape(*batch, pieces, _WIDTH)
    # A product with a triangle of ones sums each piece; the cumsum of XLA is several times slower.
    triangle = jnp.triu(jnp.ones((_WIDTH, _WIDTH), jnp.float32))
    within = jnp.matmul(x, triangle, precision=lax.Precision.HIGHEST)
    totals = within[..., -1]
    before = jnp.cumsum(totals, axis=-1) - totals
    return (within + before[..., None]).reshape(*batch, pieces * _WIDTH)[..., :size]


def _relevant(ranked: Ranked) -> Bool[Array, "*batch g"]:
    ranked = guards.check_shape("ranked", ranked, "...", "G")
    return guards.truth(ranked, name="ranked")


def _ranks(ranked: Ranked) -> Int[Array, "*batch g"]:
    return lax.broadcasted_iota(jnp.int32, ranked.shape, ranked.ndim - 1) + 1


def _ratio(numerator: Value, denominator: Value) -> Value:
    return numerator / jnp.where(denominator > 0, denominator, 1)


def _top(ranked: Ranked, k: int) -> Bool[Array, "*batch k"]:
    return _relevant(ranked)[..., : guards.check_whole("k", k, 1)]


def _count(top: Bool[Array, "*batch k"]) -> Value:
    return jnp.sum(top, axis=-1, dtype=jnp.float32)


def average_precision(ranked: Ranked, k: int | None = None) -> Value:
    """Compute the average precision: the mean of the precision at the ranks of the hits.

    `AP@k = 1 / hits_k * sum_{r <= k} rel_r hits_r / r`; over all ranks (`k=None`) `hits_k = R`.

    The divisor of AP@k is the number of hits inside the top k, as in the released code of RONO,
    RoMo and MRL, so that a single hit in the top k, at rank 1, scores 1. The stricter divisor
    `min(R, k)` is `AP@k * hits_k / min(R, k)`, where `hits_k = k * precision@k`.

    Args:
        ranked: `[..., G]` relevance in rank order.
        k: the number of ranks looked at; None for all, and so is a k above G.

    Returns:
        `[...]` float32 in [0, 1].
    """
    top = _relevant(ranked) if k is None else _top(ranked, k)
    hits = cumulative_hits(top)
    total = jnp.sum(jnp.where(top, hits / _ranks(top), 0), axis=-1)
    return _ratio(total, _count(top))


def precision_at(ranked: Ranked, k: int) -> Value:
    """Compute the share of relevant items among the first k: `hits_k / k`, also for k above G."""
    return _count(_top(ranked, k)) / k


def recall_at(ranked: Ranked, k: int) -> Value:
    """Compute the share of the relevant items found among the first k: `hits_k / R`.

    With hundreds of relevant items (class-level retrieval) it stays small for small k; it is at
    most `k / R`. `hit_at` is the "R@k" of instance-level (image-caption) retrieval.
    """
    return _ratio(_count(_top(ranked, k)), _count(_relevant(ranked)))


def hit_at(ranked: Ranked, k: int) -> Value:
    """Return 1 where at least one of the first k items is relevant, `[hits_k > 0]`, else 0."""
    return jnp.any(_top(ranked, k), axis=-1).astype(jnp.float32)


def ndcg(ranked: Ranked, k: int | None = None) -> Value:
    """Compute the normalised discounted cumulative gain with gains 0 and 1.

    `NDCG@k = sum_{r <= k} rel_r / log2(r + 1)  /  sum_{r <= min(R, k)} 1 / log2(r + 1)`
    (Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002).

    Args:
        ranked: `[..., G]` relevance in rank order.
        k: the number of ranks looked at; None for all.

    Returns:
        `[...]` float32 in [0, 1].
    """
    top = _relevant(ranked) if k is None else _top(ranked, k)
    discount = 1 / np.log2(np.arange(2, top.shape[-1] + 2))
    gain = jnp.matmul(
        top.astype(jnp.float32),
        jnp.asarray(discount, jnp.float32),
        precision=lax.Precision.HIGHEST,
    )
    ideal = jnp.asarray(np.concatenate([[0.0], np.cumsum(discount)]), jnp.float32)
    relevant = jnp.sum(_relevant(ranked), axis=-1, dtype=jnp.int32)
    reachable = jnp.minimum(relevant, top.shape[-1])
    return _ratio(gain, ideal[reachable])
