"""The multi-view wrapper around an image encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.encoders import compact_cnn, multi_view

IMAGE = compact_cnn(embedding_size=8, width=4)
VIEWS = np.random.default_rng(0).random((3, 2, 16, 16, 1), np.float32)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(multi_view(IMAGE).init)(jax.random.key(0), VIEWS)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_pools_the_embeddings_of_the_views(variables, pool):
    out, state = multi_view(IMAGE, pool).apply(variables, VIEWS, train=False)
    one, two = (IMAGE.apply(variables, VIEWS[:, view], train=False)[0] for view in (0, 1))
    expected = (one + two) / 2 if pool == "mean" else jnp.maximum(one, two)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    assert jax.tree.all(
        jax.tree.map(np.array_equal, state["batch_stats"], variables["batch_stats"])
    )


@pytest.mark.parametrize("train", [False, True])
def test_the_order_of_the_views_does_not_matter(variables, train):
    encoder = multi_view(IMAGE, "max")
    out, _ = encoder.apply(variables, VIEWS, train=train)
    swapped, _ = encoder.apply(variables, VIEWS[:, ::-1], train=train)
    np.testing.assert_allclose(out, swapped, rtol=1e-4, atol=1e-5)


def test_separate_statistics_are_those_of_one_call_a_view(variables):
    out, state = multi_view(IMAGE, separate_statistics=True).apply(variables, VIEWS, train=True)
    one, first = IMAGE.apply(variables, VIEWS[:, 0], train=True)
    two, second = IMAGE.apply({**variables, **first}, VIEWS[:, 1], train=True)
    np.testing.assert_allclose(out, (one + two) / 2, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, state, second)


def test_one_call_on_all_views_normalises_them_together(variables):
    out, _ = multi_view(IMAGE).apply(variables, VIEWS, train=True)
    flat, _ = IMAGE.apply(variables, VIEWS.reshape(6, 16, 16, 1), train=True)
    np.testing.assert_allclose(out, flat.reshape(3, 2, -1).mean(1), rtol=1e-5, atol=1e-6)


def test_one_view_is_the_image_encoder(variables):
    out, _ = multi_view(IMAGE, "max").apply(variables, VIEWS[:, :1], train=False)
    expected, _ = IMAGE.apply(variables, VIEWS[:, 0], train=False)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_rejects_what_it_cannot_pool(variables):
    with pytest.raises(ValueError, match="'sum'"):
        multi_view(IMAGE, "sum")
    with pytest.raises(ValueError, match=r"\(3, 16, 16, 1\)"):
        multi_view(IMAGE).apply(variables, VIEWS[:, 0], train=False)
    with pytest.raises(ValueError, match="at least 1"):
        multi_view(IMAGE).apply(variables, VIEWS[:, :0], train=False)
