"""The maps of clouds on three planes by hand, and what the network over them must be."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr.encoders import triplane_cnn
from jaxcmr.encoders.triplane_cnn import depth_maps


def test_maps_by_hand():
    """Two cells a side: three points, two of them on one cell of the first plane."""
    cloud = jnp.array([[[-0.5, -0.5, 0.2], [-0.9, -0.1, 0.6], [0.5, -0.5, -1.0]]])
    maps = np.asarray(depth_maps(cloud, cells=2, extent=1.0))
    assert maps.shape == (1, 2, 2, 9)
    xy = maps[0, :, :, :3]
    np.testing.assert_allclose(xy[0, 0], [1 - np.exp(-2), 0.4, 0.2], rtol=1e-5)
    np.testing.assert_allclose(xy[1, 0], [1 - np.exp(-1), -1.0, 0.0], rtol=1e-5)
    np.testing.assert_array_equal(xy[:, 1], 0.0)
    yz = maps[0, :, :, 3:6]  # depth is x
    np.testing.assert_allclose(yz[0, 1], [1 - np.exp(-2), -0.7, 0.2], rtol=1e-5)
    zx = maps[0, :, :, 6:]  # depth is y
    np.testing.assert_allclose(zx[1, 0], [1 - np.exp(-2), -0.3, 0.2], rtol=1e-5)
    np.testing.assert_allclose(zx[0, 1], [1 - np.exp(-1), -0.5, 0.0], rtol=1e-5)


def test_what_lies_outside_falls_on_the_walls():
    inside = depth_maps(jnp.array([[[0.9, 0.9, 0.9]]]), cells=4, extent=1.0)
    outside = depth_maps(jnp.array([[[7.0, 7.0, 7.0]]]), cells=4, extent=1.0)
    np.testing.assert_array_equal(inside[..., ::3], outside[..., ::3])


def test_the_unit_of_length_is_the_extent():
    cloud = jax.random.uniform(jax.random.key(0), (2, 30, 3), minval=-1.0)
    maps = jax.jit(depth_maps, static_argnums=(1, 2))
    np.testing.assert_allclose(maps(cloud, 8, 1.0), maps(4.0 * cloud, 8, 4.0), rtol=1e-4, atol=1e-4)


def test_the_order_of_points_does_not_matter_and_members_are_independent():
    encoder = triplane_cnn(8, width=8, cells=12)
    clouds = jax.random.normal(jax.random.key(0), (3, 40, 3)) / 2
    keys = jax.random.split(jax.random.key(1), 2)
    variables = jax.jit(jax.vmap(encoder.init, in_axes=(0, None)))(keys, clouds)
    apply = jax.jit(lambda one, items: encoder.apply(one, items, train=False)[0])
    both = jax.jit(jax.vmap(apply, in_axes=(0, None)))(variables, clouds)
    assert both.shape == (2, 3, 8)
    order = jax.random.permutation(jax.random.key(2), 40)
    second = jax.tree.map(lambda leaf: leaf[1], variables)
    np.testing.assert_allclose(apply(second, clouds[:, order]), both[1], rtol=1e-4, atol=1e-5)


def test_it_learns_in_bfloat16_too():
    """Gradients reach every weight and are finite."""
    encoder = triplane_cnn(8, width=8, cells=12, dtype=jnp.bfloat16)
    clouds = jax.random.normal(jax.random.key(0), (4, 40, 3)) / 2
    variables = jax.jit(encoder.init)(jax.random.key(1), clouds)

    def objective(params):
        embeddings, _ = encoder.apply({**variables, "params": params}, clouds, train=True)
        assert embeddings.dtype == jnp.float32
        return (embeddings * jnp.arange(1.0, 9.0)[None]).sum() ** 2

    gradient = jax.jit(jax.grad(objective))(variables["params"])
    chex.assert_tree_all_finite(gradient)
    chex.assert_type(jax.tree.leaves(gradient), jnp.float32)
