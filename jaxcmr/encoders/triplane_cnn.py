"""Clouds seen as maps on three planes: the point tower that trains on two CPU cores."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.base import Backbone, builder
from jaxcmr.encoders.compact_cnn import CompactCNN

PLANES = ((0, 1, 2), (1, 2, 0), (2, 0, 1))  # (two axes of the map, axis of the depth)


class TriplaneCNN(Backbone):
    """Embeds clouds `[B, N, 3]` by a compact CNN over their maps on three planes, as channels.

    After SimpleView (Goyal et al., "Revisiting point cloud shape classification with a simple and
    effective baseline", ICML 2021), which draws six depth images of a cloud. Here each pair of
    opposite sides shares a plane, whose maps hold moments of the points instead of the nearest
    depth (`depth_maps`), and one network sees all planes at once. The order of the
    points does not matter; the axes do. No gradient reaches the points.

    Attributes:
        cells: cells of a map along each side.
        extent: the maps show the cube [-extent, extent]^3.
        width: as for `CompactCNN`.
        head: as for `CompactCNN`.
    """

    cells: int = 28
    extent: float = 1.0
    width: int = 32
    head: str = "linear_bn_relu"

    @nn.compact
    def __call__(self, points, *, train: bool):
        maps = depth_maps(lax.stop_gradient(points), self.cells, self.extent)
        network = CompactCNN(self.embedding_size, self.dtype, head=self.head, width=self.width)
        return network(maps, train=train)


triplane_cnn = builder(TriplaneCNN)


def depth_maps(points: jax.Array, cells: int, extent: float) -> jax.Array:
    """Drops clouds on three planes: how many points, how deep, how far apart in depth.

    With n points on a cell, the mean m and the deviation s of their depths in units of `extent`,
    the cell's three channels are `1 - exp(-n)`, `m` and `s`; an empty cell is zero.

    Args:
        points: `[B, N, 3]`.
        cells: cells along a side.
        extent: half the side of the cube that is seen; what lies outside falls on its walls.

    Returns:
        `[B, cells, cells, 9]` float32: three channels each of the planes xy, yz, zx.
    """
    points = points.astype(jnp.float32) / extent
    places = jnp.floor((points + 1.0) * (0.5 * cells)).astype(jnp.int32)
    places = jnp.clip(places, 0, cells - 1)
    powers = jnp.stack([jnp.ones_like(points), points, points * points], -1)  # [B, N, 3, 3]
    add = jax.vmap(lambda cell, values: jnp.zeros((cells * cells, 3)).at[cell].add(values))
    maps = []
    for first, second, depth in PLANES:
        sums = add(places[..., first] * cells + places[..., second], powers[:, :, depth])
        count = sums[..., :1]
        mean, square = jnp.moveaxis(sums[..., 1:] / jnp.maximum(count, 1.0), -1, 0)
        spread = jnp.sqrt(jnp.maximum(square - mean**2, 0.0))
        channels = jnp.stack([1.0 - jnp.exp(-count[..., 0]), mean, spread], -1)
        maps.append(channels.reshape(-1, cells, cells, 3))
    return jnp.concatenate(maps, -1)
