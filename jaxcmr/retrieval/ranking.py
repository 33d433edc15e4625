"""Ranks a gallery for each query, exactly: scores, relevance, and one sort for both."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.retrieval.labels import check_forms, paired_labels
from jaxcmr.shapes import Array, Bool, Float, Int, Shaped

EXCLUDED = -(2**31)  # what `ordered` gives for an item that takes part in no ranking


def unit_scores(query: Float[Array, "q d"], gallery: Float[Array, "g d"]) -> Float[Array, "q g"]:
    """Compute the inner products of all pairs, in full float32 on every platform.

    Args:
        query: `[Q, d]`; unit rows make the products cosine similarities.
        gallery: `[G, d]`, likewise.

    Returns:
        `[Q, G]` float32. Rounding may set the scores of equal gallery rows apart by a last bit, as
        in every float32 product.

    Raises:
        UsageError: if shapes do not fit.
    """
    query = guards.check_shape("query", query, "Q", "d")
    gallery = guards.check_shape("gallery", gallery, "G", np.shape(query)[1])
    query, gallery = jnp.asarray(query, jnp.float32), jnp.asarray(gallery, jnp.float32)
    return jnp.matmul(
        query, gallery.T, precision=lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )


def relevance(
    query_labels: Shaped[Array, "q *form"], gallery_labels: Shaped[Array, "g *other_form"]
) -> Bool[Array, "q g"]:
    """Return which gallery items are relevant for which query.

    Args:
        query_labels: `[Q]` whole numbers, a negative one for no label, or `[Q, C]` multi-hot.
        gallery_labels: `[G]` or `[G, C]`, of the same form.

    Returns:
        `[Q, G]` bool: True where both have the same label; multi-hot: where any label is shared.

    Raises:
        UsageError: if one is a vector and the other multi-hot, or the numbers of labels differ;
            where labels can be looked at, if they are no labels.
    """
    check_forms(query_labels, gallery_labels)
    if guards.is_concrete(query_labels, gallery_labels):
        query_labels, gallery_labels = paired_labels(query_labels, gallery_labels)
    query_labels, gallery_labels = jnp.asarray(query_labels), jnp.asarray(gallery_labels)
    if query_labels.ndim == 1:
        same = query_labels[:, None] == gallery_labels[None, :]
        return same & (query_labels >= 0)[:, None]
    carries = lambda labels: (labels > 0).astype(jnp.float32)
    return carries(query_labels) @ carries(gallery_labels).T > 0


def ordered(
    scores: Float[Array, "*batch g"], excluded: Bool[Array, "*batch g"] | None = None
) -> Int[Array, "*batch g"]:
    """Map float32 scores to int32 that order as they do, no bit lost; equal scores stay equal.

    NaN comes with the least of them, -inf; `excluded` items below it, at `EXCLUDED`.

    Raises:
        UsageError: if `excluded` has another shape, or holds no truth values.
    """
    scores = jnp.asarray(scores, jnp.float32)
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    bits = lax.bitcast_convert_type(jnp.where(scores == 0, 0.0, scores), jnp.int32)  # -0 equals 0
    ascending = jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)
    if excluded is None:
        return ascending
    excluded = guards.row_mask(excluded, ascending.shape, name="excluded")
    return jnp.where(excluded, jnp.int32(EXCLUDED), ascending)


def rank_relevance(
    scores: Float[Array, "*batch g"],
    relevant: Bool[Array, "*batch g"],
    excluded: Bool[Array, "*batch g"] | None = None,
) -> Bool[Array, "*batch g"]:
    """Bring the relevance of each row into rank order: descending score, ties by gallery index.

    One sort of 64-bit keys: the 32 bits of the score, mapped so that whole numbers order as the
    scores do; then the gallery index; then the relevance as the lowest bit. All keys of a row
    differ, hence the order is that of a stable sort, with no bit of the score lost, and the
    relevance needs no gather. Nothing of 64 bits enters or leaves: the setting `jax_enable_x64`
    of the caller does not matter, and the function works inside `jit`, `vmap` and `lax.map`.

    Args:
        scores: `[..., G]`, compared as float32; NaN ranks behind all numbers.
        relevant: `[..., G]` bool.
        excluded: `[..., G]` bool: items that take part in no ranking; they go to the end and
            count as irrelevant. None: no such item.

    Returns:
        `[..., G]` bool; entry r is the relevance of the item of rank r + 1.

    Raises:
        UsageError: if shapes differ, or `relevant` or `excluded` hold no truth values.
    """
    scores = guards.check_shape("scores", scores, "...", "G")
    scores = jnp.asarray(scores)
    relevant = guards.row_mask(relevant, scores.shape, name="relevant")
    descending = ~ordered(scores, excluded)
    if excluded is not None:
        relevant = relevant & ~guards.truth(excluded, name="excluded")
    with jax.enable_x64(True):
        index = lax.broadcasted_iota(jnp.int64, scores.shape, scores.ndim - 1)
        low = index << 1 | lax.convert_element_type(relevant, jnp.int64)
        keys = lax.convert_element_type(descending, jnp.int64) << 32 | low
        keys = lax.sort(keys, dimension=keys.ndim - 1, is_stable=False)
        return lax.convert_element_type(keys & 1, jnp.bool_)
