"""Maxima whose gradient is finite and fast: over an axis, and over patches of images."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr.encoders.conv.products import slices


def max_over(x: jax.Array, axis: int) -> jax.Array:
    """Takes the maximum over an axis; its gradient goes to the first of equal entries.

    `jnp.max` divides its gradient by the number of entries that equal the maximum. Where a compiler
    computes the entries a second time with other rounding, none does, and the gradient is NaN.
    """
    place = jnp.argmax(x, axis, keepdims=True)
    return jnp.take_along_axis(x, place, axis, mode="clip").squeeze(axis)


def max_pool(images: jax.Array, window: int, *, stride: int | None = None, padding: int = 0):
    """Takes the maximum over `window x window` patches: `[B, H, W, C] -> [B, H', W', C]`.

    `H' = floor((H + 2 padding - window) / stride) + 1`; padding is never the maximum. `stride` is
    `window` if None. The gradient goes to the first of equal pixels. Shifted slices, and a byte a
    patch for the gradient: XLA's windowed reduction and its gradient are several times slower on
    CPU, and so is the gradient that autodiff derives from slices.
    """
    return _max_pool(images, window, stride or window, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(images, window, stride, padding):
    return functools.reduce(jnp.maximum, _pixels(images, window, stride, padding))


def _pixels(images, window: int, stride: int, padding: int) -> list[jax.Array]:
    """Returns the first pixel of every patch, the second of every patch, ...: `[B, H', W', C]`."""
    if padding:
        edge = (padding, padding, 0)
        lowest = jnp.asarray(-jnp.inf, images.dtype)
        # Padded once: without the barrier every slice would test each pixel for the border.
        images = lax.pad(images, lowest, ((0, 0, 0), edge, edge, (0, 0, 0)))
        images = lax.optimization_barrier(images)
    return slices(images, (window, window), (stride, stride), ((0, 0), (0, 0)))


def _max_pool_forward(images, window, stride, padding):
    """Keeps for the gradient which pixel of each patch won, a byte each: the first of equals."""
    pixels = _pixels(images, window, stride, padding)
    # Without the barrier XLA computes the maximum again for each comparison.
    out = lax.optimization_barrier(functools.reduce(jnp.maximum, pixels))
    kind = jnp.uint8 if len(pixels) < 255 else jnp.uint16
    winner = jnp.full(out.shape, len(pixels) - 1, kind)
    for place in reversed(range(len(pixels) - 1)):
        winner = jnp.where(pixels[place] == out, kind(place), winner)
    return out, (winner, images.shape[1:3])


def _max_pool_backward(window, stride, padding, residuals, grad):
    """Sums for each pixel the gradients of the patches that it won.

    Pixel `y = s Y + a` lies at `i = a + padding - s e` of patch `Y + e`: for a fixed `e`, all
    pixels read one patch each, and the sum over the few possible `e` is a single loop.
    """
    winner, size = residuals
    nowhere = window * window  # no pixel of a patch
    cells = [-(-n // stride) for n in size]
    phase = np.arange(stride)
    shifts = range(-((window - 1 - padding) // stride), (stride - 1 + padding) // stride + 1)

    def shifted(array, fill, shift):
        reach = [(-e, n + e - m, 0) for e, n, m in zip(shift, cells, array.shape[1:3])]
        padded = lax.pad(array, jnp.asarray(fill, array.dtype), ((0, 0, 0), *reach, (0, 0, 0)))
        return padded[:, :, None, :, None]

    total = 0
    for shift in itertools.product(shifts, shifts):
        row, column = (phase + padding - stride * e for e in shift)
        inside = lambda place: (place >= 0) & (place < window)
        place = np.where(
            inside(row)[:, None] & inside(column), row[:, None] * window + column, nowhere
        )
        place = jnp.asarray(place.reshape(1, 1, stride, 1, stride, 1), winner.dtype)
        won = shifted(winner, nowhere + 1, shift) == place
        total = total + jnp.where(won, shifted(grad, 0, shift), 0)
    full = total.reshape(grad.shape[0], cells[0] * stride, cells[1] * stride, grad.shape[3])
    return (full[:, : size[0], : size[1]],)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
