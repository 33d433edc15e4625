"""k-means, for pseudo labels without any label: in blocks of rows, from a key or from a start."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_HIGHEST = lax.Precision.HIGHEST  # bfloat16 products, the default on some devices, misassign rows


class Clusters(NamedTuple):
    """A clustering of N rows into K clusters.

    Attributes:
        centers: `[K, d]` float32.
        labels: `[N]` int32, the cluster of each row; -1 for masked rows (see `assign`).
        inertia: float32, sum of the squared distances to the own center.
        iterations: int32, Lloyd iterations done.
    """

    centers: jax.Array
    labels: jax.Array
    inertia: jax.Array
    iterations: jax.Array


@partial(jax.jit, static_argnames=("num_clusters", "restarts", "max_iterations", "block"))
def kmeans(
    key: jax.Array,
    features: jax.Array,
    num_clusters: int,
    mask: jax.Array | None = None,
    *,
    restarts: int = 4,
    max_iterations: int = 100,
    block: int = 4096,
) -> Clusters:
    """Clusters rows by k-means: the best (least inertia) of several k-means++ starts.

    Args:
        key: same key, same result.
        features: `[N, d]`; unit rows make it close to spherical k-means.
        num_clusters: K.
        mask: `[N]` bool, False for rows that do not count; none if absent.
        restarts: number of starts, one after the other.
        max_iterations: most Lloyd iterations a start.
        block: rows at a time.

    Returns:
        The clusters. See `lloyd` about empty ones.

    Raises:
        ValueError: K is not in 1 .. N.
    """

    def one(key):
        start = plus_plus_centers(key, features, num_clusters, mask)
        return lloyd(features, start, mask, max_iterations=max_iterations, block=block)

    found = lax.map(one, jax.random.split(key, restarts))
    best = found.inertia.argmin()
    return jax.tree.map(lambda x: x[best], found)


@partial(jax.jit, static_argnames=("max_iterations", "block"))
def lloyd(
    features: jax.Array,
    centers: jax.Array,
    mask: jax.Array | None = None,
    *,
    max_iterations: int = 300,
    block: int = 4096,
) -> Clusters:
    """Runs Lloyd's iteration from given centers until no row changes its cluster.

    A row goes to the nearest center, the lowest cluster among equals; a center moves to the mean of
    its rows. A cluster without rows gets the row that lies farthest from its center (the j-th
    empty one the j-th farthest), as in scikit-learn. It stays empty only where rows are too
    few or equal: its center is then a copy of another one.

    RoMo (Li et al., TIP 2024) clusters the concatenated memories of all modalities, and then each
    modality from the found centers, which keeps the clusters of the modalities matched.

    Args:
        features: `[N, d]`.
        centers: `[K, d]` start.
        mask: `[N]` bool, False for rows that do not count; none if absent.
        max_iterations: most iterations.
        block: rows at a time; beside the features, memory is `block * K` distances.

    Returns:
        The clusters; a label names the nearest of the returned centers, also if the iteration was
        cut short.

    Raises:
        ValueError: the widths differ, or K is not in 1 .. N.
    """
    _check(features, len(centers))
    if features.shape[1] != centers.shape[1]:
        raise ValueError(
            f"features and centers must have one width, got {features.shape} and {centers.shape}"
        )
    features, offset, counted = _centered(features, mask)
    weight = counted.astype(jnp.float32)

    def step(state):
        _, labels, distances, _, iteration = state
        moved = _move(features, labels, distances, weight, len(centers))
        assigned, distances = _assign(features, moved, block)
        changed = ((assigned != labels) & counted).any()
        return moved, assigned, distances, changed, iteration + 1

    running = lambda state: state[3] & (state[4] < max_iterations)
    start = centers.astype(jnp.float32) - offset[None]
    state = (start, *_assign(features, start, block), jnp.array(True), jnp.int32(0))
    found, labels, distances, _, iterations = lax.while_loop(running, step, state)
    labels = jnp.where(counted, labels, -1)
    return Clusters(found + offset[None], labels, (weight * distances).sum(), iterations)


@partial(jax.jit, static_argnames="block")
def assign(features: jax.Array, centers: jax.Array, *, block: int = 4096) -> jax.Array:
    """Returns the nearest center of each row by Euclidean distance, `[N, d], [K, d] -> [N]` int32.

    The lowest cluster among equals; `block` rows at a time.
    """
    offset = centers.mean(0, keepdims=True)
    return _assign(features - offset, centers - offset, block)[0]


@partial(jax.jit, static_argnames="num_clusters")
def plus_plus_centers(
    key: jax.Array, features: jax.Array, num_clusters: int, mask: jax.Array | None = None
) -> jax.Array:
    """Draws start centers by greedy k-means++ (Arthur & Vassilvitskii, SODA 2007).

    The first is a row at random; every other one is the best of `2 + log K` rows drawn with
    probability proportional to their squared distance from the nearest center so far, best by the
    sum of these distances that it leaves (scikit-learn's variant). Where all rows are centers
    already, any row is drawn again.

    Args:
        key: same key, same centers.
        features: `[N, d]`.
        num_clusters: K.
        mask: `[N]` bool, False for rows that must not be drawn; none if absent.

    Returns:
        `[K, d]` float32, rows of `features`.

    Raises:
        ValueError: K is not in 1 .. N.
    """
    _check(features, num_clusters)
    centered, _, counted = _centered(features, mask)
    squares = jnp.square(centered).sum(1)
    trials = 2 + int(math.log(num_clusters))

    def distances(rows):
        products = jnp.matmul(centered[rows], centered.T, precision=_HIGHEST)
        sums = squares[rows][:, None] + squares[None]
        # What is left of equal rows is rounding, and must not attract a draw.
        return jnp.where(sums - 2 * products > 1e-6 * sums, sums - 2 * products, 0)

    def draw(key, nearest, shape):
        flat = jnp.where(nearest.sum() > 0, nearest, counted.astype(jnp.float32))
        return jax.random.categorical(key, jnp.log(flat), shape=shape)

    def add(k, state):
        rows, nearest = state
        candidates = draw(jax.random.fold_in(key, k), nearest, (trials,))
        left = jnp.minimum(nearest[None], distances(candidates))
        best = left.sum(1).argmin()
        return rows.at[k].set(candidates[best]), left[best]

    first = draw(jax.random.fold_in(key, 0), jnp.zeros(len(features)), (1,))
    nearest = jnp.where(counted, distances(first)[0], 0)
    rows = jnp.zeros(num_clusters, first.dtype).at[0].set(first[0])
    rows, _ = lax.fori_loop(1, num_clusters, add, (rows, nearest))
    return features[rows].astype(jnp.float32)


def cluster_sizes(labels: jax.Array, num_clusters: int) -> jax.Array:
    """Counts the rows of each cluster: `[N] -> [K]` int32; negative labels are not counted."""
    slot = jnp.where(labels >= 0, labels, num_clusters)
    return jnp.zeros(num_clusters, jnp.int32).at[slot].add(1, mode="drop")


def _check(features: jax.Array, num_clusters: int) -> None:
    if not 1 <= num_clusters <= len(features):
        raise ValueError(
            f"the number of clusters must be in 1 .. {len(features)}, the number of rows, "
            f"got {num_clusters}"
        )


def _centered(
    features: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the rows without their mean (0 where masked), that mean, and the mask.

    Distances are differences of squares: without the common offset they keep their digits.
    """
    counted = jnp.ones(len(features), bool) if mask is None else mask
    features = jnp.where(counted[:, None], features.astype(jnp.float32), 0)
    offset = features.sum(0) / jnp.maximum(counted.sum(), 1)
    return jnp.where(counted[:, None], features - offset[None], 0), offset, counted


def _assign(features: jax.Array, centers: jax.Array, block: int) -> tuple[jax.Array, jax.Array]:
    """Returns the nearest center of each row, and the squared distance to it."""
    half = 0.5 * jnp.square(centers).sum(1)

    def nearest(row):  # mapped over blocks of rows: one matrix product a block
        label = (jnp.matmul(centers, row, precision=_HIGHEST) - half).argmax()
        return label.astype(jnp.int32), jnp.square(row - centers[label]).sum()

    return lax.map(nearest, features, batch_size=block)


def _move(
    features: jax.Array,
    labels: jax.Array,
    distances: jax.Array,
    weight: jax.Array,
    clusters: int,
) -> jax.Array:
    """Returns the means of the clusters, and for empty ones the rows farthest from their center."""
    total = jnp.zeros((clusters, features.shape[1])).at[labels].add(weight[:, None] * features)
    size = jnp.zeros(clusters).at[labels].add(weight)
    _, farthest = lax.top_k(jnp.where(weight > 0, distances, -1.0), clusters)
    empty = size == 0
    rank = jnp.maximum(jnp.cumsum(empty) - 1, 0)  # the j-th empty cluster: the j-th farthest row
    means = total / jnp.maximum(size, 1)[:, None]
    return jnp.where(empty[:, None], features[farthest[rank]], means)
