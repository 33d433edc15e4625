"""The one place where images are convolved: the fast form for the platform at hand.

The forms compute the same values up to rounding. `matmul`: the shifted slices of the input,
concatenated, times the kernel as one matrix (im2col); the gradients are matmuls of the same kind.
`winograd`: the 3x3 kernels at stride 1 with up to four times fewer multiplications, in the output
and in both gradients. `direct`: XLA's convolution for the output and the gradient to the input, a
matmul for that to the kernel. `lax`: `lax.conv_general_dilated` and its gradients by autodiff, one
convolution a member. `grouped`: the same, which vmap over the members makes one grouped
convolution of. The choice:

* CPU: `winograd` where `winograd.pays` (3x3, stride 1, wide and large enough, float32 or wider: 1.3
  to 1.9 times less processor time than `matmul`), `direct` where `direct_pays` (large outputs),
  else `matmul`. XLA's CPU convolutions reach the rate of its matmuls where the axes come in the
  order of its library; those that autodiff writes do not, and take 25 to 100 times longer inside
  `lax.scan`. The gradient that autodiff derives from slices is slow too (it adds padded copies):
  here the gradient to the input is written as a convolution of the output's gradient, one for
  each phase of the stride, 1.5 to 2 times faster. Batches go through in parts whose columns fit
  the cache, and so do the members of an ensemble, one after the other.
* GPU, TPU: `lax`. See `launch/ACCELERATORS.md` for what the other forms cost with several members.

Each product is a `custom_vmap` function, which finds out under vmap which argument is batched. The
products sit inside a `custom_vjp` and are never differentiated, so grad of vmap, vmap of grad, and
either inside jit and scan all take the right form. Their precision is the one that is in force
where the convolution is called, in the backward pass too.

The platform is `jax.default_backend()` when the function is traced. Reverse mode only.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap, sequential_vmap

from jaxcmr.encoders.conv import products, winograd
from jaxcmr.encoders.conv.products import Geometry, Pair, explicit_pads
from jaxcmr.encoders.linear import torch_kernel
from jaxcmr.encoders.norm import along

Product = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


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
        form: one of `FORMS` to force a form; None chooses by the rule above.

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
        form = _fastest(geometry, images.dtype)
    elif form not in FORMS:
        raise ValueError(f"form must be one of {tuple(FORMS)} or None, not {form!r}")
    if form == "winograd" and not winograd.applies(geometry):
        raise ValueError(
            f"Winograd's form takes 3x3 kernels at stride 1, not depthwise ones: kernel "
            f"{kernel.shape}, strides {strides}; give form=None"
        )
    precision = jax.config.jax_default_matmul_precision
    return _conv(images, kernel.astype(images.dtype), geometry, form, precision)


def _fastest(geometry: Geometry, dtype) -> str:
    if jax.default_backend() != "cpu":
        return "lax"
    if geometry.depthwise:
        return "matmul"
    if winograd.pays(geometry, dtype):
        return "winograd"
    return "direct" if products.direct_pays(geometry, dtype) else "matmul"


def _each_member(form: Product, alone: int) -> Product:
    """Returns `form` as a product that is written once for each member that vmap batches.

    One member is no batch: its axis is squeezed. Of `images` that are batched alone, for a kernel
    that members share, the extra axis folds into that of the batch.

    Args:
        form: the product.
        alone: the argument that counts images, if the other is a kernel; -1 if both do.
    """

    def product(first, second, geometry):
        one = custom_vmap(lambda first, second: form(first, second, geometry))

        @one.def_vmap
        def rule(axis_size, in_batched, *args):
            if alone >= 0 and not in_batched[1 - alone]:
                folded = list(args)
                folded[alone] = args[alone].reshape(-1, *args[alone].shape[2:])
                out = one(*folded)
                return out.reshape(axis_size, -1, *out.shape[1:]), True
            of = lambda member: (a[member] if b else a for a, b in zip(args, in_batched))
            return jnp.stack([one(*of(member)) for member in range(axis_size)]), True

        return one(first, second)

    return product


def _one_by_one(form: Product) -> Product:
    """Returns `form` as a product that loops over the members where vmap batches an array.

    Columns of all members together would not fit the cache, and those of images that members
    share, as in the first layer of an ensemble, would be written in an order to be transposed.
    """

    def loop(first, second, geometry):
        return sequential_vmap(lambda first, second: form(first, second, geometry))(first, second)

    return loop


class Form(NamedTuple):
    """The three products of a convolution: of (images, kernel), (images, grad), (kernel, grad)."""

    output: Product
    kernel_grad: Product
    input_grad: Product


FORMS = {
    "matmul": Form(
        _one_by_one(products.output_matmul),
        _one_by_one(products.kernel_grad_matmul),
        products.input_grad_matmul,
    ),
    "winograd": Form(
        _one_by_one(winograd.output),
        _one_by_one(winograd.kernel_grad),
        _one_by_one(winograd.input_grad),
    ),
    "direct": Form(
        _one_by_one(products.output_lax),
        _one_by_one(products.kernel_grad_matmul),
        _one_by_one(products.input_grad_direct),
    ),
    "lax": Form(
        _each_member(products.output_lax, alone=0),
        _each_member(products.kernel_grad_lax, alone=-1),
        _each_member(products.input_grad_lax, alone=1),
    ),
    "grouped": Form(products.output_lax, products.kernel_grad_lax, products.input_grad_lax),
}


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
