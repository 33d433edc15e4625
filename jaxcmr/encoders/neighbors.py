"""Neighbor graphs of points: finding the nearest, and reducing over them without edge tensors.

A graph is `neighbors [B, N, k]` int32: the rows of the neighbors of each of N points, in the same
cloud. Every reduction walks over the k columns and gathers `[B, N, C]` at a time: nothing here has
the size of the edges times the channels, `[B, N, k, C]`, neither forward nor backward.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.platform import platform

# Distances held at once, in floats: enough to keep the matmul busy, small beside the activations.
# Elsewhere than on a CPU each block is a handful of kernels, which must have enough to do.
CPU_BLOCK_FLOATS, ACCELERATOR_BLOCK_FLOATS = 1 << 22, 1 << 26
# Up to this many points a dense adjacency times the gradient beats scattering it row by row.
DENSE_POINTS = 2048


def nearest(x: jax.Array, k: int) -> jax.Array:
    """Finds the `k` nearest points of each point, itself included, by Euclidean distance.

    `|x_i - x_j|^2 = |x_i|^2 - 2 x_i.x_j + |x_j|^2` in float32, for blocks of rows, so that memory
    grows with N and not with its square. Among equal distances the lower row comes first. No
    gradient flows.

    Args:
        x: `[B, N, D]` points or features.
        k: number of neighbors; N if there are fewer than `k` points.

    Returns:
        `[B, N, min(k, N)]` int32, nearest first.
    """
    x = lax.stop_gradient(x.astype(jnp.float32))
    clouds, points, channels = x.shape
    if jax.export.is_symbolic_dim(clouds):  # no block can be made to fit: cloud by cloud
        return lax.map(lambda cloud: nearest(cloud[None], k)[0], x)
    k = min(k, points)
    square = jnp.square(x).sum(-1)
    cpu = platform() == "cpu"
    floats = CPU_BLOCK_FLOATS if cpu else ACCELERATOR_BLOCK_FLOATS
    block = min(points, max(1, floats // (clouds * points)))
    blocks = -(-points // block)
    padded = jnp.pad(x, ((0, 0), (0, blocks * block - points), (0, 0)))

    def rows(queries):
        product = jnp.einsum("bqd,bnd->bqn", queries, x, precision=lax.Precision.HIGHEST)
        # |x_i|^2 is the same along the row and cannot change its order.
        found = lax.top_k(2 * product - square[:, None, :], k)
        # XLA recognises a top-k by its slice of a sort; a slice taken of the result would merge
        # with that one, and all the rows would be sorted, 20 times slower.
        return lax.optimization_barrier(found)[1]

    if blocks == 1:
        return rows(x)
    queries = padded.reshape(clouds, blocks, block, channels).swapaxes(0, 1)
    found = lax.map(rows, queries).swapaxes(0, 1)
    return found.reshape(clouds, blocks * block, k)[:, :points]


def take(x: jax.Array, rows: jax.Array) -> jax.Array:
    """Takes rows `[B, ...]` of each cloud of `x [B, N, C]`: `[B, ..., C]`."""
    return jax.vmap(lambda cloud, row: cloud.at[row].get(mode="promise_in_bounds"))(x, rows)


def walk(reduce: Callable, x: jax.Array, neighbors: jax.Array) -> jax.Array:
    """Reduces the rows of `x [B, N, C]` that each column of `neighbors` takes: `[B, N, C]`."""
    # Without the barrier XLA fuses what made `x` into each of the k gathers, and computes it k
    # times: k times the walk of the layer before.
    x = lax.optimization_barrier(x)
    return functools.reduce(reduce, [take(x, column) for column in jnp.unstack(neighbors, axis=-1)])


def in_degree(neighbors: jax.Array, weight: jax.Array) -> jax.Array:
    """Sums `weight [B, N]` of the points that look at each point: `[B, N]`."""
    spread = jnp.broadcast_to(weight[..., None], neighbors.shape)
    count = lambda rows, values: jnp.zeros(rows.shape[0], values.dtype).at[rows].add(values)
    return jax.vmap(count)(neighbors, spread)


def neighbor_sum(x: jax.Array, neighbors: jax.Array) -> jax.Array:
    """Sums `x [B, N, C]` over the neighbors of each point: `[B, N, C]`."""
    return _neighbor_sum(x, neighbors, jax.config.jax_default_matmul_precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _neighbor_sum(x, neighbors, precision: str | None):
    return walk(jnp.add, x, neighbors)


def _sum_forward(x, neighbors, precision):
    return _neighbor_sum(x, neighbors, precision), neighbors


def _sum_backward(precision, neighbors, gradient):
    points = neighbors.shape[1]
    if points <= DENSE_POINTS:

        def cloud(rows, values):
            looked_at = jnp.zeros((points, points), values.dtype)
            looked_at = looked_at.at[rows, jnp.arange(points)[:, None]].add(1)
            return jnp.matmul(looked_at, values, precision=precision)

    else:

        def cloud(rows, values):
            out = jnp.zeros_like(values)
            for column in range(rows.shape[-1]):
                out = out.at[rows[:, column]].add(values)
            return out

    return jax.vmap(cloud)(neighbors, gradient), None


_neighbor_sum.defvjp(_sum_forward, _sum_backward)


@jax.custom_vjp
def neighbor_max(x: jax.Array, neighbors: jax.Array) -> jax.Array:
    """Takes the maximum of `x [B, N, C]` over the neighbors of each point: `[B, N, C]`.

    The gradient goes to one of equal neighbors, the last in the list, as PyTorch sends it to one.
    """
    return walk(jnp.maximum, x, neighbors)


def _max_forward(x, neighbors):
    highest, x = lax.optimization_barrier((neighbor_max(x, neighbors), x))
    # A second walk is far cheaper than carrying the winner along in the first: XLA on CPU does
    # not fuse two results, and would walk the first k columns again for each of them.
    winner = jnp.zeros(highest.shape, neighbors.dtype)
    for column in jnp.unstack(neighbors, axis=-1):
        winner = jnp.where(take(x, column) == highest, column[..., None], winner)
    return highest, winner


def _max_backward(winner, gradient):
    channel = jnp.arange(winner.shape[-1])[None, :]
    cloud = lambda rows, values: jnp.zeros_like(values).at[rows, channel].add(values)
    return jax.vmap(cloud)(winner, gradient), None


neighbor_max.defvjp(_max_forward, _max_backward)
