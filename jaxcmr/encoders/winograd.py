"""The three products of a 3x3 convolution of stride 1, by Winograd's minimal filtering F(2x2, 3x3).

Each tile of 2x2 outputs, computed from a patch `d` of 4x4 inputs, is `A' [(G g G') * (B' d B)] A`
for the kernel `g`: 16 products where the sum over the kernel takes 36, and the sums over the
channels are 16 matmuls `[tiles, C] x [C, O]`. Both gradients stay in the transformed domain, so all
three products take 2.25 times fewer multiplications than the columns of `conv_products`, and less
than half of the copies. The constants are 1 and 1/2: float32 keeps a relative error near 1e-6.

Odd sizes are computed with one more row or column, which is cut. Source: Lavin & Gray, Fast
Algorithms for Convolutional Neural Networks, CVPR 2016, section 4.1.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.conv_products import Pads, Pair, chunks, output_size, split

WINDOW = (3, 3)
MIN_CHANNELS = 64  # in and out; fewer, and smaller images, were not measured
MIN_SIZE = 14  # of the output


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


def _both_axes(transform, grid):
    """Applies a transform of a list of arrays to the rows and to the columns of a grid of them."""
    columns = zip(*(transform(row) for row in grid))
    return list(zip(*(transform(column) for column in columns)))


def _stack(grid) -> jax.Array:
    """Puts a grid of arrays `[..., C]` on a leading axis: `[16, rows, C]`."""
    return jnp.stack([part.reshape(-1, part.shape[-1]) for row in grid for part in row])


def _grid(stacked: jax.Array, shape) -> list:
    return [[stacked[4 * i + j].reshape(shape) for j in range(4)] for i in range(4)]


def _kernel_transform(kernel: jax.Array) -> jax.Array:
    """`G g G'` of `[3, 3, C, O]`: `[16, C, O]`."""

    def transform(g):
        even, odd = (g[0] + g[2]) / 2, g[1] / 2
        return [g[0], even + odd, even - odd, g[2]]

    return _stack(_both_axes(transform, kernel)).reshape(16, *kernel.shape[2:])


def _kernel_transposed(products: jax.Array) -> jax.Array:
    """`G' u G` of `[16, C, O]`, the transpose of the kernel's transform: `[3, 3, C, O]`."""

    def transform(u):
        even = (u[1] + u[2]) / 2
        return [u[0] + even, (u[1] - u[2]) / 2, even + u[3]]

    rows = _both_axes(transform, _grid(products, products.shape[1:]))
    return jnp.stack([jnp.stack(row) for row in rows])


def _every_second(images: jax.Array, count: int, tiles: Pair) -> list:
    """Returns the pixels `(i, j)`, `i, j < count`, of all patches, which begin 2 pixels apart."""
    batch, channels = images.shape[0], images.shape[3]
    last = [2 * n - 1 for n in tiles]
    cut = lambda i, j: lax.slice(
        images, (0, i, j, 0), (batch, i + last[0], j + last[1], channels), (1, 2, 2, 1)
    )
    return [[cut(i, j) for j in range(count)] for i in range(count)]


def _pad(images: jax.Array, pads: Pads) -> jax.Array:
    zero = jnp.zeros((), images.dtype)
    return lax.pad(images, zero, ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)))


def _tiles(size: Pair) -> Pair:
    return tuple(-(-n // 2) for n in size)


def _input_transform(images, pads: Pads, tiles: Pair) -> jax.Array:
    """`B' d B` of each patch of 4x4 pixels: `[16, B tiles, C]`."""
    reach = tuple(
        (low, 2 * count + 2 - low - n) for (low, _), count, n in zip(pads, tiles, images.shape[1:3])
    )
    transform = lambda d: [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
    return _stack(_both_axes(transform, _every_second(_pad(images, reach), 4, tiles)))


def _output_transform(products: jax.Array, batch: int, size: Pair) -> jax.Array:
    """`A' m A` of each tile, side by side: `[16, B tiles, O] -> [B, *size, O]`."""
    tiles, features = _tiles(size), products.shape[2]
    transform = lambda m: [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
    rows = _both_axes(transform, _grid(products, (batch, *tiles, features)))
    out = jnp.stack([jnp.stack(row, 3) for row in rows], 2)  # [B, tiles, 2, tiles, 2, O]
    return out.reshape(batch, 2 * tiles[0], 2 * tiles[1], features)[:, : size[0], : size[1]]


def _output_transposed(grad: jax.Array) -> jax.Array:
    """`A y A'` of each tile of 2x2 gradients: `[B, H', W', O] -> [16, B tiles, O]`."""
    tiles = _tiles(grad.shape[1:3])
    even = _pad(grad, tuple((0, 2 * count - n) for count, n in zip(tiles, grad.shape[1:3])))
    transform = lambda y: [y[0], y[0] + y[1], y[0] - y[1], -y[1]]
    return _stack(_both_axes(transform, _every_second(even, 2, tiles)))


def _parts(batch: int, size: Pair, kernel_shape, dtype) -> int:
    """Returns in how many parts to take a batch: a part's transformed images fit the cache.

    Not less than the transformed kernel, however, which is read once for each part.
    """
    tiles = _tiles(size)
    words = 16 * tiles[0] * tiles[1] * (kernel_shape[2] + kernel_shape[3])
    kernel_words = 16 * kernel_shape[2] * kernel_shape[3]
    return chunks(batch, words * dtype.itemsize, kernel_words * dtype.itemsize)


def output_winograd(images, kernel, pads: Pads) -> jax.Array:
    """Returns the convolution `[B, H', W', O]` of `[B, H, W, C]` with `[3, 3, C, O]`."""
    size = output_size(images.shape[1:3], WINDOW, (1, 1), pads)
    matrices = _kernel_transform(kernel)

    def product(images):
        patches = _input_transform(images, pads, _tiles(size))
        products = jnp.einsum("ktc,kco->kto", patches, matrices)
        return _output_transform(products, images.shape[0], size)

    parts = _parts(images.shape[0], size, kernel.shape, images.dtype)
    if parts == 1:
        return product(images)
    return lax.map(product, split(images, parts)).reshape(-1, *size, kernel.shape[3])


def kernel_grad_winograd(images, grad, kernel_shape, pads: Pads) -> jax.Array:
    """Returns the gradient to the kernel, `[3, 3, C, O]`, from that to the output."""
    size = grad.shape[1:3]

    def product(images, grad):
        patches = _input_transform(images, pads, _tiles(size))
        return jnp.einsum("ktc,kto->kco", patches, _output_transposed(grad))

    parts = _parts(images.shape[0], size, kernel_shape, images.dtype)
    if parts == 1:
        return _kernel_transposed(product(images, grad))
    add = lambda total, part: (total + product(*part), None)
    zeros = jnp.zeros((16, *kernel_shape[2:]), grad.dtype)
    return _kernel_transposed(lax.scan(add, zeros, (split(images, parts), split(grad, parts)))[0])


def input_grad_winograd(kernel, grad, pads: Pads) -> jax.Array:
    """Returns the gradient to the images: `grad` convolved with the kernel turned round."""
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return output_winograd(grad, turned, tuple((2 - low, 2 - high) for low, high in pads))
