"""Neighbor graphs and edge convolutions against the edge tensor that they avoid."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.encoders import neighbors as graph
from jaxcmr.encoders.edge_conv import edge_conv
from jaxcmr.encoders.norm import BatchNorm


def cloud(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def test_nearest_on_a_line():
    x = jnp.array([0.0, 1.0, 3.0, 7.0])[None, :, None]
    np.testing.assert_array_equal(
        graph.nearest(x, 3)[0], [[0, 1, 2], [1, 0, 2], [2, 1, 0], [3, 2, 1]]
    )
    assert graph.nearest(x, 20).shape == (1, 4, 4)


@pytest.mark.parametrize("block_floats", [1, 50, 1000])
def test_blocks_find_what_a_sort_finds(monkeypatch, block_floats):
    monkeypatch.setattr(graph, "CPU_BLOCK_FLOATS", block_floats)
    x = cloud(0, 3, 17, 5)
    distance = np.square(np.asarray(x)[:, :, None] - np.asarray(x)[:, None]).sum(-1)
    np.testing.assert_array_equal(graph.nearest(x, 6), distance.argsort(-1, kind="stable")[..., :6])


@pytest.mark.parametrize("backend, blocks", [("cpu", 2), ("gpu", 1), ("tpu", 1)])
def test_an_accelerator_takes_larger_blocks(monkeypatch, backend, blocks):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    traced = jax.make_jaxpr(lambda x: graph.nearest(x, 3))(jnp.zeros((8, 1024, 2)))
    assert f"f32[8,{1024 // blocks},1024]" in str(traced)


def test_a_batch_of_any_size_is_taken_cloud_by_cloud():
    shape = jax.export.symbolic_shape("clouds, 9, 3")
    any_batch = jax.export.export(jax.jit(lambda x: graph.nearest(x, 4)))(
        jax.ShapeDtypeStruct(shape, jnp.float32)
    )
    for clouds in (1, 3):
        x = cloud(clouds, clouds, 9, 3)
        np.testing.assert_array_equal(any_batch.call(x), graph.nearest(x, 4))


def test_equal_points_keep_their_order():
    found = graph.nearest(jnp.zeros((2, 5, 3)), 2)
    np.testing.assert_array_equal(found, np.broadcast_to([0, 1], (2, 5, 2)))


@pytest.mark.parametrize("dense_points", [0, 2048])
def test_reductions_and_their_gradients(monkeypatch, dense_points):
    monkeypatch.setattr(graph, "DENSE_POINTS", dense_points)
    x, edges = cloud(0, 2, 9, 4), jax.random.randint(jax.random.key(1), (2, 9, 3), 0, 9)
    cotangent = cloud(2, 2, 9, 4)
    plain = lambda x: jnp.stack([cloud[rows] for cloud, rows in zip(x, edges)])
    pairs = ((graph.neighbor_sum, jnp.sum), (graph.neighbor_max, jnp.max))
    for ours, reduce in pairs:
        out, pull = jax.vjp(lambda x, ours=ours: ours(x, edges), x)
        expected, expected_pull = jax.vjp(lambda x, r=reduce: r(plain(x), axis=2), x)
        np.testing.assert_allclose(out, expected, atol=1e-6)
        if reduce is jnp.sum:
            np.testing.assert_allclose(pull(cotangent)[0], expected_pull(cotangent)[0], atol=1e-5)
        else:
            # A neighbor listed twice ties with itself: jnp.max halves, and both halves add up.
            np.testing.assert_allclose(pull(cotangent)[0], expected_pull(cotangent)[0], atol=1e-5)
    count = graph.in_degree(edges, jnp.ones((2, 9)))
    np.testing.assert_array_equal(count[0], np.bincount(np.asarray(edges[0]).ravel(), minlength=9))


class Edges(nn.Module):
    """The same layer with the edge tensor `[B, N, k, C]`, written as the paper writes it."""

    @nn.compact
    def __call__(self, x, edges, neighbor_kernel, center_kernel, bias, *, train, mask=None):
        e = graph.take(x, edges) @ neighbor_kernel + (x @ center_kernel + bias)[:, :, None]
        mask = None if mask is None else jnp.broadcast_to(mask[..., None], e.shape[:-1])
        y = BatchNorm(name="bn")(e, train=train, mask=mask)
        return jnp.where(y > 0, y, 0.2 * y).max(2)


class Points(nn.Module):
    @nn.compact
    def __call__(self, x, edges, neighbor_kernel, center_kernel, bias, *, train, mask=None):
        return edge_conv(
            x,
            edges,
            neighbor_kernel,
            center_kernel,
            BatchNorm(name="bn"),
            train=train,
            negative_slope=0.2,
            bias=bias[0, 0],
            mask=mask,
        )


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("masked", [False, True])
def test_edge_conv_is_the_layer_over_edges(channels, masked):
    x = cloud(0, 2, 10, 5) + 1.0
    real = 7 if masked else 10
    mask = jnp.broadcast_to(jnp.arange(10) < real, (2, 10)) if masked else None
    edges = jax.random.randint(jax.random.key(1), (2, 10, 4), 0, real)
    weights = (cloud(2, 5, channels), cloud(3, 5, channels), cloud(4, 1, 1, channels))
    # Scales of both signs: where negative, the minimum decides.
    norm = {"scale": cloud(5, channels), "bias": cloud(6, channels)}
    stats = {"mean": cloud(7, channels), "var": jnp.exp(cloud(8, channels))}
    cotangent = cloud(9, 2, 10, channels) * (1.0 if mask is None else mask[..., None])

    def run(module, train):
        def loss(norm, x, *weights):
            variables = {"params": {"bn": norm}, "batch_stats": {"bn": stats}}
            out, state = module.apply(
                variables, x, edges, *weights, train=train, mask=mask, mutable=["batch_stats"]
            )
            return (out * cotangent).sum(), (out, state)

        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3, 4), has_aux=True))
        (_, (out, state)), gradients = step(norm, x, *weights)
        return out[:, :real], state, gradients

    for train in (True, False):
        ours, theirs = run(Points(), train), run(Edges(), train)
        chex.assert_trees_all_close(ours, theirs, rtol=1e-4, atol=2e-4)


def test_a_constant_cloud_stays_finite():
    x = jnp.ones((2, 6, 3))
    edges = graph.nearest(x, 4)
    weights = (cloud(2, 3, 4), cloud(3, 3, 4), jnp.zeros((1, 1, 4)))
    variables = jax.jit(lambda k: Points().init(k, x, edges, *weights, train=False))(
        jax.random.key(0)
    )
    loss = lambda x: (
        Points().apply(variables, x, edges, *weights, train=True, mutable=["batch_stats"])[0].sum()
    )
    value, gradient = jax.jit(jax.value_and_grad(loss))(x)
    chex.assert_tree_all_finite((value, gradient))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the compiled form is the CPU's")
def test_finding_neighbors_compiles_to_a_top_k_and_not_to_a_sort():
    walk = lambda x: graph.neighbor_max(x, graph.nearest(x, 4))
    compiled = jax.jit(walk).lower(cloud(0, 2, 64, 3)).compile().as_text()
    assert "TopK" in compiled
    assert " sort(" not in compiled
