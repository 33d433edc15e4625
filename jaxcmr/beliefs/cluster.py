"""k-means, for pseudo labels without any label: in blocks of rows, from a key or from a start."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_of

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
        UsageError: K is not in 1 .. N, a row holds NaN or infinity, or another argument is wrong.
    """
    features, counted = _counted(features, mask)
    num_clusters = _check_number(features, num_clusters)
    restarts = guards.check_whole("restarts", restarts, 1)
    max_iterations = guards.check_whole("max_iterations", max_iterations, 0)
    block = guards.check_whole("block", block, 1)
    return _kmeans(key, features, counted, num_clusters, restarts, max_iterations, block)


@partial(jax.jit, static_argnames=("num_clusters", "restarts", "max_iterations", "block"))
def _kmeans(key, features, counted, num_clusters, restarts, max_iterations, block):
    def one(key):
        start = _plus_plus_centers(key, features, counted, num_clusters)
        return _lloyd(features, start, counted, max_iterations, block)

    found = lax.map(one, jax.random.split(key, restarts))
    best = found.inertia.argmin()
    return jax.tree.map(lambda x: x[best], found)


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
        UsageError: the widths differ, K is not in 1 .. N, a row or a center holds NaN or infinity,
            or another argument is wrong.
    """
    features, counted = _counted(features, mask)
    centers = _check_centers(features, centers)
    _check_number(features, len(centers))
    max_iterations = guards.check_whole("max_iterations", max_iterations, 0)
    block = guards.check_whole("block", block, 1)
    return _lloyd(features, centers, counted, max_iterations, block)


@partial(jax.jit, static_argnames=("max_iterations", "block"))
def _lloyd(features, centers, counted, max_iterations, block):
    features, offset, unit, counted = _centered(features, counted)
    weight = counted.astype(jnp.float32)

    def step(state):
        _, labels, distances, _, iteration = state
        moved = _move(features, labels, distances, weight, len(centers))
        assigned, distances = _assign(features, moved, block)
        changed = ((assigned != labels) & counted).any()
        return moved, assigned, distances, changed, iteration + 1

    running = lambda state: state[3] & (state[4] < max_iterations)
    sound = guards.finite_rows(centers)
    start = jnp.where(sound[:, None], centers, 0.0) / unit - offset[None]
    state = (start, *_assign(features, start, block, sound), jnp.array(True), jnp.int32(0))
    found, labels, distances, _, iterations = lax.while_loop(running, step, state)
    labels = jnp.where(counted, labels, -1)
    inertia = jnp.square(unit) * (weight * distances).sum()
    return Clusters((found + offset[None]) * unit, labels, inertia, iterations)


def assign(features: jax.Array, centers: jax.Array, *, block: int = 4096) -> jax.Array:
    """Returns the nearest center of each row by Euclidean distance, `[N, d], [K, d] -> [N]` int32.

    The lowest cluster among equals; `block` rows at a time. Where they are traced, a row that holds
    NaN or infinity has no center, -1, and such a center has no row.

    Raises:
        UsageError: the widths differ, a row or a center holds NaN or infinity, or the block is
            below 1.
    """
    features, counted = _counted(features, None)
    centers = _check_centers(features, centers)
    return _nearest(features, centers, counted, guards.check_whole("block", block, 1))


@partial(jax.jit, static_argnames="block")
def _nearest(features, centers, counted, block):
    counted &= guards.finite_rows(features)
    sound = guards.finite_rows(centers)
    features = jnp.where(counted[:, None], features, 0.0)
    centers = jnp.where(sound[:, None], centers, 0.0)
    unit = jnp.maximum(unit_of(features), unit_of(centers))
    features, centers = features / unit, centers / unit
    offset = centers.sum(0, keepdims=True) / jnp.maximum(sound.sum(), 1)
    labels, _ = _assign(features - offset, centers - offset, block, sound)
    return jnp.where(counted, labels, -1)


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
        UsageError: K is not in 1 .. N, a row holds NaN or infinity, or the mask does not fit.
    """
    features, counted = _counted(features, mask)
    num_clusters = _check_number(features, num_clusters)
    return _plus_plus_centers(key, features, counted, num_clusters)


