"""Measures of ranked lists: average precision, precision, recall, NDCG, precision-recall curve.

Every function takes `ranked [..., G]`, the relevance (0 or 1) of the gallery in rank order, as
`jaxcmr.retrieval.ranking.rank_relevance` returns it, and gives one value a list, `[...]`, float32.
Notation: `rel_r` is the relevance at rank r = 1..G, `hits_r = rel_1 + ... + rel_r` and
`R = hits_G`. A list without a relevant item scores 0 in every measure.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Shaped

Ranked = Shaped[Array, "*batch g"]
Value = Float[Array, "*batch"]

_WIDTH = 128


def cumulative_hits(ranked: Ranked) -> Float[Array, "*batch g"]:
    """Count the hits up to each rank: `hits_r`, `[..., G]` float32, exact up to 2^24 items."""
    *batch, size = ranked.shape
    pieces = -(-size // _WIDTH)
    padding = [(0, 0)] * len(batch) + [(0, pieces * _WIDTH - size)]
    x = jnp.pad((ranked != 0).astype(jnp.float32), padding).reshape(*batch, pieces, _WIDTH)
    # A product with a triangle of ones sums each piece; XLA's own cumsum is several times slower.
    triangle = jnp.triu(jnp.ones((_WIDTH, _WIDTH), jnp.float32))
    within = jnp.matmul(x, triangle, precision=lax.Precision.HIGHEST)
    totals = within[..., -1]
    before = jnp.cumsum(totals, axis=-1) - totals
    return (within + before[..., None]).reshape(*batch, pieces * _WIDTH)[..., :size]


def _ranks(ranked: Ranked) -> Int[Array, "*batch g"]:
    return lax.broadcasted_iota(jnp.int32, ranked.shape, ranked.ndim - 1) + 1


def _ratio(numerator: Value, denominator: Value) -> Value:
    return numerator / jnp.where(denominator > 0, denominator, 1)


def _top(ranked: Ranked, k: int | None) -> Shaped[Array, "*batch k"]:
    if k is not None and k < 1:
        raise ValueError(f"k is {k}; give a number of ranks of at least 1")
    return ranked[..., :k] != 0


def average_precision(ranked: Ranked, k: int | None = None) -> Value:
    """Compute the average precision: the mean of the precision at the ranks of the hits.

    `AP@k = 1 / hits_k * sum_{r <= k} rel_r hits_r / r`; over all ranks (`k=None`) `hits_k = R`.

    The divisor of AP@k is the number of hits inside the top k, as in the released code of RONO,
    RoMo and MRL, so that one hit at rank 1 scores 1 whatever else is missed. The stricter divisor
    `min(R, k)` is `AP@k * hits_k / min(R, k)`, where `hits_k = k * precision@k`.

    Args:
        ranked: `[..., G]` relevance in rank order.
        k: the number of ranks looked at; None for all, and so is a k above G.

    Returns:
        `[...]` float32 in [0, 1].

    Raises:
        ValueError: if k is below 1.
    """
    top = _top(ranked, k)
    hits = cumulative_hits(top)
    total = jnp.sum(jnp.where(top, hits / _ranks(top), 0), axis=-1)
    return _ratio(total, hits[..., -1])


def precision_at(ranked: Ranked, k: int) -> Value:
    """Compute the share of relevant items among the first k: `hits_k / k`, also for k above G."""
    return jnp.sum(_top(ranked, k), axis=-1, dtype=jnp.float32) / k


def recall_at(ranked: Ranked, k: int) -> Value:
    """Compute the share of the relevant items found among the first k: `hits_k / R`.

    With hundreds of relevant items (class-level retrieval) it stays small for small k; it is at
    most `k / R`. `hit_at` is the "R@k" of instance-level (image-caption) retrieval.
    """
    found = jnp.sum(_top(ranked, k), axis=-1, dtype=jnp.float32)
    return _ratio(found, jnp.sum(ranked != 0, axis=-1, dtype=jnp.float32))


def hit_at(ranked: Ranked, k: int) -> Value:
    """Tell whether at least one of the first k items is relevant: `[hits_k > 0]`."""
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

    Raises:
        ValueError: if k is below 1.
    """
    top = _top(ranked, k)
    discount = 1 / np.log2(np.arange(2, top.shape[-1] + 2))
    gain = jnp.matmul(
        top.astype(jnp.float32),
        jnp.asarray(discount, jnp.float32),
        precision=lax.Precision.HIGHEST,
    )
    ideal = jnp.asarray(np.concatenate([[0.0], np.cumsum(discount)]), jnp.float32)
    reachable = jnp.minimum(jnp.sum(ranked != 0, axis=-1, dtype=jnp.int32), top.shape[-1])
    return _ratio(gain, ideal[reachable])


def interpolated_precision(
    ranked: Ranked, recall_levels: Sequence[float]
) -> Float[Array, "*batch l"]:
    """Compute the precision-recall curve of each list, interpolated as in TREC.

    `P(level) = max { hits_r / r : hits_r / R >= level }`.

    Args:
        ranked: `[..., G]` relevance in rank order.
        recall_levels: L values in [0, 1].

    Returns:
        `[..., L]` float32, not increasing along the levels if these increase.
    """
    hits = cumulative_hits(ranked)
    precision = hits / _ranks(ranked)
    total = hits[..., -1:]

    def best_from(level):
        # The slack keeps a level such as 3/10 from missing the third of ten hits by rounding.
        return jnp.max(jnp.where(hits >= total * level - 1e-3, precision, 0), axis=-1)

    return jnp.stack([best_from(float(level)) for level in recall_levels], axis=-1)
