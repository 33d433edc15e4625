"""The multi-view wrapper around an image encoder."""

import chex
import jax
import numpy as np
import pytest

from jaxcmr.encoders import compact_cnn, multi_view

IMAGE = compact_cnn(embedding_size=8, width=4)
ENCODER = multi_view(IMAGE)
VIEWS = np.random.default_rng(0).random((3, 2, 16, 16, 1), np.float32)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(ENCODER.init)(jax.random.key(0), VIEWS)


def test_takes_the_mean_of_the_embeddings_of_the_views(variables):
    out, state = ENCODER.apply(variables, VIEWS, train=False)
    one, two = (IMAGE.apply(variables, VIEWS[:, view], train=False)[0] for view in (0, 1))
    np.testing.assert_allclose(out, (one + two) / 2, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal(state["batch_stats"], variables["batch_stats"])


@pytest.mark.parametrize("train", [False, True])
def test_the_order_of_the_views_does_not_matter(variables, train):
    out, _ = ENCODER.apply(variables, VIEWS, train=train)
    swapped, _ = ENCODER.apply(variables, VIEWS[:, ::-1], train=train)
    np.testing.assert_allclose(out, swapped, rtol=1e-4, atol=1e-5)


def test_one_call_on_all_views_normalises_them_together(variables):
    out, state = ENCODER.apply(variables, VIEWS, train=True)
    flat, flat_state = IMAGE.apply(variables, VIEWS.reshape(6, 16, 16, 1), train=True)
    np.testing.assert_allclose(out, flat.reshape(3, 2, -1).mean(1), rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal(state, flat_state)


def test_one_view_is_the_image_encoder(variables):
    out, _ = ENCODER.apply(variables, VIEWS[:, :1], train=False)
    expected, _ = IMAGE.apply(variables, VIEWS[:, 0], train=False)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_rejects_what_are_no_views(variables):
    with pytest.raises(ValueError, match=r"\(3, 16, 16, 1\)"):
        ENCODER.apply(variables, VIEWS[:, 0], train=False)
    with pytest.raises(ValueError, match="at least 1"):
        ENCODER.apply(variables, VIEWS[:, :0], train=False)
