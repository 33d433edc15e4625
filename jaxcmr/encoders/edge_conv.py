"""Edge convolution with batch norm and maximum, computed on points instead of edges."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.neighbors import in_degree, neighbor_max, neighbor_sum
from jaxcmr.encoders.norm import BatchNorm, Moments, along


def edge_conv(
    x: jax.Array,
    neighbors: jax.Array,
    neighbor_kernel: jax.Array,
    center_kernel: jax.Array,
    norm: BatchNorm,
    *,
    train: bool,
    negative_slope: float = 0.0,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Computes `max_j LeakyReLU(BN(e_ij))`, `e_ij = x_j U + x_i V + bias`, j a neighbor of i.

    Nothing of the size of the edges is built:
    * the products are taken on points, `a = x U` and `b = x V + bias`, and `e_ij = a_j + b_i`;
    * batch norm and LeakyReLU are monotone in each channel, so the maximum over j is taken of
      `a_j` alone, of `-a_j` where the channel's scale is negative;
    * the moments of all edges follow from sums over points: with m_j the number of points that
      look at j, `S_i = sum_j a_j`, and a, b centered,
      `var = (sum_j m_j a_j^2 + 2 sum_i b_i S_i + k sum_i b_i^2) / (k N)`.

    Args:
        x: `[B, N, D]`.
        neighbors: `[B, N, k]` int32 rows.
        neighbor_kernel: U, `[D, C]`; of an edge feature `[x_j - x_i, x_i]` its first half.
        center_kernel: V, `[D, C]`; of the same its second half minus its first.
        norm: the batch norm.
        train: whether to normalise by the moments of this batch.
        negative_slope: slope of LeakyReLU below zero, not negative.
        bias: `[C]`.
        mask: `[B, N]` bool, False for padded points: they enter no moment. No real point may look
            at a padded one.

    Returns:
        `[B, N, C]`, in the dtype of `x`.
    """
    dtype = x.dtype
    neighbor_kernel, center_kernel = neighbor_kernel.astype(dtype), center_kernel.astype(dtype)
    a = x @ neighbor_kernel
    b = x @ center_kernel
    if bias is not None:
        b = b + along(bias.astype(dtype), b)
    batch = None
    if train:
        # Summing whichever has fewer channels; the sum and the product commute.
        narrow = x.shape[-1] < a.shape[-1]
        summed = neighbor_sum(x if narrow else a, neighbors)
        summed = summed @ neighbor_kernel if narrow else summed
        batch = edge_moments(a, b, summed, neighbors, mask)
    scale, offset = norm.affine(a.shape[-1], batch)
    sign = along(jnp.where(scale < 0, -1, 1).astype(dtype), a)
    extreme = sign * neighbor_max(sign * a, neighbors)
    y = (extreme + b).astype(jnp.float32) * along(scale, a) + along(offset, a)
    return jnp.maximum(y, negative_slope * y).astype(dtype)


def edge_moments(
    a: jax.Array, b: jax.Array, summed: jax.Array, neighbors: jax.Array, mask: jax.Array | None
) -> Moments:
    """Computes the moments of `a_j + b_i` over all edges; `summed` is `sum_j a_j` by point i."""
    k = neighbors.shape[-1]
    a, b, summed = (array.astype(jnp.float32) for array in (a, b, summed))
    weight = jnp.ones(a.shape[:2]) if mask is None else mask.astype(jnp.float32)
    points = jnp.maximum(weight.sum(), 1.0)
    looked_at = in_degree(neighbors, weight)[..., None]
    weight = weight[..., None]
    over_points = lambda values: values.sum((0, 1)) / points
    mean_a = over_points(looked_at * a) / k
    mean_b = over_points(weight * b)
    a, b, summed = a - along(mean_a, a), b - along(mean_b, b), summed - k * along(mean_a, a)
    var = over_points(looked_at * a * a + weight * b * (2 * summed + k * b)) / k
    # Rounding may take the variance of a constant channel below zero.
    return Moments(mean_a + mean_b, lax.max(var, 0.0), k * points)
