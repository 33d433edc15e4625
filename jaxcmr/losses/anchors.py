"""One anchor against the whole batch: how every pairwise loss is laid out, in blocks or shards.

A pairwise loss compares each of the `V * B` embeddings of a batch (the anchor) with all of them
(the columns). It is written once, as a function of one anchor and the columns; here it is mapped
over the anchors, all at once, a block at a time, or over this device's share of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr import guards
from jaxcmr.numerics import at_least_float32, unit_rows
from jaxcmr.shapes import Array, Bool, Float, Integer, ScalarLike


class Rows(NamedTuple):
    """What a pairwise loss uses of each embedding; every leaf has the leading axes `[V, B]`.

    Attributes:
        embedding: `[V, B, d]`, zero where not present.
        modality: `[V, B]` number of the modality.
        instance: `[V, B]` number of the pair, shared by the modalities, counted over all devices.
        present: `[V, B]` False for rows that take no part.
        label: `[V, B]` class, negative where unknown.
        weight: `[V, B]` trust in the label, 0 where there is none.
    """

    embedding: Float[Array, "*v d"]
    modality: Integer[Array, "*v"]
    instance: Integer[Array, "*v"]
    present: Bool[Array, "*v"]
    label: Integer[Array, "*v"]
    weight: Float[Array, "*v"]

    def is_pair_of(self, other: "Rows") -> Bool[Array, "..."]:
        """True where both show the same thing in different modalities."""
        return (self.instance == other.instance) & (self.modality != other.modality)

    def shares_label_with(self, other: "Rows") -> Bool[Array, "..."]:
        """True where both have the same known label."""
        return (self.label == other.label) & (self.label >= 0)

    def is_row(self, other: "Rows") -> Bool[Array, "..."]:
        """True where both are the same embedding."""
        return (self.instance == other.instance) & (self.modality == other.modality)


def paired_rows(
    embeddings: Float[Array, "v b d"],
    *,
    present: Bool[Array, "v b"] | None,
    normalize: bool,
    labels: Integer[Array, "b"] | None = None,
    weights: Float[Array, "b"] | None = None,
) -> Rows:
    """Returns the rows of a batch of instances, without labels and with weight 1 by default.

    Raises:
        UsageError: embeddings are not `[V, B, d]`, or another argument does not fit them.
    """
    embeddings = guards.check_shape("embeddings", embeddings, "V", "B", "d")
    shape = embeddings.shape[:2]
    embeddings = at_least_float32(embeddings)
    present = guards.row_mask(present, shape, name="present")
    # The filling of a row that is not present must not reach a product, not even times zero.
    embeddings = jnp.where(present[..., None], embeddings, 0.0)
    known = jnp.full(shape[1:], -1) if labels is None else labels
    labels = jnp.broadcast_to(guards.class_labels(known, None, shape[1:])[None], shape)
    weights = jnp.ones(shape[1:]) if weights is None else weights
    weights = guards.check_shape("weights", weights, *shape[1:])
    weights = jnp.broadcast_to(jnp.asarray(weights).astype(embeddings.dtype)[None], shape)
    weights = jnp.where(present & (labels >= 0), weights, 0.0)
    return Rows(
        embedding=unit_rows(embeddings) if normalize else embeddings,
        modality=lax.broadcasted_iota(jnp.int32, shape, 0),
        instance=lax.broadcasted_iota(jnp.int32, shape, 1),
        present=present,
        label=labels,
        weight=weights,
    )


def similarities(anchor: Rows, columns: Rows, temperature: ScalarLike = 1.0) -> Float[Array, "v b"]:
    """Returns the dot products of one anchor with every column over the temperature."""
    # Divided before the product, so that compilers cannot merge the division into a later
    # subtraction of the maximum. Accelerators round the factors of a float32 product by default;
    # over a small temperature that error would show in the loss.
    scaled = anchor.embedding / temperature
    return jnp.einsum("vbd,d->vb", columns.embedding, scaled, precision=lax.Precision.HIGHEST)


def map_anchors(
    value_of: Callable[[Rows, Rows], Float[Array, ""]],
    rows: Rows,
    *,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Float[Array, "v b"]:
    """Evaluate `value_of(anchor, columns)` for every anchor; anchors not present give 0.

    Args:
        value_of: a scalar from one row and the columns `[V, B]` of all rows.
        rows: the embeddings of this batch, or of this device's share of it.
        block_size: None compares all pairs at once and keeps `(V B)^2` similarities for the
            gradient. A number keeps `block_size * V B` at a time and computes them again in the
            backward pass: memory linear in the batch, for about a third more arithmetic.
        axis_name: inside `shard_map`, the mesh axis over which the instances are sharded: the
            columns are then those of all devices, the anchors those of this device.

    Raises:
        UsageError: `block_size` is not positive.
    """
    if block_size is not None:
        block_size = guards.check_whole("block_size", block_size, 1)
    columns = rows
    if axis_name is not None:
        first = lax.axis_index(axis_name) * rows.instance.shape[1]
        rows = rows._replace(instance=rows.instance + first)
        columns = jax.tree.map(lambda x: lax.all_gather(x, axis_name, axis=1, tiled=True), rows)

    def of_anchor(anchor: Rows) -> Float[Array, ""]:
        return jnp.where(anchor.present, value_of(anchor, columns), 0.0)

    if block_size is None:
        # Two maps rather than one over V * B rows: merging the axes would undo the sharding of B.
        return jax.vmap(jax.vmap(of_anchor))(rows)
    shape = rows.present.shape
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)
    of_block = jax.checkpoint(of_anchor, prevent_cse=False)
    return lax.map(of_block, flat, batch_size=block_size).reshape(shape)
