"""The three products of a convolution, by matmul and by XLA's convolution.

Output, gradient to the input, gradient to the kernel. `pads` are zeros before and after each axis
(negative ones crop). A depthwise kernel `[kh, kw, 1, C]` has one filter a channel: its products
are shifted multiply-adds instead of matmuls.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]

CHUNK_BYTES = 2**22  # of columns; a few times the second-level cache of a core
DIRECT_SIZE, DIRECT_FEATURES = 14, 32  # least output for which XLA's convolution was faster


def explicit_pads(padding, size: Pair, window: Pair, strides: Pair) -> Pads:
    """Returns the zeros before and after each axis that `padding` stands for."""
    if padding == "SAME":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, window, strides)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    return tuple((int(low), int(high)) for low, high in padding)


def output_size(size: Pair, window: Pair, strides: Pair, pads: Pads) -> Pair:
    return tuple((n + sum(p) - k) // s + 1 for n, k, s, p in zip(size, window, strides, pads))


def slices(images, window: Pair, strides: Pair, pads: Pads, fill=0.0) -> list[jax.Array]:
    """Returns the `kh kw` shifted, strided copies of `images`, each of the output's size.

    Negative pads crop.
    """
    height, width = output_size(images.shape[1:3], window, strides, pads)
    batch, channels = images.shape[0], images.shape[3]
    if any(map(any, pads)):
        config = ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
        images = lax.pad(images, jnp.asarray(fill, images.dtype), config)
    (sy, sx), last = strides, ((height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1)
    return [
        lax.slice(images, (0, i, j, 0), (batch, i + last[0], j + last[1], channels), (1, sy, sx, 1))
        for i in range(window[0])
        for j in range(window[1])
    ]


def chunks(batch: int, bytes_of_one: int, least: int = 0) -> int:
    """Returns in how many equal parts to take a batch so that a part's columns fit the cache.

    The columns of a batch are many times its images; written to memory and read back they cost
    more than the products: in parts the convolution is 2.5 times faster on CPU, and needs a
    fraction of the memory. Accelerators want one large product. Parts of `least` bytes are allowed
    in any case.
    """
    if jax.default_backend() != "cpu":
        return 1
    limit = max(CHUNK_BYTES, least)
    divisors = (parts for parts in range(1, batch + 1) if batch % parts == 0)
    return next((n for n in divisors if batch // n * bytes_of_one <= limit), batch or 1)


def split(array: jax.Array, parts: int) -> jax.Array:
    """Cuts the first axis into `parts` equal parts, on a new first axis."""
    return array.reshape(parts, -1, *array.shape[1:])


def _column_bytes(images: jax.Array, window: Pair, size: Pair) -> int:
    return math.prod(window) * math.prod(size) * images.shape[3] * images.dtype.itemsize


def _columns(images, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    """Returns the `[B, H', W', kh kw C]` pixels under the kernel at each place.

    First those of a row side by side, then the rows: `kw + kh` runs of pixels to copy for a place
    instead of `kh kw`, which are short where there are few channels.
    """
    if window == (1, 1):
        return slices(images, window, strides, pads)[0]
    across = slices(images, (1, window[1]), (1, strides[1]), pads)
    rows = jnp.concatenate(across, -1) if len(across) > 1 else across[0]
    down = slices(rows, (window[0], 1), (strides[0], 1), ((0, 0), (0, 0)))
    return jnp.concatenate(down, -1) if len(down) > 1 else down[0]


def output_matmul(images, kernel, strides, pads, depthwise):
    window = kernel.shape[:2]
    if depthwise:
        parts = slices(images, window, strides, pads)
        taps = kernel.reshape(len(parts), 1, 1, 1, kernel.shape[3])
        return sum(part * tap for part, tap in zip(parts, taps))
    matrix = kernel.reshape(-1, kernel.shape[3])
    product = lambda images: _columns(images, window, strides, pads) @ matrix
    size = output_size(images.shape[1:3], window, strides, pads)
    parts = chunks(images.shape[0], _column_bytes(images, window, size), kernel.nbytes)
    if parts == 1 or window == (1, 1):
        return product(images)
    return lax.map(product, split(images, parts)).reshape(-1, *size, kernel.shape[3])


def kernel_grad_matmul(images, grad, kernel_shape, strides, pads, depthwise):
    window = kernel_shape[:2]
    if depthwise:
        sums = [
            jnp.einsum("bhwc,bhwc->c", part, grad) for part in slices(images, window, strides, pads)
        ]
        return jnp.stack(sums).reshape(kernel_shape)

    def product(images, grad):
        columns = _columns(images, window, strides, pads)
        columns, grad = (array.reshape(-1, array.shape[-1]) for array in (columns, grad))
        return jnp.einsum("tk,to->ko", columns, grad, preferred_element_type=jnp.float32)

    kernel_bytes = math.prod(kernel_shape) * grad.dtype.itemsize
    parts = chunks(images.shape[0], _column_bytes(images, window, grad.shape[1:3]), kernel_bytes)
    if parts == 1 or window == (1, 1):
        total = product(images, grad)
    else:
        add = lambda total, chunk: (total + product(*chunk), None)
        zeros = jnp.zeros((math.prod(kernel_shape[:3]), kernel_shape[3]), jnp.float32)
        total, _ = lax.scan(add, zeros, (split(images, parts), split(grad, parts)))
    return total.astype(grad.dtype).reshape(kernel_shape)


def input_grad_matmul(kernel, grad, size, strides, pads, depthwise):
    """Returns the gradient to the images `[B, *size, C]`, by matmuls."""
    return _by_phases(output_matmul, kernel, grad, size, strides, pads, depthwise)


def _by_phases(convolve, kernel, grad, size, strides, pads, depthwise):
    """Returns the gradient to the images: a convolution of `grad` for each phase of the stride.

    The row `y` of the input, `y + top = s q + a`, meets the kernel's rows `a + s t` at the output
    rows `q - t`: rows of one phase `a` are a stride-1 convolution of `grad` with the kernel's rows
    `a, a + s, ...` in reverse order. The phases are then interleaved.
    """
    low = [p[0] // s for p, s in zip(pads, strides)]
    high = [-(-(p[0] + n) // s) for p, n, s in zip(pads, size, strides)]
    channels = kernel.shape[3] if depthwise else kernel.shape[2]

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
        return convolve(grad, part, (1, 1), reach, depthwise)

    rows = [
        jnp.stack([phase(a, b) for b in range(strides[1])], 3) for a in range(strides[0])
    ]  # each [B, Q, Q', s', C]
    full = jnp.stack(rows, 2) if len(rows) > 1 else rows[0][:, :, None]
    shape = (grad.shape[0], full.shape[1] * strides[0], full.shape[3] * strides[1], channels)
    top, left = (p[0] - lo * s for p, lo, s in zip(pads, low, strides))
    return full.reshape(shape)[:, top : top + size[0], left : left + size[1]]


def output_lax(images, kernel, strides, pads, depthwise):
    return lax.conv_general_dilated(
        images,
        kernel,
        strides,
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[3] if depthwise else 1,
    )


def direct_pays(image_shape, kernel_shape, strides: Pair, pads: Pads, dtype) -> bool:
    """Tells whether XLA's convolution beats the columns on CPU (measured)."""
    size = output_size(image_shape[1:3], kernel_shape[:2], strides, pads)
    large = min(size) >= DIRECT_SIZE and kernel_shape[3] >= DIRECT_FEATURES
    grey, pointwise = kernel_shape[2] == 1, tuple(kernel_shape[:2]) == (1, 1)
    return large and not grey and not pointwise and dtype == jnp.float32


def input_grad_direct(kernel, grad, size, strides, pads, depthwise):
    """Returns the gradient to the images, by XLA's convolution as CPUs are good at it.

    Axes in the order of the output's product, no dilation, a kernel that lies in memory: what
    autodiff writes instead takes a hundred times longer inside a `scan`.
    """

    def convolve(grad, part, strides, reach, depthwise):
        # Else the compiler would turn the kernel round inside the convolution.
        return output_lax(grad, lax.optimization_barrier(part), strides, reach, depthwise)

    return _by_phases(convolve, kernel, grad, size, strides, pads, depthwise)


def kernel_grad_lax(images, grad, kernel_shape, strides, pads, depthwise):
    forward = lambda kernel: output_lax(images, kernel, strides, pads, depthwise)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(kernel_shape, grad.dtype))(grad)[0]


def input_grad_lax(kernel, grad, size, strides, pads, depthwise):
    channels = kernel.shape[3] if depthwise else kernel.shape[2]
    forward = lambda images: output_lax(images, kernel, strides, pads, depthwise)
    shape = (grad.shape[0], *size, channels)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(shape, grad.dtype))(grad)[0]
