"""The pooled product and the moments of a product, against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.encoders import pointwise


def _draw(shape, seed):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("block_bytes", [2**21, 4 * 2 * 7 * 5])  # in one piece, and two clouds each
def test_the_largest_product_and_its_gradients(monkeypatch, block_bytes):
    monkeypatch.setattr(pointwise, "BLOCK_BYTES", block_bytes)
    x, kernel, grad = _draw((4, 7, 3), 0), _draw((3, 5), 1), _draw((4, 5), 2)
    found, pull = jax.vjp(pointwise.max_product, x, kernel)
    expected, pull_expected = jax.vjp(lambda x, kernel: (x @ kernel).max(1), x, kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    for a, b in zip(pull(grad), pull_expected(grad)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_equal_points_do_not_count_twice():
    x = jnp.ones((1, 3, 2))
    to_x, to_kernel = jax.vjp(pointwise.max_product, x, jnp.ones((2, 1)))[1](jnp.ones((1, 1)))
    assert float(to_x.sum()) == 2.0  # one point, two channels, kernel 1
    np.testing.assert_array_equal(to_kernel, [[1.0], [1.0]])


def test_it_works_over_members():
    x, kernels = _draw((4, 7, 3), 0), _draw((2, 3, 5), 1)
    loss = lambda kernel: jnp.square(pointwise.max_product(x, kernel)).sum()
    together = jax.vmap(jax.grad(loss))(kernels)
    for member in range(2):
        np.testing.assert_allclose(together[member], jax.grad(loss)(kernels[member]), rtol=1e-5)


def test_the_moments_of_a_product_are_those_of_its_rows():
    x, kernel = 3 + _draw((4, 7, 3), 0), _draw((3, 5), 1)
    y = np.asarray(x @ kernel, np.float64).reshape(-1, 5)
    found = pointwise.linear_moments(x, kernel)
    np.testing.assert_allclose(found.mean, y.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.var, y.var(0), rtol=1e-5)
    assert found.count == 28
