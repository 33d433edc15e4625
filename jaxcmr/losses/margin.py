"""Losses on the distances between the modalities of an instance."""

import jax.numpy as jnp

from jaxcmr import guards
from jaxcmr.losses.anchors import Rows, map_anchors, paired_rows, similarities
from jaxcmr.shapes import Array, Bool, Float, ScalarLike


def cross_modal_margin(
    embeddings: Float[Array, "v b d"],
    *,
    margin: ScalarLike = 0.9,
    present: Bool[Array, "v b"] | None = None,
    normalize: bool = True,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Float[Array, "v b"]:
    """Compute NIRNL's cross-modal margin preservation loss (CMP), a hinge over the whole batch.

        V sum_{u != v} mean_j max(0, <z_vi, z_uj> - <z_vi, z_ui> + margin)

    The mean runs over all present instances j of modality u, i itself included (whose term is the
    margin). Anchors whose item is missing in modality u skip that modality.

    Args:
        embeddings: `[V, B, d]`, row b of every modality shows the same thing.
        margin: how much nearer than any other item the partner of the anchor should be.
        present, normalize, block_size, axis_name: as in `losses.contrastive`.

    Returns:
        `[V, B]`; the paper's loss, the sum over both directions of the mean over all B x B pairs,
        is the mean over all V * B entries.

    Raises:
        UsageError: shapes do not fit.

    Example:
        >>> z = jnp.stack([jnp.eye(2), jnp.eye(2)])
        >>> print(losses.cross_modal_margin(z, margin=0.9).mean())
        0.9

    References:
        NIRNL, AAAI 2026, its released rank loss.
    """
    guards.check_range("margin", margin)
    rows = paired_rows(embeddings, present=present, normalize=normalize)
    modalities = rows.present.shape[0]

    def value_of(anchor: Rows, columns: Rows) -> Float[Array, ""]:
        scores = similarities(anchor, columns)
        partner = columns.present & anchor.is_pair_of(columns)
        partner_score = jnp.sum(jnp.where(partner, scores, 0.0), axis=1, keepdims=True)
        hinge = jnp.maximum(scores - partner_score + margin, 0.0)
        total = jnp.sum(jnp.where(columns.present, hinge, 0.0), axis=1)
        mean = total / jnp.maximum(jnp.sum(columns.present, axis=1), 1)
        return modalities * jnp.sum(jnp.where(jnp.any(partner, axis=1), mean, 0.0))

    return map_anchors(value_of, rows, block_size=block_size, axis_name=axis_name)


def modality_distance(
    embeddings: Float[Array, "v b d"], *, present: Bool[Array, "v b"] | None = None
) -> Float[Array, "b"]:
    """Compute the squared distances between the modalities of each instance.

        sum_{u < v} 1/d ||x_u - x_v||^2

    Args:
        embeddings: `[V, B, d]`; not normalised.
        present: `[V, B]`; pairs of which one item is missing are left out.

    Returns:
        `[B]`, 0 where fewer than two modalities are present.

    Raises:
        UsageError: shapes do not fit.

    Example:
        >>> z = jnp.array([[[0.0, 0.0]], [[1.0, 3.0]]])
        >>> print(losses.modality_distance(z))  # (1^2 + 3^2) / 2
        [5.]

    References:
        Jing et al.: Cross-modal center loss for 3D cross-modal retrieval, CVPR 2021, the mean
        squared error between the features of each two modalities.
    """
    rows = paired_rows(embeddings, present=present, normalize=False)
    first, second = jnp.triu_indices(rows.present.shape[0], k=1)
    difference = rows.embedding[first] - rows.embedding[second]
    both = rows.present[first] & rows.present[second]
    squares = jnp.mean(jnp.square(difference), axis=-1)
    return jnp.sum(jnp.where(both, squares, 0.0), axis=0)
