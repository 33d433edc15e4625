"""The three products of a convolution, each by matmul and by XLA's convolution.

Output, gradient to the input, gradient to the kernel. `pads` are zeros before and after each axis
(negative ones crop). A depthwise kernel `[kh, kw, 1, C]` has one filter a channel: its products
are shifted multiply-adds instead of matmuls.
"""

import jax
import jax.numpy as jnp
from jax import lax

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


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


def output_matmul(images, kernel, strides, pads, depthwise):
    parts = slices(images, kernel.shape[:2], strides, pads)
    if depthwise:
        taps = kernel.reshape(len(parts), 1, 1, 1, kernel.shape[3])
        return sum(part * tap for part, tap in zip(parts, taps))
    columns = parts[0] if len(parts) == 1 else jnp.concatenate(parts, -1)
    return columns @ kernel.reshape(-1, kernel.shape[3])


def kernel_grad_matmul(images, grad, kernel_shape, strides, pads, depthwise):
    parts = slices(images, kernel_shape[:2], strides, pads)
    if depthwise:
        sums = [jnp.einsum("bhwc,bhwc->c", part, grad) for part in parts]
        return jnp.stack(sums).reshape(kernel_shape)
    columns = parts[0] if len(parts) == 1 else jnp.concatenate(parts, -1)
    return jnp.einsum("bhwk,bhwo->ko", columns, grad).reshape(kernel_shape)


def input_grad_matmul(kernel, grad, size, strides, pads, depthwise):
    """Returns the gradient to the images `[B, *size, C]`: a convolution of `grad` for each phase.

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
        return output_matmul(grad, part, (1, 1), reach, depthwise)

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


def kernel_grad_lax(images, grad, kernel_shape, strides, pads, depthwise):
    forward = lambda kernel: output_lax(images, kernel, strides, pads, depthwise)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(kernel_shape, grad.dtype))(grad)[0]


def input_grad_lax(kernel, grad, size, strides, pads, depthwise):
    channels = kernel.shape[3] if depthwise else kernel.shape[2]
    forward = lambda images: output_lax(images, kernel, strides, pads, depthwise)
    shape = (grad.shape[0], *size, channels)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(shape, grad.dtype))(grad)[0]