@partial(jax.jit, static_argnames="num_clusters")
def _plus_plus_centers(key, features, counted, num_clusters):
    centered, _, _, counted = _centered(features, counted)
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

    first = draw(jax.random.fold_in(key, 0), jnp.zeros(len(features), jnp.float32), (1,))
    nearest = jnp.where(counted, distances(first)[0], 0)
    rows = jnp.zeros(num_clusters, first.dtype).at[0].set(first[0])
    rows, _ = lax.fori_loop(1, num_clusters, add, (rows, nearest))
    return jnp.where(counted[:, None], features, 0.0)[rows]


def cluster_sizes(labels: jax.Array, num_clusters: int) -> jax.Array:
    """Counts the rows of each cluster: `[N] -> [K]` int32; negative labels are not counted.

    Raises:
        UsageError: the labels are no whole numbers below K.
    """
    num_clusters = guards.check_whole("num_clusters", num_clusters, 1)
    labels = guards.class_labels(labels, num_clusters, np.shape(labels))
    slot = jnp.where(labels >= 0, labels, num_clusters)
    return jnp.zeros(num_clusters, jnp.int32).at[slot].add(1, mode="drop")


def _counted(features: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Returns the rows in float32 and which of them count, after a look at both."""
    guards.check_rows("features", features, mask)
    counted = guards.row_mask(mask, np.shape(features)[:1])
    if guards.is_concrete(mask) and mask is not None and not guards.on_host(mask).any():
        raise UsageError(f"none of {len(counted)} rows counts: give features of at least one")
    return jnp.asarray(features, jnp.float32), counted


def _check_centers(features: jax.Array, centers: jax.Array) -> jax.Array:
    guards.check_rows("centers", centers)
    if features.shape[1] != np.shape(centers)[1]:
        raise UsageError(
            "features and centers must have one width, got "
            f"{features.shape} and {np.shape(centers)}"
        )
    return jnp.asarray(centers, jnp.float32)


def _check_number(features: jax.Array, num_clusters: int) -> int:
    number = guards.check_whole("the number of clusters", num_clusters, 1)
    if number > len(features):
        raise UsageError(
            f"the number of clusters must be in 1 .. {len(features)}, the number of rows, "
            f"got {number}"
        )
    return number


def _centered(features: jax.Array, counted: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the rows over a unit without their mean, that mean, the unit, and which rows count.

    Rows that do not count are 0: those of the mask, and those that hold NaN or infinity. Distances
    are differences of squares: without the common offset they keep their digits.
    """
    counted &= guards.finite_rows(features)
    features = jnp.where(counted[:, None], features, 0.0)
    unit = unit_of(features)
    features = features / unit
    # Any number near the mean will do; one of few digits leaves equal rows equal distances.
    offset = lax.reduce_precision(features.sum(0) / jnp.maximum(counted.sum(), 1), 8, 15)
    return jnp.where(counted[:, None], features - offset[None], 0.0), offset, unit, counted


def _assign(
    features: jax.Array, centers: jax.Array, block: int, sound: jax.Array | bool = True
) -> tuple[jax.Array, jax.Array]:
    """Returns the nearest of the sound centers of each row, and the squared distance to it."""
    half = jnp.where(sound, 0.5 * jnp.square(centers).sum(1), jnp.inf)

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
    total = (
        jnp.zeros((clusters, features.shape[1]), jnp.float32)
        .at[labels]
        .add(weight[:, None] * features)
    )
    size = jnp.zeros(clusters, jnp.float32).at[labels].add(weight)
    _, farthest = lax.top_k(jnp.where(weight > 0, distances, -1.0), clusters)
    empty = size == 0
    rank = jnp.maximum(jnp.cumsum(empty) - 1, 0)  # the j-th empty cluster: the j-th farthest row
    means = total / jnp.maximum(size, 1)[:, None]
    return jnp.where(empty[:, None], features[farthest[rank]], means)
