"""The forms of a convolution, and which of them is fast on the platform at hand.

The forms compute the same values up to rounding. `matmul`: the shifted slices of the input,
concatenated, times the kernel as one matrix (im2col); the gradients are matmuls of the same kind.
`winograd`: the 3x3 kernels at stride 1 with up to four times fewer multiplications, in the output
and in both gradients. `direct`: XLA's convolution for the output and the gradient to the input, a
matmul for that to the kernel. `lax`: `lax.conv_general_dilated` and its gradients by autodiff, one
convolution a member. `grouped`: the same, but several members are one grouped convolution. The
choice:

* CPU: `winograd` where `winograd.pays` (3x3, stride 1, wide and large enough, float32 or wider: 1.3
  to 1.9 times less processor time than `matmul`), `direct` where `direct_pays` (large outputs),
  else `matmul`. XLA's CPU convolutions reach the rate of its matmuls where the axes come in the
  order of its library; those that autodiff writes do not, and take 25 to 100 times longer inside
  `lax.scan`. The gradient that autodiff derives from slices is slow too (it adds padded copies):
  here the gradient to the input is written as a convolution of the output's gradient, one for
  each phase of the stride, 1.5 to 2 times faster. Batches go through in parts whose columns fit
  the cache, and so do the members of an ensemble, one after the other.
* GPU: `lax`; TPU: `grouped`. They differ for several members on one device, by what the compilers
  read and write: see `launch/ACCELERATORS.md`.

Each product is a `custom_vmap` function, which finds out under vmap which argument is batched.

The platform is the one for which the function is traced (`encoders.platform`); a program for any of
them takes `lax`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap, sequential_vmap

from jaxcmr.encoders.conv import products, winograd
from jaxcmr.encoders.conv.products import Geometry
from jaxcmr.encoders.platform import platform

Product = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


def fastest(geometry: Geometry, dtype) -> str:
    """Returns the name of the form for images of `dtype`."""
    traced_for = platform()
    if traced_for != "cpu":
        return "grouped" if traced_for == "tpu" else "lax"
    if geometry.depthwise:
        return "matmul"
    if winograd.pays(geometry, dtype):
        return "winograd"
    return "direct" if products.direct_pays(geometry, dtype) else "matmul"


def _loop(again: Callable, form: Callable, axes: Sequence[int | None], *args) -> jax.Array:
    """Computes the product of each member by itself."""
    size = next(arg.shape[0] for arg, axis in zip(args, axes) if axis == 0)
    of = lambda member: (arg if axis is None else arg[member] for arg, axis in zip(args, axes))
    return jnp.stack([again(*of(member)) for member in range(size)])


def _group(again: Callable, form: Callable, axes: Sequence[int | None], *args) -> jax.Array:
    """Computes the products of several members at once: JAX writes a grouped convolution."""
    size = next(arg.shape[0] for arg, axis in zip(args, axes) if axis == 0)
    if size == 1:
        return _loop(again, form, axes, *args)
    return jax.vmap(form, axes)(*args)


def _of_members(form: Product, several: Callable[..., jax.Array], alone: int) -> Product:
    """Returns `form` as a product that is `several` of them where vmap batches it over members.

    Images that are batched alone, for a kernel that members share, are one larger batch.

    Args:
        form: the product of one member.
        several: `_loop` or `_group`; it is given the product that a second vmap, as of runs, finds
            again, and `form`, which it does not.
        alone: the argument that counts images, if the other is a kernel; -1 if both do.
    """

    def product(first, second, geometry):
        bare = lambda first, second: form(first, second, geometry)
        again = custom_vmap(bare)

        @again.def_vmap
        def rule(axis_size, in_batched, *args):
            if alone >= 0 and not in_batched[1 - alone]:
                folded = list(args)
                folded[alone] = args[alone].reshape(-1, *args[alone].shape[2:])
                out = again(*folded)
                return out.reshape(axis_size, -1, *out.shape[1:]), True
            axes = tuple(0 if batched else None for batched in in_batched)
            return several(again, bare, axes, *args), True

        return again(first, second)

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
        _of_members(products.output_lax, _loop, alone=0),
        _of_members(products.kernel_grad_lax, _loop, alone=-1),
        _of_members(products.input_grad_lax, _loop, alone=1),
    ),
    "grouped": Form(
        _of_members(products.output_lax, _group, alone=0),
        _of_members(products.kernel_grad_lax, _group, alone=-1),
        _of_members(products.input_grad_lax, _group, alone=1),
    ),
}
