"""Maximum pooling equals XLA's windowed maximum, and its gradient goes to one pixel of a patch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from reference_conv import close, draw

from jaxcmr.encoders.pool import max_over, max_pool

POOLS = [
    ((8, 6), 2, 2, 0),
    ((7, 9), 2, 2, 0),
    ((9, 9), 3, 3, 0),
    ((8, 11), 3, 2, 1),
    ((7, 7), 3, 1, 1),
    ((9, 10), 2, 3, 0),
    ((8, 9), 5, 2, 2),
    ((20, 18), 17, 1, 8),
]


@pytest.mark.parametrize("pool", POOLS)
def test_max_pool_and_its_gradient_equal_xlas(pool):
    size, window, stride, pad = pool
    images = draw((2, *size, 3))

    def windowed(images):
        pads = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        step = (1, stride, stride, 1)
        return lax.reduce_window(images, -jnp.inf, lax.max, (1, window, window, 1), step, pads)

    def both(images):
        ours = lambda x: max_pool(x, window, stride=stride, padding=pad)
        results = []
        for function in (ours, windowed):
            out, pull = jax.vjp(function, images)
            results.append((out, pull(jnp.cos(jnp.arange(out.size * 1.0)).reshape(out.shape))))
        return results

    actual, expected = jax.jit(both)(images)
    close(actual, expected, 1e-6)


def test_the_first_of_equal_entries_takes_the_gradient():
    entries, weights = jnp.array([[1.0, 4.0], [1.0, 5.0]]), jnp.array([2.0, 3.0])
    np.testing.assert_array_equal(max_over(entries, 0), [1, 5])
    grad = jax.grad(lambda x: (max_over(x, 0) * weights).sum())(entries)
    np.testing.assert_array_equal(grad, [[2, 0], [0, 3]])


def test_the_first_of_equal_pixels_takes_the_gradient():
    ones = jnp.ones((1, 4, 4, 1))
    grad = jax.grad(lambda x: max_pool(x, 2).sum())(ones)[0, :, :, 0]
    np.testing.assert_array_equal(grad, np.kron(np.ones((2, 2)), [[1, 0], [0, 0]]))
    grad = jax.grad(lambda x: max_pool(x, 3, stride=2, padding=1).sum())(ones)[0, :, :, 0]
    # The patches begin one pixel outside: their first pixels inside are 0 and 1 of each axis.
    np.testing.assert_array_equal(grad, np.pad(np.ones((2, 2)), (0, 2)))


def test_bfloat16_and_members():
    images = draw((3, 2, 6, 6, 2)).astype(jnp.bfloat16)
    run = jax.grad(lambda x: jnp.sin(max_pool(x, 3, stride=2, padding=1)).sum())
    together = jax.jit(jax.vmap(run))(jnp.asarray(images))
    assert together.dtype == jnp.bfloat16
    for member, one in zip(together, images):
        np.testing.assert_array_equal(np.float32(member), np.float32(jax.jit(run)(one)))


def test_padding_never_wins_the_maximum():
    out = max_pool(-jnp.ones((1, 4, 4, 1)), 3, stride=2, padding=1)
    np.testing.assert_array_equal(out, -jnp.ones((1, 2, 2, 1)))
