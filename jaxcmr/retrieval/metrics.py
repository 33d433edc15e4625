"""Scores of cross-modal retrieval: mAP and its relatives, exact, in bounded memory."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_rows
from jaxcmr.retrieval.blocks import (
    check_pairs,
    checked_rows,
    map_blocks,
    one_device,
    place,
    spread_units,
)
from jaxcmr.retrieval.labels import multi_hot, paired_labels
from jaxcmr.retrieval.measures import average_precision, hit_at, ndcg, precision_at, recall_at
from jaxcmr.retrieval.ranking import rank_relevance, relevance, unit_scores


class RetrievalScores(NamedTuple):
    """The scores of every query; all arrays are numpy, `[Q]` float32 unless said otherwise.

    `jaxcmr.retrieval.measures` defines each measure. A query without a relevant item scores 0.

    Attributes:
        average_precision: over the whole ranked gallery.
        ndcg: over the whole ranked gallery.
        average_precision_at: k -> AP@k, divided by the hits inside the top k.
        precision_at: k -> share of relevant items among the first k.
        recall_at: k -> share of the relevant items that are among the first k.
        hit_at: k -> 1 where at least one of the first k items is relevant.
        ndcg_at: k -> NDCG@k.
        num_relevant: int32, the relevant items in the gallery of each query.
    """

    average_precision: np.ndarray
    ndcg: np.ndarray
    average_precision_at: Mapping[int, np.ndarray]
    precision_at: Mapping[int, np.ndarray]
    recall_at: Mapping[int, np.ndarray]
    hit_at: Mapping[int, np.ndarray]
    ndcg_at: Mapping[int, np.ndarray]
    num_relevant: np.ndarray

    @property
    def mean_average_precision(self) -> float:
        """The mAP: the mean over all queries, those without a relevant item included as 0."""
        return _mean(self.average_precision)

    def rows(self, index: Any) -> "RetrievalScores":
        """Select queries, by a slice, a mask `[Q]` bool or row numbers, as numpy indexes."""
        return jax.tree.map(lambda scores: scores[index], self)

    def per_class(self, query_labels: Any, num_classes: int) -> np.ndarray:
        """Average the AP over the queries of each class.

        Args:
            query_labels: `[Q]`, or multi-hot `[Q, K]`: a query then counts for all its classes, and
                for none where its label is negative.
            num_classes: K.

        Returns:
            `[K]` float64; NaN for a class without a query.

        Raises:
            UsageError: if labels are not one a query, or are no classes below K.
        """
        num_classes = guards.check_whole("num_classes", num_classes, 1)
        queries = len(self.average_precision)
        if np.ndim(query_labels) == 2 and num_classes > 1:
            guards.check_shape("query_labels", query_labels, queries, num_classes)
            labels = multi_hot(query_labels, "query_labels")
        else:
            labels = guards.class_labels(query_labels, num_classes, (queries,), name="query_labels")
            labels = np.asarray(labels)[:, None] == np.arange(num_classes)
        member = labels.astype(np.float64)
        count = member.sum(axis=0)
        total = member.T @ self.average_precision.astype(np.float64)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def summary(self) -> dict[str, float]:
        """Return the means over all queries by name: "mAP", "NDCG", "mAP@10", "recall@10", ..."""
        means = {"mAP": self.mean_average_precision, "NDCG": _mean(self.ndcg)}
        measured = {
            "mAP": self.average_precision_at,
            "precision": self.precision_at,
            "recall": self.recall_at,
            "hit": self.hit_at,
            "NDCG": self.ndcg_at,
        }
        for name, by_k in measured.items():
            means |= {f"{name}@{k}": _mean(values) for k, values in by_k.items()}
        return means


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else 0.0


def retrieval_scores(
    query: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    *,
    at: Sequence[int] = (10, 50),
    keep_self: bool = True,
    gallery_mask: Any = None,
    block: int | None = None,
    mesh: Mesh | None = None,
) -> RetrievalScores:
    """Rank the gallery by cosine similarity for every query and measure the rankings.

    Exact: scores are float32, equal scores rank by gallery index. The work goes through the device
    in blocks of queries, so that memory grows with `Q + G`, not with `Q G`; on a mesh, each device
    holds its part of the gallery and ranks its share of each block. An ensemble is measured by
    passing the concatenated unit vectors of its members, whose cosine is the mean of theirs.

    Args:
        query: `[Q, d]` embeddings; a row of zeros (no entry above 1e-12) has similarity 0 to all.
        gallery: `[G, d]` embeddings.
        query_labels: `[Q]` whole numbers or names, or multi-hot `[Q, C]`: then sharing any label
            makes an item relevant. A negative number is no label: nothing is relevant.
        gallery_labels: `[G]`, or `[G, C]`.
        at: the values of k for the measures of the top k.
        keep_self: whether gallery item i belongs to the gallery of query i. True between two
            modalities; False for queries against their own modality, where it would rank first
            (RONO and CMCL keep it in their intra-modal tables).
        gallery_mask: `[G]` bool, False for items that do not exist (a missing modality, padding).
        block: queries a block and device; None: as many as fit 24 MiB (CPU) or 256 MiB.
        mesh: the devices that share gallery and work; the arguments are then the same in every
            process. None: the default device.

    Returns:
        The scores of every query, in order.

    Raises:
        UsageError: if shapes do not fit, there are no queries or no items, a query or an item that
            exists holds NaN or infinity, labels have two meanings (`[Q, 1]`) or none, a k or the
            block is no whole number of at least 1, or `keep_self=False` with unequal numbers of
            queries and items.
    """
    at = _checked_ranks(at)
    query, gallery, mask = checked_rows(query, gallery, gallery_mask)
    counts = [len(labels) if np.ndim(labels) else 0 for labels in (query_labels, gallery_labels)]
    if counts != [len(query), len(gallery)]:
        raise UsageError(
            f"{counts[0]} labels for {len(query)} queries and {counts[1]} for {len(gallery)} "
            "items; give one label a row"
        )
    check_pairs(len(query), len(gallery), keep_self)
    query_labels, gallery_labels = paired_labels(query_labels, gallery_labels)
    mesh = mesh or one_device()
    run, whole = _measured(mesh, at), NamedSharding(mesh, PartitionSpec())
    everywhere = place((gallery_labels, mask), whole)
    part = spread_units(gallery, mesh)
    self_index = np.full(len(query), -1) if keep_self else np.arange(len(query))
    queries = (query, query_labels, self_index.astype(np.int32))
    of_block = lambda rows: run(*place(rows, whole), part, *everywhere)
    return RetrievalScores(**map_blocks(of_block, queries, len(gallery), mesh, block))


@functools.lru_cache(maxsize=64)
def _measured(mesh: Mesh, at: tuple[int, ...]):
    """Returns the compiled measures of a block: `(queries, gallery, labels and mask) -> [B]`."""
    rows = PartitionSpec(mesh.axis_names)

    def scored(query: jax.Array, part: jax.Array) -> jax.Array:
        scores = unit_scores(unit_rows(query).astype(jnp.float32), part)  # [B, G / n]
        if mesh.size == 1:
            return scores
        return lax.all_to_all(scores, mesh.axis_names, 0, 1, tiled=True)  # [B / n, G]

    def measured(query, query_labels, self_index, part, gallery_labels, gallery_mask):
        items = lax.iota(jnp.int32, len(gallery_mask))
        scores = scored(query, part)[:, : len(items)]  # without what fills up the last part
        excluded = ~gallery_mask[None, :] | (self_index[:, None] == items[None, :])
        relevant = relevance(query_labels, gallery_labels)
        return _all_measures(rank_relevance(scores, relevant, excluded), at)

    arguments = (PartitionSpec(), rows, rows, rows, PartitionSpec(), PartitionSpec())
    work = jax.shard_map(measured, mesh=mesh, in_specs=arguments, out_specs=rows)
    return jax.jit(work, out_shardings=NamedSharding(mesh, PartitionSpec()))


def chance_level(query_labels: Any, gallery_labels: Any, *, keep_self: bool = True) -> float:
    """Compute the expected mAP of rankings drawn at random, exactly.

    For R relevant items among G and `H = 1 + 1/2 + ... + 1/G`:
    `E[AP] = (H + (G - H) (R - 1) / (G - 1)) / G`; the mean over queries, 0 where R = 0.

    Args:
        query_labels: `[Q]`, or multi-hot `[Q, C]`.
        gallery_labels: `[G]`, or `[G, C]`.
        keep_self: False leaves item i out of the gallery of query i, as in `retrieval_scores`.

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: if there are no queries or no items, labels have two meanings (`[Q, 1]`) or
            none, or `keep_self=False` with unequal numbers of queries and items.
    """
    query, gallery = paired_labels(query_labels, gallery_labels)
    if not (len(query) and len(gallery)):
        raise UsageError(f"{len(query)} queries against {len(gallery)} items; give at least one")
    check_pairs(len(query), len(gallery), keep_self)
    if query.ndim == 1:
        counts = np.bincount(gallery[gallery >= 0], minlength=query.max() + 1)
        relevant = np.where(query >= 0, counts[query], 0)
    else:
        kinds, counts = np.unique(gallery, axis=0, return_counts=True)
        relevant = (query.astype(np.float64) @ kinds.T > 0) @ counts
    size = len(gallery)
    if not keep_self:
        size -= 1
        paired = (query & gallery).any(axis=1) if query.ndim == 2 else query == gallery
        relevant = relevant - (paired & (relevant > 0))
    if not size:
        return 0.0
    harmonic = np.sum(1 / np.arange(1, size + 1))
    spread = (size - harmonic) * (relevant - 1) / max(size - 1, 1)
    return float(np.mean(np.where(relevant > 0, (harmonic + spread) / size, 0)))


def _checked_ranks(at: Sequence[int]) -> tuple[int, ...]:
    if np.ndim(at) != 1:
        raise UsageError(f"at is {at!r}; give a tuple of numbers of ranks, such as ({at!r},)")
    at = tuple(dict.fromkeys(guards.check_whole("a rank of at", k, -math.inf) for k in at))
    if min(at, default=1) < 1:
        raise UsageError(f"at holds {min(at)}; give numbers of ranks of at least 1")
    return at


def _all_measures(ranked, at: tuple[int, ...]) -> dict[str, Any]:
    at_each = lambda measure: {k: measure(ranked, k) for k in at}
    return {
        "average_precision": average_precision(ranked),
        "ndcg": ndcg(ranked),
        "average_precision_at": at_each(average_precision),
        "precision_at": at_each(precision_at),
        "recall_at": at_each(recall_at),
        "hit_at": at_each(hit_at),
        "ndcg_at": at_each(ndcg),
        "num_relevant": jnp.sum(ranked, axis=-1, dtype=jnp.int32),
    }
