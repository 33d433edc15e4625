"""Winograd's form equals XLA's convolution, forward and backward, and is chosen where it pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_conv import close, draw, primitives, reference, value_and_gradients

from jaxcmr.encoders.conv import winograd
from jaxcmr.encoders.conv.layer import conv2d
from jaxcmr.encoders.conv.products import Geometry


@pytest.mark.parametrize(
    "size, padding",
    [
        ((8, 6), 1),
        ((7, 7), 1),
        ((5, 8), 0),
        ((4, 5), 2),
        ((3, 3), 3),
        ((6, 7), ((0, 1), (2, 0))),
        ((1, 2), 1),
        ((9, 6), "SAME"),
    ],
)
@pytest.mark.parametrize("members", [None, 3])
def test_winograd_equals_xlas(size, padding, members):
    images, kernels = draw((4, *size, 5)), draw((members or 1, 3, 3, 5, 6), 1)

    @jax.jit
    def both(images, kernels):
        ours = lambda x, w: conv2d(x, w, padding=padding, form="winograd")
        theirs = lambda x, w: reference(x, w, 1, padding)
        run = lambda convolve: lambda w: value_and_gradients(convolve, images, w)
        if members is None:
            return run(ours)(kernels[0]), run(theirs)(kernels[0])
        return jax.vmap(run(ours))(kernels), jax.vmap(run(theirs))(kernels)

    actual, expected = both(images, kernels)
    close(actual, expected, 3e-5)


@pytest.mark.parametrize("batched", ["images", "kernel"])
def test_winograd_in_parts_gives_the_same(monkeypatch, batched):
    images, kernels = draw((2, 12, 7, 6, 16)), draw((2, 3, 3, 16, 20), 1)
    run = lambda x, w: value_and_gradients(
        lambda x, w: conv2d(x, w, padding=1, form="winograd"), x, w
    )
    other = lambda x, w: value_and_gradients(lambda x, w: reference(x, w, 1, 1), x, w)
    # 12 images of 36 x 4 x 36 float32 words: two fit beside each other, so six parts.
    monkeypatch.setattr(winograd, "PART_BYTES", 50_000)
    used = primitives(run, images[0], kernels[0])
    assert "scan" in used and "conv_general_dilated" not in used
    if batched == "images":
        actual = jax.jit(jax.vmap(run, (0, None)))(images, kernels[0])
        expected = [other(x, kernels[0]) for x in images]
    else:
        actual = jax.jit(jax.vmap(run, (None, 0)))(images[0], kernels)
        expected = [other(images[0], w) for w in kernels]
    close(actual, jax.tree.map(lambda *members: jnp.stack(members), *expected), 3e-5)


def test_winograd_is_chosen_where_it_pays():
    def form(size, inputs, features, window=3, dtype=np.float32, strides=1):
        kernel = (window, window, inputs, features)
        geometry = Geometry((size, size), kernel, (strides, strides), ((1, 1), (1, 1)))
        return winograd.pays(geometry, dtype)

    assert form(14, 96, 64) and form(28, 64, 64)
    assert form(4, 512, 512)
    assert not form(28, 1, 96) and not form(28, 64, 8) and not form(2, 64, 64)
    assert not form(14, 64, 64, window=1) and not form(14, 64, 64, strides=2)
    assert not form(14, 64, 64, dtype=jnp.bfloat16)


@pytest.mark.parametrize("channels", [64, 512])
def test_rounding_stays_below_the_tolerance_of_published_numbers(channels):
    images, kernel = draw((2, 9, 8, channels)), draw((3, 3, channels, 64), 1)
    exact = value_and_gradients(lambda x, w: reference(x, w, 1, 1), images, kernel)
    actual = jax.jit(
        lambda x, w: value_and_gradients(
            lambda x, w: conv2d(x, w, padding=1, form="winograd"), x, w
        )
    )(images, kernel)
    for ours, theirs in zip(actual, exact):
        assert np.abs(ours - theirs).max() < 3e-5 * np.abs(theirs).max()
        assert np.square(ours - theirs).mean() ** 0.5 < 1e-5 * np.square(theirs).mean() ** 0.5


@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
def test_members_go_one_after_the_other(axes):
    images, kernels = draw((3, 2, 5, 6, 4)), draw((3, 3, 3, 4, 5), 1)
    convolve = lambda x, w: conv2d(x, w, padding=1, form="winograd")
    args = [array if axis == 0 else array[0] for array, axis in zip((images, kernels), axes)]
    actual = jax.jit(jax.vmap(lambda x, w: value_and_gradients(convolve, x, w), axes))(*args)
    for member in range(3):
        one = [array[member] if axis == 0 else array for array, axis in zip(args, axes)]
        expected = value_and_gradients(lambda x, w: reference(x, w, 1, 1), *one)
        close([array[member] for array in actual], list(expected), 3e-5)
