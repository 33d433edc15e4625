"""The three products of a 3x3 convolution of stride 1, by Winograd's minimal filtering F(4x4, 3x3).

Each tile `y` of 4x4 outputs, computed from a patch `d` of 6x6 inputs, is `A' [(G g G') * (B' d B)]
A` for the kernel `g`: 36 products where the sum over the kernel takes 144, and the sums over the
channels are 36 matmuls `[tiles, C] x [C, O]`. Both gradients stay in the transformed domain, so all
three products take up to four times fewer multiplications than the columns of `conv_products`.

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
from jax.custom_batching import sequential_vmap

from jaxcmr.encoders.conv.products import Pads, Pair, chunks, output_size, split

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


def winograd_pays(image_shape, kernel_shape, strides: Pair, pads: Pads, dtype) -> bool:
    """Tells whether this form applies and beats the columns on CPU (measured)."""
    return (
        fits_winograd(kernel_shape, strides)
        and min(kernel_shape[2:]) >= MIN_CHANNELS
        and min(output_size(image_shape[1:3], WINDOW, strides, pads)) >= MIN_SIZE
        and jnp.issubdtype(dtype, jnp.floating)
        and jnp.finfo(dtype).bits >= 32
    )


def fits_winograd(kernel_shape, strides: Pair) -> bool:
    return tuple(kernel_shape[:2]) == WINDOW and tuple(strides) == (1, 1)


def _transform(matrix: np.ndarray, arrays: jax.Array) -> jax.Array:
    """Maps the first axis of `arrays` by `matrix`."""
    flat = arrays.reshape(matrix.shape[1], -1)
    return (jnp.asarray(matrix, arrays.dtype) @ flat).reshape(-1, *arrays.shape[1:])


def _tiles(size: Pair) -> Pair:
    return tuple(-(-n // TILE) for n in size)


def _patches(images: jax.Array, width: int, low: Pair, tiles: Pair) -> jax.Array:
    """Cuts `width x width` pixels every 4 pixels: `[B, H, W, C] -> [width^2, B th tw + 1, C]`.

    `low` zeros stand before the first pixels, as many as are needed behind the last.
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


def _parts(batch: int, size: Pair, kernel_shape, dtype) -> int:
    """Returns in how many parts to take a batch: a part's transformed images fit the cache.

    Not less than the transformed kernel, however, which is read once for each part.
    """
    tiles = _tiles(size)
    words = PATCH**2 * tiles[0] * tiles[1] * (kernel_shape[2] + kernel_shape[3])
    kernel_words = PATCH**2 * kernel_shape[2] * kernel_shape[3]
    least = max(kernel_words * dtype.itemsize, PART_BYTES)
    return chunks(batch, words * dtype.itemsize, least)


def output_winograd(images, kernel, pads: Pads) -> jax.Array:
    """Returns the convolution `[B, H', W', O]` of `[B, H, W, C]` with `[3, 3, C, O]`."""
    size = output_size(images.shape[1:3], WINDOW, (1, 1), pads)
    low = tuple(before for before, _ in pads)

    @sequential_vmap
    def product(images, kernel):
        matrices = _transform(KERNEL, kernel.reshape(9, *kernel.shape[2:]))

        def part(images):
            patches = _transform(INPUT, _patches(images, PATCH, low, _tiles(size)))
            tiles = _transform(OUTPUT, jnp.einsum("ktc,kco->kto", patches, matrices))
            return _side_by_side(tiles, images.shape[0], size)

        parts = _parts(images.shape[0], size, kernel.shape, images.dtype)
        if parts == 1:
            return part(images)
        outputs = lax.map(part, split(images, parts))
        return outputs.reshape(-1, *outputs.shape[2:])

    return product(images, kernel)


def kernel_grad_winograd(images, grad, kernel_shape, pads: Pads) -> jax.Array:
    """Returns the gradient to the kernel, `[3, 3, C, O]`, from that to the output."""
    size = grad.shape[1:3]
    tiles, low = _tiles(size), tuple(before for before, _ in pads)

    def part(images, grad):
        patches = _transform(INPUT, _patches(images, PATCH, low, tiles))
        grads = _transform(OUTPUT.T, _patches(grad, TILE, (0, 0), tiles))
        return jnp.einsum("ktc,kto->kco", patches, grads)

    @sequential_vmap
    def product(images, grad):
        parts = _parts(images.shape[0], size, kernel_shape, images.dtype)
        if parts == 1:
            return _transform(KERNEL.T, part(images, grad))
        add = lambda total, pair: (total + part(*pair), None)
        zeros = jnp.zeros((PATCH**2, *kernel_shape[2:]), grad.dtype)
        total, _ = lax.scan(add, zeros, (split(images, parts), split(grad, parts)))
        return _transform(KERNEL.T, total)

    return product(images, grad).reshape(kernel_shape)


def input_grad_winograd(kernel, grad, pads: Pads) -> jax.Array:
    """Returns the gradient to the images: `grad` convolved with the kernel turned round."""
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return output_winograd(grad, turned, tuple((2 - low, 2 - high) for low, high in pads))
