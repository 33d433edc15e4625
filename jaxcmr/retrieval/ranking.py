"""Ranks a gallery for each query, exactly: cosine scores, relevance, and one sort for both."""

import jax
import jax.numpy as jnp
from jax import lax


def unit_rows(embeddings: jax.Array) -> jax.Array:
    """Scale rows to length one: `x / |x|`, float32; a row of zeros stays zero.

    Args:
        embeddings: `[N, d]`, any float dtype; the largest finite values do not overflow.

    Returns:
        `[N, d]` float32.
    """
    x = embeddings.astype(jnp.float32)
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    x = x / jnp.where(largest > 0, largest, 1)
    length = jnp.sqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True))
    return x / jnp.where(length > 0, length, 1)


def cosine_scores(query: jax.Array, gallery: jax.Array) -> jax.Array:
    """Compute the cosine similarity of all pairs, in full float32 on every platform.

    Args:
        query: `[Q, d]`.
        gallery: `[G, d]`.

    Returns:
        `[Q, G]` float32 in [-1, 1] up to rounding; 0 where a row is all zeros.
    """
    return jnp.matmul(unit_rows(query), unit_rows(gallery).T, precision=lax.Precision.HIGHEST)


def relevance(query_labels: jax.Array, gallery_labels: jax.Array) -> jax.Array:
    """Tell which gallery items are relevant for which query.

    Args:
        query_labels: `[Q]` whole numbers, or `[Q, C]` multi-hot.
        gallery_labels: `[G]` or `[G, C]`, of the same form.

    Returns:
        `[Q, G]` bool: True where the labels are equal; multi-hot: where any label is shared.

    Raises:
        ValueError: if one is a vector and the other multi-hot, or the numbers of labels differ.
    """
    if query_labels.ndim == 1 and gallery_labels.ndim == 1:
        return query_labels[:, None] == gallery_labels[None, :]
    if query_labels.ndim != 2 or query_labels.shape[1:] != gallery_labels.shape[1:]:
        raise ValueError(
            f"query labels have shape {query_labels.shape} and gallery labels "
            f"{gallery_labels.shape}; give [Q] and [G], or multi-hot [Q, C] and [G, C]"
        )
    carries = lambda labels: (labels != 0).astype(jnp.float32)
    return carries(query_labels) @ carries(gallery_labels).T > 0


def rank_relevance(
    scores: jax.Array, relevant: jax.Array, excluded: jax.Array | None = None
) -> jax.Array:
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
    """
    scores = scores.astype(jnp.float32)
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    bits = lax.bitcast_convert_type(jnp.where(scores == 0, 0.0, scores), jnp.int32)  # -0 equals 0
    ascending = jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)
    descending = ~ascending
    if excluded is not None:
        descending = jnp.where(excluded, jnp.int32(0x7FFFFFFF), descending)  # behind -inf
        relevant = relevant & ~excluded
    with jax.enable_x64(True):
        index = lax.broadcasted_iota(jnp.int64, scores.shape, scores.ndim - 1)
        low = index << 1 | lax.convert_element_type(relevant, jnp.int64)
        keys = lax.convert_element_type(descending, jnp.int64) << 32 | low
        keys = lax.sort(keys, dimension=keys.ndim - 1, is_stable=False)
        return lax.convert_element_type(keys & 1, jnp.bool_)
