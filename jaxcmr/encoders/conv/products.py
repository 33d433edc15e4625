"""The three products of a convolution, by matmul and by XLA's convolution.

Output, gradient to the kernel, gradient to the input: functions of two arrays and the geometry. A
depthwise kernel `[kh, kw, 1, C]` has one filter a channel: its products are shifted multiply-adds
instead of matmuls.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.parts import map_parts, number_of_parts, sum_parts

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]

# The columns of a batch are many times its images; written to memory and read back they cost more
# than the products: in parts the convolution is 2.5 times faster, in a fraction of the memory.
CHUNK_BYTES = 2**22  # of columns; a few times the second-level cache of a core
DIRECT_SIZE, DIRECT_FEATURES = 14, 32  # least output for which XLA's convolution was faster


class Geometry(NamedTuple):
    """The static part of a convolution.

    Attributes:
        size: height and width of the images.
        kernel: shape `[kh, kw, C, O]`, or `[kh, kw, 1, C]` if depthwise.
        strides: steps of both axes.
        pads: zeros before and after each axis; negative ones crop.
        depthwise: whether each channel has its own filter.
    """

    size: Pair
    kernel: tuple[int, int, int, int]
    strides: Pair
    pads: Pads
    depthwise: bool = False

    @property
    def window(self) -> Pair:
        """Height and width of the kernel."""
        return self.kernel[:2]

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.kernel[3] if self.depthwise else self.kernel[2]

    @property
    def output(self) -> Pair:
        """Height and width of the output."""
        return output_size(self.size, self.window, self.strides, self.pads)


def explicit_pads(padding, size: Pair, window: Pair, strides: Pair) -> Pads:
    """Returns the zeros before and after each axis that `padding` stands for."""
    if padding == "SAME":
        padding = lax.padtype_to_pads(size, window, strides, "SAME")
    elif isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    return tuple((int(low), int(high)) for low, high in padding)


def output_size(size: Pair, window: Pair, strides: Pair, pads: Pads) -> Pair:
    return tuple((n + sum(p) - k) // s + 1 for n, k, s, p in zip(size, window, strides, pads))


def slices(images, window: Pair, strides: Pair, pads: Pads) -> list[jax.Array]:
    """Returns the `kh kw` shifted, strided copies of `images`, each of the output's size."""
    height, width = output_size(images.shape[1:3], window, strides, pads)
    batch, channels = images.shape[0], images.shape[3]
    if any(map(any, pads)):
        config = ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
        images = lax.pad(images, jnp.zeros((), images.dtype), config)
    (sy, sx), last = strides, ((height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1)
    return [
        lax.slice(images, (0, i, j, 0), (batch, i + last[0], j + last[1], channels), (1, sy, sx, 1))
        for i in range(window[0])
        for j in range(window[1])
    ]


def _columns(images: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the `[B, H', W', kh kw C]` pixels under the kernel at each place.

    First those of a row side by side, then the rows: `kw + kh` runs of pixels to copy for a place
    instead of `kh kw`, which are short where there are few channels.
    """
    (height, width), (down, right) = geometry.window, geometry.strides
    rows = jnp.concatenate(slices(images, (1, width), (1, right), geometry.pads), -1)
    return jnp.concatenate(slices(rows, (height, 1), (down, 1), ((0, 0), (0, 0))), -1)


def _parts(batch: int, geometry: Geometry, itemsize: int) -> int:
    """Returns in how many parts to take a batch so that the columns of a part fit the cache."""
    if geometry.window == (1, 1):
        return 1
    columns = math.prod(geometry.window) * math.prod(geometry.output) * geometry.channels
    kernel = math.prod(geometry.kernel)
    return number_of_parts(batch, columns * itemsize, max(CHUNK_BYTES, kernel * itemsize))


def output_matmul(images, kernel, geometry: Geometry) -> jax.Array:
    if geometry.depthwise:
        parts = slices(images, geometry.window, geometry.strides, geometry.pads)
        taps = kernel.reshape(len(parts), 1, 1, 1, kernel.shape[3])
        return sum(part * tap for part, tap in zip(parts, taps))
    matrix = kernel.reshape(-1, kernel.shape[3])
    parts = _parts(images.shape[0], geometry, images.dtype.itemsize)
    return map_parts(lambda part: _columns(part, geometry) @ matrix, parts, images)


def kernel_grad_matmul(images, grad, geometry: Geometry) -> jax.Array:
    if geometry.depthwise:
        shifted = slices(images, geometry.window, geometry.strides, geometry.pads)
        sums = [jnp.einsum("bhwc,bhwc->c", part, grad) for part in shifted]
        return jnp.stack(sums).reshape(geometry.kernel)

    def product(images, grad):
        columns = _columns(images, geometry)
        columns, grad = (array.reshape(-1, array.shape[-1]) for array in (columns, grad))
        return jnp.einsum("tk,to->ko", columns, grad, preferred_element_type=jnp.float32)

    parts = _parts(images.shape[0], geometry, images.dtype.itemsize)
    return sum_parts(product, parts, images, grad).astype(grad.dtype).reshape(geometry.kernel)


def input_grad_matmul(kernel, grad, geometry: Geometry) -> jax.Array:
    return _by_phases(output_matmul, kernel, grad, geometry)


def _by_phases(convolve, kernel, grad, geometry: Geometry) -> jax.Array:
    """Returns the gradient to the images: a convolution of `grad` for each phase of the stride.

    The row `y` of the input, `y + top = s q + a`, meets the kernel's rows `a + s t` at the output
    rows `q - t`: rows of one phase `a` are a stride-1 convolution of `grad` with the kernel's rows
    `a, a + s, ...` in reverse order. The phases are then interleaved.
    """
    (size, _, strides, pads, depthwise), channels = geometry, geometry.channels
    low = [p[0] // s for p, s in zip(pads, strides)]
    high = [-(-(p[0] + n) // s) for p, n, s in zip(pads, size, strides)]

    def phase(a: int, b: int) -> jax.Array:
        part = kernel[a :: strides[0], b :: strides[1]][::-1, ::-1]
        if 0 in part.shape:  # a stride larger than the kernel skips these pixels
            shape = (grad.shape[0], high[0] - low[0], high[1] - low[1], channels)
            return jnp.zeros(shape, grad.dtype)
        reach = tuple(
            (taps - 1 - lo, hi - n)
            for taps, lo, hi, n in zip(part.shape[:2], low, high, grad.shape[1:3])
        )
        part = part if depthwise else part.swapaxes(2, 3)
        return convolve(grad, part, Geometry(grad.shape[1:3], part.shape, (1, 1), reach, depthwise))

    # [B, Q, s, Q', s', C]
    full = jnp.stack(
        [jnp.stack([phase(a, b) for b in range(strides[1])], 3) for a in range(strides[0])], 2
    )
    shape = (grad.shape[0], full.shape[1] * strides[0], full.shape[3] * strides[1], channels)
    top, left = (p[0] - lo * s for p, lo, s in zip(pads, low, strides))
    return full.reshape(shape)[:, top : top + size[0], left : left + size[1]]


def output_lax(images, kernel, geometry: Geometry) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        geometry.strides,
        geometry.pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[3] if geometry.depthwise else 1,
    )


def direct_pays(geometry: Geometry, dtype) -> bool:
    """Returns whether XLA's convolution beats the columns on CPU (measured)."""
    large = min(geometry.output) >= DIRECT_SIZE and geometry.kernel[3] >= DIRECT_FEATURES
    grey, pointwise = geometry.kernel[2] == 1, geometry.window == (1, 1)
    return large and not grey and not pointwise and dtype == jnp.float32


def input_grad_direct(kernel, grad, geometry: Geometry) -> jax.Array:
    """Returns the gradient to the images, by XLA's convolution in the form fast on CPUs.

    Axes in the order of the output's product, no dilation, a kernel that lies in memory: what
    autodiff writes instead takes a hundred times longer inside a `scan`.
    """
    # Without the barrier the compiler would turn the kernel round inside the convolution.
    convolve = lambda grad, part, inner: output_lax(grad, lax.optimization_barrier(part), inner)
    return _by_phases(convolve, kernel, grad, geometry)


def kernel_grad_lax(images, grad, geometry: Geometry) -> jax.Array:
    forward = lambda kernel: output_lax(images, kernel, geometry)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(geometry.kernel, grad.dtype))(grad)[0]


def input_grad_lax(kernel, grad, geometry: Geometry) -> jax.Array:
    forward = lambda images: output_lax(images, kernel, geometry)
    shape = (grad.shape[0], *geometry.size, geometry.channels)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(shape, grad.dtype))(grad)[0]
