"""The one place where images are convolved and pooled: the fast form for the platform at hand.

Two forms compute the same numbers. `matmul`: the shifted slices of the input, concatenated, times
the kernel as one matrix (im2col); the gradients are matmuls of the same kind. `lax`:
`lax.conv_general_dilated`. The choice:

* CPU: always `matmul`. XLA's CPU convolutions are slow inside `lax.scan` (25 times and more), and
  so is the gradient that autodiff derives from slices (it adds padded copies); here the gradient
  to the input is written as a convolution of the output's gradient, one for each phase of the
  stride, 1.5 to 2 times faster.
* GPU, TPU: `lax`, unless the kernel itself is batched (`jax.vmap` over the members of an
  ensemble), where XLA would build a grouped convolution: then `matmul`, a batched matmul. The
  three products of a convolution (output, gradient to the input, gradient to the kernel) are
  `custom_vmap` functions, so each learns while it is being vmapped what is batched. They sit
  inside a `custom_vjp` and are never differentiated, so grad of vmap, vmap of grad, and either
  inside jit and scan all take the right form.

The platform is `jax.default_backend()` when the function is traced. Reverse mode only.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from jaxcmr.encoders.linear import torch_kernel
from jaxcmr.encoders.norm import along

Pads = tuple[tuple[int, int], tuple[int, int]]
Pair = tuple[int, int]

FORMS = ("matmul", "lax")


class Conv(nn.Module):
    """Convolves `[B, H, W, C]` to `[B, H', W', features]` by `conv2d`, with its own kernel.

    Attributes:
        features: number of output channels.
        size: height and width of the kernel.
        stride: step of both axes.
        padding: as in `conv2d`; `size // 2`, PyTorch's custom, if None.
        use_bias: False in front of a batch norm, which takes any constant away.
        depthwise: one filter a channel; `features` must be the number of input channels.
        kernel_init: initial distribution; PyTorch's default if not given.
        dtype: dtype of the product; that of the images if None. Parameters are float32.
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: Any = None
    use_bias: bool = False
    depthwise: bool = False
    kernel_init: Any = torch_kernel
    dtype: Any = None

    @nn.compact
    def __call__(self, images):
        inputs = 1 if self.depthwise else images.shape[-1]
        shape = (self.size, self.size, inputs, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        padding = self.size // 2 if self.padding is None else self.padding
        images = images.astype(self.dtype or images.dtype)
        out = conv2d(images, kernel, strides=self.stride, padding=padding)
        if not self.use_bias:
            return out
        bound = (self.size * self.size * inputs) ** -0.5
        uniform = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        return out + along(self.param("bias", uniform, (self.features,)).astype(out.dtype), out)


def as_images(images: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
    """Returns `images` as `[B, H, W, C]` of `dtype`: uint8 divided by 255, grey `[B, H, W]` too.

    Raises:
        ValueError: if the array has neither three nor four axes.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"images must be [B, H, W, C] or [B, H, W], not of shape {images.shape}")
    if jnp.issubdtype(images.dtype, jnp.integer):
        images = images.astype(jnp.float32) / 255
    return images.astype(dtype)


def conv2d(
    images: jax.Array,
    kernel: jax.Array,
    *,
    strides: int | Pair = 1,
    padding: int | str | Sequence = 0,
    form: str | None = None,
) -> jax.Array:
    """Convolves `images` with `kernel` (cross-correlation, as every deep-learning library).

    `out[b, y, x, o] = sum_{i, j, c} images[b, s y + i - p, s x + j - p, c] kernel[i, j, c, o]`.

    Args:
        images: `[B, H, W, C]`.
        kernel: `[kh, kw, C, O]`, or `[kh, kw, 1, C]` for a depthwise convolution (one filter a
            channel, no sum over `c`).
        strides: one number or one for each of the two axes.
        padding: zeros added: one number, `((top, bottom), (left, right))`, or "SAME" (output size
            `ceil(H / s)`, the odd zero at the end).
        form: "matmul" or "lax" to force a form; None chooses by the rule above.

    Returns:
        `[B, H', W', O]`, `H' = floor((H + top + bottom - kh) / s) + 1`, in the dtype of `images`.

    Raises:
        ValueError: if the channels do not fit or the padded image is smaller than the kernel.
    """
    strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
    pads = _pads(padding, images.shape[1:3], kernel.shape[:2], strides)
    depthwise = kernel.shape[2] == 1 and kernel.shape[3] == images.shape[3] > 1
    if not depthwise and kernel.shape[2] != images.shape[3]:
        raise ValueError(
            f"the kernel takes {kernel.shape[2]} channels, the images have {images.shape[3]}: "
            f"kernel {kernel.shape}, images {images.shape}"
        )
    size = _output_size(images.shape[1:3], kernel.shape[:2], strides, pads)
    if min(size) < 1:
        raise ValueError(
            f"images of {images.shape[1:3]} padded by {pads} are smaller than the kernel "
            f"{kernel.shape[:2]}: give larger images"
        )
    if form is None:
        form = "matmul" if jax.default_backend() == "cpu" else "auto"
    elif form not in FORMS:
        raise ValueError(f"form must be one of {FORMS} or None, not {form!r}")
    return _conv(images, kernel.astype(images.dtype), strides, pads, depthwise, form)


def max_pool(images: jax.Array, window: int, *, stride: int | None = None, padding: int = 0):
    """Takes the maximum over `window x window` patches: `[B, H, W, C] -> [B, H', W', C]`.

    `H' = floor((H + 2 padding - window) / stride) + 1`; what is padded never wins. `stride` is
    `window` if None. Patches that tile the image are a reshape, any others shifted slices; XLA's
    windowed reduction and its gradient are several times slower on CPU.
    """
    stride = stride or window
    if stride == window and padding == 0:
        b, h, w, c = images.shape
        tiles = images[:, : h // window * window, : w // window * window]
        return tiles.reshape(b, h // window, window, w // window, window, c).max((2, 4))
    pads = ((padding, padding), (padding, padding))
    slices = _slices(images, (window, window), (stride, stride), pads, -jnp.inf)
    return functools.reduce(jnp.maximum, slices)


def global_pool(images: jax.Array, pool: str) -> jax.Array:
    """Pools `[B, H, W, C]` over all pixels to `[B, C]`, or `[B, 2 C]` for "mean_max".

    Raises:
        ValueError: if `pool` is none of "mean", "max", "mean_max".
    """
    if pool not in ("mean", "max", "mean_max"):
        raise ValueError(f'pool must be "mean", "max" or "mean_max", not {pool!r}')
    parts = []
    if pool != "max":
        parts.append(images.mean((1, 2)))
    if pool != "mean":
        parts.append(images.max((1, 2)))
    return jnp.concatenate(parts, -1)


def _pads(padding, size: Pair, window: Pair, strides: Pair) -> Pads:
    """Returns the zeros before and after each axis that `padding` stands for."""
    if padding == "SAME":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, window, strides)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    return tuple((int(low), int(high)) for low, high in padding)


def _output_size(size: Pair, window: Pair, strides: Pair, pads: Pads) -> Pair:
    return tuple((n + sum(p) - k) // s + 1 for n, k, s, p in zip(size, window, strides, pads))


def _slices(images, window: Pair, strides: Pair, pads: Pads, fill=0.0) -> list[jax.Array]:
    """Returns the `kh kw` shifted, strided copies of `images`, each of the output's size.

    Negative pads crop.
    """
    height, width = _output_size(images.shape[1:3], window, strides, pads)
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


# The three products of a convolution by matmul, and by shifted multiply-adds for a depthwise one.


def _output_matmul(images, kernel, strides, pads, depthwise):
    slices = _slices(images, kernel.shape[:2], strides, pads)
    if depthwise:
        taps = kernel.reshape(len(slices), 1, 1, 1, kernel.shape[3])
        return sum(part * tap for part, tap in zip(slices, taps))
    columns = slices[0] if len(slices) == 1 else jnp.concatenate(slices, -1)
    return columns @ kernel.reshape(-1, kernel.shape[3])


def _kernel_grad_matmul(images, grad, kernel_shape, strides, pads, depthwise):
    slices = _slices(images, kernel_shape[:2], strides, pads)
    if depthwise:
        parts = [jnp.einsum("bhwc,bhwc->c", part, grad) for part in slices]
        return jnp.stack(parts).reshape(kernel_shape)
    columns = slices[0] if len(slices) == 1 else jnp.concatenate(slices, -1)
    return jnp.einsum("bhwk,bhwo->ko", columns, grad).reshape(kernel_shape)


def _input_grad_matmul(kernel, grad, size, strides, pads, depthwise):
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
        return _output_matmul(grad, part, (1, 1), reach, depthwise)

    rows = [
        jnp.stack([phase(a, b) for b in range(strides[1])], 3) for a in range(strides[0])
    ]  # each [B, Q, Q', s', C]
    full = jnp.stack(rows, 2) if len(rows) > 1 else rows[0][:, :, None]
    shape = (grad.shape[0], full.shape[1] * strides[0], full.shape[3] * strides[1], channels)
    top, left = (p[0] - lo * s for p, lo, s in zip(pads, low, strides))
    return full.reshape(shape)[:, top : top + size[0], left : left + size[1]]


# The same three products by XLA's convolution, for platforms where it is fast.


def _output_lax(images, kernel, strides, pads, depthwise):
    return lax.conv_general_dilated(
        images,
        kernel,
        strides,
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[3] if depthwise else 1,
    )


def _kernel_grad_lax(images, grad, kernel_shape, strides, pads, depthwise):
    forward = lambda kernel: _output_lax(images, kernel, strides, pads, depthwise)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(kernel_shape, grad.dtype))(grad)[0]


def _input_grad_lax(kernel, grad, size, strides, pads, depthwise):
    channels = kernel.shape[3] if depthwise else kernel.shape[2]
    forward = lambda images: _output_lax(images, kernel, strides, pads, depthwise)
    shape = (grad.shape[0], *size, channels)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(shape, grad.dtype))(grad)[0]


def _by_batching(lax_form, matmul_form, batched_alone: int, *static):
    """Returns a function of two arrays that is `lax_form` until the vmap calls for `matmul_form`.

    `batched_alone` is the argument that may be batched without harm: the images, whose extra axis
    folds into their batch axis. -1 if either argument calls for the matmul.
    """

    @custom_vmap
    def product(first, second):
        return lax_form(first, second, *static)

    @product.def_vmap
    def rule(axis_size, in_batched, first, second):
        if batched_alone >= 0 and not in_batched[1 - batched_alone]:
            args = [first, second]
            images = args[batched_alone]
            args[batched_alone] = images.reshape(-1, *images.shape[2:])
            out = product(*args)
            return out.reshape(axis_size, -1, *out.shape[1:]), True
        axes = tuple(0 if batched else None for batched in in_batched)
        return jax.vmap(lambda a, b: matmul_form(a, b, *static), axes)(first, second), True

    return product


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _conv(images, kernel, strides, pads, depthwise, form):
    if form == "matmul":
        return _output_matmul(images, kernel, strides, pads, depthwise)
    if form == "lax":
        return _output_lax(images, kernel, strides, pads, depthwise)
    return _by_batching(_output_lax, _output_matmul, 0, strides, pads, depthwise)(images, kernel)


def _conv_forward(images, kernel, strides, pads, depthwise, form):
    return _conv(images, kernel, strides, pads, depthwise, form), (images, kernel)


def _conv_backward(strides, pads, depthwise, form, residuals, grad):
    images, kernel = residuals
    to_kernel = (kernel.shape, strides, pads, depthwise)
    to_input = (images.shape[1:3], strides, pads, depthwise)
    if form == "matmul":
        kernel_grad = _kernel_grad_matmul(images, grad, *to_kernel)
        input_grad = _input_grad_matmul(kernel, grad, *to_input)
    elif form == "lax":
        kernel_grad = _kernel_grad_lax(images, grad, *to_kernel)
        input_grad = _input_grad_lax(kernel, grad, *to_input)
    else:
        kernel_product = _by_batching(_kernel_grad_lax, _kernel_grad_matmul, -1, *to_kernel)
        input_product = _by_batching(_input_grad_lax, _input_grad_matmul, 1, *to_input)
        kernel_grad = kernel_product(images, grad)
        input_grad = input_product(kernel, grad)
    return input_grad, kernel_grad


_conv.defvjp(_conv_forward, _conv_backward)
