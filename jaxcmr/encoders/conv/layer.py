"""The one place where images are convolved.

The products of a form sit inside a `custom_vjp` and are never differentiated, so grad of vmap, vmap
of grad, and either inside jit and scan all take the right one (`forms`). Their precision is the one
that is in force where the convolution is called, in the backward pass too. Reverse mode only.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcmr.encoders.conv import winograd
from jaxcmr.encoders.conv.forms import FORMS, fastest
from jaxcmr.encoders.conv.products import Geometry, Pair, explicit_pads
from jaxcmr.encoders.linear import torch_kernel
from jaxcmr.encoders.norm import along


class Conv(nn.Module):
    """Convolves `[B, H, W, C]` to `[B, H', W', features]` by `conv2d`, with its own kernel.

    Attributes:
        features: number of output channels.
        size: height and width of the kernel.
        stride: step of both axes.
        padding: as in `conv2d`; `size // 2`, as usual in PyTorch, if None.
        use_bias: False before a batch norm, which cancels any constant.
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
        form: one of `forms.FORMS` to force a form; None takes the fastest.

    Returns:
        `[B, H', W', O]`, `H' = floor((H + top + bottom - kh) / s) + 1`, in the dtype of `images`.

    Raises:
        ValueError: if the channels do not fit, the padded image is smaller than the kernel, or
            the form does not exist or does not apply.
    """
    strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
    size = images.shape[1:3]
    pads = explicit_pads(padding, size, kernel.shape[:2], strides)
    depthwise = kernel.shape[2] == 1 and kernel.shape[3] == images.shape[3] > 1
    geometry = Geometry(size, kernel.shape, strides, pads, depthwise)
    if geometry.channels != images.shape[3]:
        raise ValueError(
            f"the kernel takes {kernel.shape[2]} channels, the images have {images.shape[3]}: "
            f"kernel {kernel.shape}, images {images.shape}"
        )
    if min(geometry.output) < 1:
        raise ValueError(
            f"images of {size} padded by {pads} are smaller than the kernel {geometry.window}: "
            "give larger images"
        )
    if form is None:
        form = fastest(geometry, images.dtype)
    elif form not in FORMS:
        raise ValueError(f"form must be one of {tuple(FORMS)} or None, not {form!r}")
    if form == "winograd" and not winograd.applies(geometry):
        raise ValueError(
            f"Winograd's form takes 3x3 kernels at stride 1, not depthwise ones: kernel "
            f"{kernel.shape}, strides {strides}; give form=None"
        )
    precision = jax.config.jax_default_matmul_precision
    return _conv(images, kernel.astype(images.dtype), geometry, form, precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv(images, kernel, geometry: Geometry, form: str, precision: str | None):
    return FORMS[form].output(images, kernel, geometry)


def _conv_forward(images, kernel, geometry, form, precision):
    return _conv(images, kernel, geometry, form, precision), (images, kernel)


def _conv_backward(geometry, form, precision, residuals, grad):
    images, kernel = residuals
    with jax.default_matmul_precision(precision):
        input_grad = FORMS[form].input_grad(kernel, grad, geometry)
        return input_grad, FORMS[form].kernel_grad(images, grad, geometry)


_conv.defvjp(_conv_forward, _conv_backward)
