"""The three products of a 3x3 convolution of stride 1, by Winograd's minimal filtering F(4x4, 3x3).

Each tile `y` of 4x4 outputs, computed from a patch `d` of 6x6 inputs, is `A' [(G g G') * (B' d B)]
A` for the kernel `g`: 36 products where the sum over the kernel takes 144, and the sums over the
channels are 36 matmuls `[tiles, C] x [C, O]`. Both gradients stay in the transformed domain, so all
three products take up to four times fewer multiplications than the columns of `products`.

The transforms are matmuls as well: a patch is a vector of 36 numbers, which `kron(B', B')` maps to
36 others. That costs more operations than the sums of few terms they are, and less time, for XLA
fuses, cuts and stacks such sums badly. Float32 keeps a relative error near 1e-5 of the largest
output. Sizes that 4 does not divide are computed with more rows or columns, which are cut.

Source: Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4.2.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr.encoders.conv.products import Geometry, Pair
from jaxcmr.encoders.parts import map_parts, number_of_parts, sum_parts

WINDOW = (3, 3)
TILE, PATCH = 4, 6
MIN_CHANNELS = 64  # in and out; fewer, and smaller images, were not measured
MIN_SIZE = 4  # of the output
PART_BYTES = 2**25  # of transformed images and products a part: they stay near the caches

_B = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_A = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
# Of both axes at once: of a patch [36, 36], of a kernel [36, 9], of the products [16, 36].
INPUT, KERNEL, OUTPUT = (np.kron(matrix, matrix) for matrix in (_B, _G, _A))


def applies(geometry: Geometry) -> bool:
    """Returns whether the convolution has this form."""
    return not geometry.depthwise and (geometry.window, geometry.strides) == (WINDOW, (1, 1))


def pays(geometry: Geometry, dtype) -> bool:
    """Returns whether this form applies and beats the columns on CPU (measured)."""
    return (
        applies(geometry)
        and min(geometry.kernel[2:]) >= MIN_CHANNELS
        and min(geometry.output) >= MIN_SIZE
        and jnp.issubdtype(dtype, jnp.floating)
        and jnp.finfo(dtype).bits >= 32
    )


def _transform(matrix: np.ndarray, arrays: jax.Array) -> jax.Array:
    """Maps the first axis of `arrays` by `matrix`."""
    flat = arrays.reshape(matrix.shape[1], -1)
    return (jnp.asarray(matrix, arrays.dtype) @ flat).reshape(-1, *arrays.shape[1:])


def _tiles(size: Pair) -> Pair:
    return tuple(-(-n // TILE) for n in size)


def _patches(images: jax.Array, width: int, low: Pair, tiles: Pair) -> jax.Array:
    """Cuts `width x width` pixels every 4 pixels: `[B, H, W, C] -> [width^2, B th tw + 1, C]`.

    `low` zeros stand before the first pixels, as many as are needed after the last.
    """
    batch, channels = images.shape[0], images.shape[3]
    reach = [
        (before, TILE * (count - 1) + width - before - n)
        for before, count, n in zip(low, tiles, images.shape[1:3])
    ]
    padded = lax.pad(
        images, jnp.zeros((), images.dtype), ((0, 0, 0), *((*r, 0) for r in reach), (0, 0, 0))
    )
    spread = lax.GatherDimensionNumbers(
        offset_dims=(2,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    high, wide = padded.shape[1:3]
    within, image = np.arange(width), np.arange(batch)
    row = within[:, None] + TILE * np.arange(tiles[0])
    column = within[:, None] + TILE * np.arange(tiles[1])
    place = image[:, None, None] * high + row[:, None, None, :, None]
    place = place * wide + column[None, :, None, None, :]
    places = jnp.asarray(place.reshape(width * width, -1, 1), jnp.int32)
    cut = lax.gather(
        padded.reshape(-1, channels), places, spread, (1, channels), mode="promise_in_bounds"
    )
    # One spare row, and a place that XLA cannot foresee, keep it from fusing the gather with the
    # flattening of the next matmul, which takes five times as long.
    spare = jnp.zeros((cut.shape[0], cut.shape[1] + 1, channels), cut.dtype)
    start = lax.optimization_barrier(jnp.zeros((), jnp.int32))
    return lax.dynamic_update_slice(spare, cut, (start, start, start))


def _side_by_side(tiles: jax.Array, batch: int, size: Pair) -> jax.Array:
    """Joins the tiles `[16, B th tw + 1, O]` to images `[B, *size, O]`."""
    rows, columns = _tiles(size)
    grid = tiles[:, :-1].reshape(TILE, TILE, batch, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
    full = grid.reshape(batch, rows * TILE, columns * TILE, -1)
    return full[:, : size[0], : size[1]]


def _parts(batch: int, geometry: Geometry, dtype) -> int:
    """Returns in how many parts to take a batch: a part's transformed images fit the cache.

    Not less than the transformed kernel, however, which is read once for each part.
    """
    rows, columns = _tiles(geometry.output)
    inputs, outputs = geometry.kernel[2:]
    words = PATCH**2 * rows * columns * (inputs + outputs)
    kernel_words = PATCH**2 * inputs * outputs
    limit = max(kernel_words * dtype.itemsize, PART_BYTES)
    return number_of_parts(batch, words * dtype.itemsize, limit)


def _transformed(images: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the transformed patches of the images: `[36, B th tw + 1, C]`."""
    low = tuple(before for before, _ in geometry.pads)
    return _transform(INPUT, _patches(images, PATCH, low, _tiles(geometry.output)))


def output(images, kernel, geometry: Geometry) -> jax.Array:
    """Returns the convolution `[B, H', W', O]` of `[B, H, W, C]` with `[3, 3, C, O]`."""
    matrices = _transform(KERNEL, kernel.reshape(9, *kernel.shape[2:]))

    def product(images):
        products = jnp.einsum("ktc,kco->kto", _transformed(images, geometry), matrices)
        tiles = _transform(OUTPUT, products)
        return _side_by_side(tiles, images.shape[0], geometry.output)

    return map_parts(product, _parts(images.shape[0], geometry, images.dtype), images)


def kernel_grad(images, grad, geometry: Geometry) -> jax.Array:
    """Returns the gradient to the kernel, `[3, 3, C, O]`, from that to the output."""

    def product(images, grad):
        grads = _transform(OUTPUT.T, _patches(grad, TILE, (0, 0), _tiles(geometry.output)))
        return jnp.einsum("ktc,kto->kco", _transformed(images, geometry), grads)

    total = sum_parts(product, _parts(images.shape[0], geometry, images.dtype), images, grad)
    return _transform(KERNEL.T, total).reshape(geometry.kernel)


def input_grad(kernel, grad, geometry: Geometry) -> jax.Array:
    """Returns the gradient to the images: `grad` convolved with the kernel turned round."""
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    pads = tuple((2 - low, 2 - high) for low, high in geometry.pads)
    return output(grad, turned, Geometry(grad.shape[1:3], turned.shape, (1, 1), pads))
