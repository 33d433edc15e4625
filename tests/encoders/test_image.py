"""What every image encoder promises: inputs it takes, members, precision, heads."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr import encoders
from jaxcmr.encoders.image import as_images, global_pool, standardize

BUILDERS = {
    "mnist_cnn": {"channels": (6, 4), "hidden": (8,)},
    "compact_cnn": {"width": 8},
    "resnet18": {"width": 4},
}
RESNET = pytest.param("resnet18", marks=pytest.mark.slow)


def build(name, **options):
    return encoders.ENCODERS[name](**{"embedding_size": 8, **BUILDERS.get(name, {}), **options})


def draw(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def step(encoder):
    """Forward, state and gradient of one member on one batch."""

    def run(variables, images):
        def loss(params):
            out, state = encoder.apply({**variables, "params": params}, images, train=True)
            return jnp.square(out - 1).mean(), (out, state)

        return jax.grad(loss, has_aux=True)(variables["params"])

    return run


@pytest.mark.slow
def test_members_of_a_very_deep_network_evaluate_alike():
    # In training, 49 batch norms over six tiny images multiply rounding errors beyond any bound.
    encoder, images = build("efficientnet_lite0"), draw(6, 20, 18, 1)
    keys = jax.random.split(jax.random.key(0), 2)
    stacked = jax.jit(jax.vmap(encoder.init, (0, None)))(keys, images)
    run = lambda variables: encoder.apply(variables, images, train=False)[0]
    together, alone = jax.jit(jax.vmap(run))(stacked), jax.jit(run)
    for member in range(2):
        expected = alone(jax.tree.map(lambda leaf, m=member: leaf[m], stacked))
        bound = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(together[member], expected, rtol=0, atol=bound)
    assert not np.allclose(together[0], together[1])


@pytest.mark.parametrize("name", ["mnist_cnn", "compact_cnn", RESNET])
def test_members_under_vmap_equal_members_alone(name):
    encoder, images = build(name), draw(6, 20, 18, 1)
    keys = jax.random.split(jax.random.key(0), 2)
    stacked = jax.jit(jax.vmap(encoder.init, (0, None)))(keys, images)
    together = jax.jit(jax.vmap(step(encoder), (0, None)))(stacked, images)
    run = jax.jit(step(encoder))
    for member in range(2):
        alone = run(jax.tree.map(lambda a, m=member: a[m], stacked), images)
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            scale = max(1.0, np.abs(b).max())
            np.testing.assert_allclose(a[member], b, atol=2e-4 * scale)
    chex.assert_tree_all_finite(together)
    first, second = (jax.tree.leaves(jax.tree.map(lambda a, m=m: a[m], stacked)) for m in (0, 1))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("shape", [(2, 33, 47, 3), (2, 9, 8, 1), (1, 16, 16)])
def test_compact_cnn_takes_images_of_any_size_and_depth(shape):
    encoder, images = build("compact_cnn"), draw(*shape)
    variables = jax.jit(encoder.init)(jax.random.key(0), images)
    out, _ = jax.jit(lambda v, x: encoder.apply(v, x, train=False))(variables, images)
    assert out.shape == (shape[0], 8) and out.dtype == jnp.float32 and np.isfinite(out).all()


@pytest.mark.parametrize("name", ["compact_cnn", "mnist_cnn"])
def test_bfloat16_keeps_float32_parameters_and_nearly_the_values(name):
    images = draw(8, 16, 16, 1)
    exact, half = build(name), build(name, dtype=jnp.bfloat16)
    variables = jax.jit(exact.init)(jax.random.key(0), images)
    same = jax.eval_shape(half.init, jax.random.key(0), images)
    chex.assert_type(jax.tree.leaves(same), jnp.float32)
    run = lambda encoder: jax.jit(lambda v, x: encoder.apply(v, x, train=False)[0])
    expected, out = run(exact)(variables, images), run(half)(variables, images)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, atol=0.03 * np.abs(expected).max())
    chex.assert_type(jax.tree.leaves(jax.jit(step(half))(variables, images)[0]), jnp.float32)


def test_same_key_same_weights():
    encoder, images = build("compact_cnn"), draw(1, 16, 16, 1)
    init = jax.jit(encoder.init)
    one, two, other = (init(jax.random.key(seed), images) for seed in (3, 3, 4))
    chex.assert_trees_all_equal(one, two)
    assert not np.array_equal(one["params"]["conv1"]["kernel"], other["params"]["conv1"]["kernel"])


def test_as_images_scales_bytes_and_adds_the_channel():
    out = as_images(np.array([[[0, 51], [255, 102]]], np.uint8))
    np.testing.assert_allclose(out[..., 0], [[[0, 0.2], [1, 0.4]]], rtol=1e-6)
    assert out.shape == (1, 2, 2, 1) and out.dtype == jnp.float32
    same = draw(1, 2, 2, 3)
    np.testing.assert_array_equal(as_images(same), same)
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        as_images(np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"images must be uint8 or float in .*, not uint16"):
        as_images(np.full((1, 2, 2, 1), 65535, np.uint16))
    np.testing.assert_array_equal(as_images(np.ones((1, 1, 1, 1), bool)), [[[[1.0]]]])


def test_standardize_by_hand():
    rgb = standardize(jnp.array([0.485, 0.680, 0.181]).reshape(1, 1, 1, 3))
    np.testing.assert_allclose(rgb.ravel(), [0, 1, -1], atol=1e-6)
    grey = standardize(jnp.array([0.449, 0.675]).reshape(1, 1, 2, 1))
    np.testing.assert_allclose(grey.ravel(), [0, 1], atol=1e-6)


def test_global_pool_by_hand():
    images = jnp.array([[1.0, 5.0], [3.0, 7.0]]).reshape(1, 2, 1, 2)
    np.testing.assert_array_equal(global_pool(images, "mean"), [[2, 6]])
    np.testing.assert_array_equal(global_pool(images, "max"), [[3, 7]])
    np.testing.assert_array_equal(global_pool(images, "mean_max"), [[2, 6, 3, 7]])
    with pytest.raises(ValueError, match="'median'"):
        global_pool(images, "median")


def test_heads():
    images = draw(4, 16, 16, 1)
    sizes = {}
    for head in ("linear_bn_relu", "linear", "none"):
        encoder = build("compact_cnn", head=head)
        variables = encoder.init(jax.random.key(0), images)
        sizes[head] = encoder.apply(variables, images, train=False)[0].shape[1]
        assert set(variables["params"].get("fc", ())) == (
            {"kernel", "bias"} if head == "linear" else {"kernel"} if head != "none" else set()
        )
        assert ("bn_fc" in variables["params"]) == (head == "linear_bn_relu")
    assert sizes == {"linear_bn_relu": 8, "linear": 8, "none": 64}
    with pytest.raises(ValueError, match=r"head must be one of .*'mlp'"):
        build("compact_cnn", head="mlp").init(jax.random.key(0), images)
