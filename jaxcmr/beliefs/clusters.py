"""k-means in blocks of rows, from a key or from given centers: pseudo labels without any label."""

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

BLOCK = 4096  # rows at a time: in addition to the features, memory is `BLOCK * K` distances
_HIGHEST = lax.Precision.HIGHEST  # bfloat16 products, the default on some devices, misassign rows


class Clusters(NamedTuple):
    """A clustering of N rows into K clusters.

    Attributes:
        centers: `[K, d]` float32.
        labels: `[N]` int32, the cluster of each row; -1 for rows of the mask and, where they are
            traced, for rows that hold NaN or infinity.
        inertia: float32, sum of the squared distances of the rows to their centers.
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
) -> Clusters:
    """Clusters rows by k-means: the best (least inertia) of several greedy k-means++ starts.

    The first center of a start is a row at random; every other one is the best of `2 + log K` rows
    drawn with probability proportional to their squared distance from the nearest center so far,
    best by the sum of these distances that it leaves (scikit-learn's variant). Where all rows are
    centers already, any row is drawn again.

    Args:
        key: same key, same result.
        features: `[N, d]`; unit rows make it close to spherical k-means.
        num_clusters: K.
        mask: `[N]` bool, False for rows that do not count; all count if absent.
        restarts: number of starts, one after the other.
        max_iterations: most Lloyd iterations a start; see `lloyd`.

    Raises:
        UsageError: K is not in 1 .. N, a row holds NaN or infinity, or another argument is wrong.

    References:
        Arthur, Vassilvitskii: k-means++, the advantages of careful seeding, SODA 2007.
    """
    features, counted, num_clusters = _checked(features, mask, num_clusters)
    restarts = guards.check_whole("restarts", restarts, 1)
    max_iterations = guards.check_whole("max_iterations", max_iterations, 0)
    return _kmeans(key, features, counted, num_clusters, restarts, max_iterations)


@partial(jax.jit, static_argnames=("num_clusters", "restarts", "max_iterations"))
def _kmeans(key, features, counted, num_clusters, restarts, max_iterations):
    def one(key):
        start = _plus_plus_centers(key, features, counted, num_clusters)
        return _lloyd(features, start, counted, max_iterations)

    found = lax.map(one, jax.random.split(key, restarts))
    best = found.inertia.argmin()
    return jax.tree.map(lambda x: x[best], found)


def lloyd(
    features: jax.Array,
    centers: jax.Array,
    mask: jax.Array | None = None,
    *,
    max_iterations: int = 300,
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
        mask: `[N]` bool, False for rows that do not count; all count if absent.
        max_iterations: most iterations. If it cuts the iteration short, labels still name the
            nearest of the returned centers.

    Raises:
        UsageError: the widths differ, K is not in 1 .. N, a row or a center holds NaN or infinity,
            or another argument is wrong.
    """
    guards.check_rows("centers", centers)
    features, counted, _ = _checked(features, mask, len(centers))
    if features.shape[1] != np.shape(centers)[1]:
        raise UsageError(
            "features and centers must have one width, got "
            f"{features.shape} and {np.shape(centers)}"
        )
    max_iterations = guards.check_whole("max_iterations", max_iterations, 0)
    return _lloyd(features, jnp.asarray(centers, jnp.float32), counted, max_iterations)


@partial(jax.jit, static_argnames="max_iterations")
def _lloyd(features, centers, counted, max_iterations):
    features, offset, unit, counted = _centered(features, counted)
    weight = counted.astype(jnp.float32)

    def step(state):
        _, labels, distances, _, iteration = state
        moved = _moved(features, labels, distances, weight, len(centers))
        assigned, distances = _nearest(features, moved)
        changed = ((assigned != labels) & counted).any()
        return moved, assigned, distances, changed, iteration + 1

    running = lambda state: state[3] & (state[4] < max_iterations)
    sound = guards.finite_rows(centers)
    start = jnp.where(sound[:, None], centers, 0.0) / unit - offset[None]
    state = (start, *_nearest(features, start, sound), jnp.array(True), jnp.int32(0))
    found, labels, distances, _, iterations = lax.while_loop(running, step, state)
    labels = jnp.where(counted, labels, -1)
    inertia = jnp.square(unit) * (weight * distances).sum()
    return Clusters((found + offset[None]) * unit, labels, inertia, iterations)


def _plus_plus_centers(key, features, counted, num_clusters):
    """Draws start centers `[K, d]` among the rows that count, as `kmeans` describes."""
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


def _checked(features, mask, num_clusters) -> tuple[jax.Array, jax.Array, int]:
    """Returns the rows in float32, which of them count, and K."""
    guards.check_rows("features", features, mask)
    counted = guards.row_mask(mask, np.shape(features)[:1])
    if mask is not None and guards.is_concrete(mask) and not guards.on_host(mask).any():
        raise UsageError(f"none of {len(counted)} rows counts: give features of at least one")
    number = guards.check_whole("the number of clusters", num_clusters, 1)
    if number > len(features):
        raise UsageError(
            f"the number of clusters must be in 1 .. {len(features)}, the number of rows, "
            f"got {number}"
        )
    return jnp.asarray(features, jnp.float32), counted, number


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


def _nearest(
    features: jax.Array, centers: jax.Array, sound: jax.Array | bool = True
) -> tuple[jax.Array, jax.Array]:
    """Returns the nearest of the sound centers of each row, and the squared distance to it."""
    half = jnp.where(sound, 0.5 * jnp.square(centers).sum(1), jnp.inf)

    def nearest(row):  # mapped over blocks of rows: one matrix product a block
        label = (jnp.matmul(centers, row, precision=_HIGHEST) - half).argmax()
        return label.astype(jnp.int32), jnp.square(row - centers[label]).sum()

    return lax.map(nearest, features, batch_size=BLOCK)


def _moved(features, labels, distances, weight, clusters: int) -> jax.Array:
    """Returns the means of the clusters, and for empty ones the rows farthest from their center."""
    total = jax.ops.segment_sum(weight[:, None] * features, labels, clusters)
    size = jax.ops.segment_sum(weight, labels, clusters)
    _, farthest = lax.top_k(jnp.where(weight > 0, distances, -1.0), clusters)
    empty = size == 0
    rank = jnp.maximum(jnp.cumsum(empty) - 1, 0)  # the j-th empty cluster: the j-th farthest row
    means = total / jnp.maximum(size, 1)[:, None]
    return jnp.where(empty[:, None], features[farthest[rank]], means)
