"""The one place where images are convolved: the fast form for the platform at hand.

Four forms compute the same numbers. `matmul`: the shifted slices of the input, concatenated, times
the kernel as one matrix (im2col); the gradients are matmuls of the same kind. `winograd`: the 3x3
kernels at stride 1 with up to four times fewer multiplications, in the output and in both
gradients. `direct`: XLA's convolution for the output and the gradient to the input, a matmul for
that to the kernel. `lax`: `lax.conv_general_dilated` and what autodiff makes of it. The choice:

* CPU: `winograd` where `winograd_pays` (3x3, stride 1, wide and large enough, float32 or wider: 1.3
  to 1.9 times less processor time than `matmul`), `direct` where `direct_pays` (large outputs),
  else `matmul`. XLA's CPU convolutions reach the rate of its matmuls where the axes come in the
  order of its library; those that autodiff writes do not, and take 25 to 100 times longer inside
  `lax.scan`. The gradient that autodiff derives from slices is slow too (it adds padded copies):
  here the gradient to the input is written as a convolution of the output's gradient, one for
  each phase of the stride, 1.5 to 2 times faster. Batches go through in parts whose columns fit
  the cache, and so do the members of an ensemble, one after the other.
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
from jax import lax
from jax.custom_batching import custom_vmap

from jaxcmr.encoders.conv.products import (
    Pair,
    direct_pays,
    explicit_pads,
    input_grad_direct,
    input_grad_lax,
    input_grad_matmul,
    kernel_grad_lax,
    kernel_grad_matmul,
    output_lax,
    output_matmul,
    output_size,
)
from jaxcmr.encoders.conv.winograd import (
    fits_winograd,
    input_grad_winograd,
    kernel_grad_winograd,
    output_winograd,
    winograd_pays,
)
from jaxcmr.encoders.linear import torch_kernel
from jaxcmr.encoders.norm import along

FORMS = ("matmul", "winograd", "direct", "lax")


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
        form: one of `FORMS` to force a form; None chooses by the rule above.

    Returns:
        `[B, H', W', O]`, `H' = floor((H + top + bottom - kh) / s) + 1`, in the dtype of `images`.

    Raises:
        ValueError: if the channels do not fit, the padded image is smaller than the kernel, or
            the form does not exist or does not apply.
    """
    strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
    pads = explicit_pads(padding, images.shape[1:3], kernel.shape[:2], strides)
    depthwise = kernel.shape[2] == 1 and kernel.shape[3] == images.shape[3] > 1
    if not depthwise and kernel.shape[2] != images.shape[3]:
        raise ValueError(
            f"the kernel takes {kernel.shape[2]} channels, the images have {images.shape[3]}: "
            f"kernel {kernel.shape}, images {images.shape}"
        )
    size = output_size(images.shape[1:3], kernel.shape[:2], strides, pads)
    if min(size) < 1:
        raise ValueError(
            f"images of {images.shape[1:3]} padded by {pads} are smaller than the kernel "
            f"{kernel.shape[:2]}: give larger images"
        )
    if form is None:
        form = "auto"
        if jax.default_backend() == "cpu":
            form = _fastest_on_cpu(images, kernel.shape, strides, pads, depthwise)
    elif form not in FORMS:
        raise ValueError(f"form must be one of {FORMS} or None, not {form!r}")
    if form == "winograd" and (depthwise or not fits_winograd(kernel.shape, strides)):
        raise ValueError(
            f"Winograd's form takes 3x3 kernels at stride 1, not depthwise ones: kernel "
            f"{kernel.shape}, strides {strides}; give form=None"
        )
    return _conv(images, kernel.astype(images.dtype), strides, pads, depthwise, form)


def _fastest_on_cpu(images, kernel_shape, strides: Pair, pads, depthwise: bool) -> str:
    layer = (images.shape, kernel_shape, strides, pads, images.dtype)
    if depthwise:
        return "matmul"
    if winograd_pays(*layer):
        return "winograd"
    return "direct" if direct_pays(*layer) else "matmul"


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


def _member_by_member(form, *static):
    """Returns `form` as a function of two arrays, as they are handed to it.

    Where vmap batches the second one, it loops over the members: columns of all members together
    would not fit the cache, and those of images that members share, as in the first layer of an
    ensemble, would be written in an order to be transposed.
    """

    @custom_vmap
    def product(first, second):
        return form(first, second, *static)

    @product.def_vmap
    def rule(axis_size, in_batched, first, second):
        if all(in_batched):
            return lax.map(lambda both: product(*both), (first, second)), True
        if in_batched[1]:
            return lax.map(lambda one: product(first, one), second), True
        return jax.vmap(lambda one: form(one, second, *static))(first), True

    return product


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _conv(images, kernel, strides, pads, depthwise, form):
    if form == "matmul":
        return _member_by_member(output_matmul, strides, pads, depthwise)(images, kernel)
    if form == "direct":
        return _member_by_member(output_lax, strides, pads, depthwise)(images, kernel)
    if form == "lax":
        return output_lax(images, kernel, strides, pads, depthwise)
    if form == "winograd":
        return output_winograd(images, kernel, pads)
    return _by_batching(output_lax, output_matmul, 0, strides, pads, depthwise)(images, kernel)


def _conv_forward(images, kernel, strides, pads, depthwise, form):
    return _conv(images, kernel, strides, pads, depthwise, form), (images, kernel)


def _conv_backward(strides, pads, depthwise, form, residuals, grad):
    images, kernel = residuals
    to_kernel = (kernel.shape, strides, pads, depthwise)
    to_input = (images.shape[1:3], strides, pads, depthwise)
    if form == "matmul":
        kernel_grad = _member_by_member(kernel_grad_matmul, *to_kernel)(images, grad)
        input_grad = input_grad_matmul(kernel, grad, *to_input)
    elif form == "direct":
        kernel_grad = _member_by_member(kernel_grad_matmul, *to_kernel)(images, grad)
        input_grad = _member_by_member(input_grad_direct, *to_input)(kernel, grad)
    elif form == "winograd":
        kernel_grad = kernel_grad_winograd(images, grad, kernel.shape, pads)
        input_grad = input_grad_winograd(kernel, grad, pads)
    elif form == "lax":
        kernel_grad = kernel_grad_lax(images, grad, *to_kernel)
        input_grad = input_grad_lax(kernel, grad, *to_input)
    else:
        kernel_product = _by_batching(kernel_grad_lax, kernel_grad_matmul, -1, *to_kernel)
        input_product = _by_batching(input_grad_lax, input_grad_matmul, 1, *to_input)
        kernel_grad = kernel_product(images, grad)
        input_grad = input_product(kernel, grad)
    return input_grad, kernel_grad


_conv.defvjp(_conv_forward, _conv_backward)
