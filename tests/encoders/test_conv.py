"""The convolution helper equals XLA's convolution, forward and backward, in every form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcmr.encoders import conv_products
from jaxcmr.encoders.conv import Conv, conv2d, max_pool
from jaxcmr.encoders.winograd import winograd_pays

# size of the image, of the kernel, strides, padding: odd and even sizes, kernels smaller than
# the stride, unequal strides and pads, more padding than the kernel needs.
GEOMETRIES = [
    ((7, 7), 1, 1, 0),
    ((6, 8), 3, 1, 1),
    ((9, 6), 3, 2, 1),
    ((8, 8), 3, 2, "SAME"),
    ((7, 10), 5, 2, "SAME"),
    ((8, 9), 1, 2, 0),
    ((9, 8), 2, 3, 0),
    ((11, 10), 7, 2, 3),
    ((8, 7), 3, (2, 1), ((0, 1), (2, 0))),
    ((3, 3), 2, 1, 2),
]


def reference(images, kernel, strides, padding):
    if isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(
        images,
        kernel,
        (strides, strides) if isinstance(strides, int) else strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[3] // kernel.shape[2],
    )


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def value_and_gradients(convolve, images, kernel):
    out, pull = jax.vjp(convolve, images, kernel)
    weights = jnp.cos(jnp.arange(out.size * 1.0)).reshape(out.shape)
    return out, *pull(weights.astype(out.dtype))


def close(actual, expected, tolerance=2e-5):
    def check(a, b):
        np.testing.assert_allclose(a, b, atol=tolerance * max(1.0, np.abs(b).max()))

    jax.tree.map(check, actual, expected)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_value_and_gradients_equal_xlas(geometry, depthwise):
    size, window, strides, padding = geometry
    images = draw((2, *size, 3))
    kernel = draw((window, window, 1, 3) if depthwise else (window, window, 3, 4), 1)

    @jax.jit
    def both(images, kernel):
        run = lambda convolve: value_and_gradients(convolve, images, kernel)
        options = {"strides": strides, "padding": padding}
        return (
            run(lambda x, w: reference(x, w, strides, padding)),
            run(lambda x, w: conv2d(x, w, **options, form="matmul")),
            run(lambda x, w: conv2d(x, w, **options, form="lax")),
        )

    expected, matmul, by_lax = both(images, kernel)
    close(matmul, expected)
    close(by_lax, expected)


def test_a_convolution_by_hand():
    image = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    out = conv2d(image, kernel)[0, :, :, 0]
    # 0 1 2     no flip: the upper left pixel meets the upper left weight
    # 3 4 5
    # 6 7 8
    expected = [
        [0 + 10 + 300 + 4000, 1 + 20 + 400 + 5000],
        [3 + 40 + 600 + 7000, 4 + 50 + 700 + 8000],
    ]
    np.testing.assert_array_equal(out, expected)


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
    close(actual, expected, 1e-5)


@pytest.mark.parametrize("batched", ["images", "kernel"])
def test_winograd_in_parts_gives_the_same(monkeypatch, batched):
    images, kernels = draw((2, 12, 7, 6, 16)), draw((2, 3, 3, 16, 20), 1)
    run = lambda x, w: value_and_gradients(
        lambda x, w: conv2d(x, w, padding=1, form="winograd"), x, w
    )
    other = lambda x, w: value_and_gradients(lambda x, w: reference(x, w, 1, 1), x, w)
    # 12 images of 16 x 12 x 36 float32 words: two fit beside each other, so six parts.
    monkeypatch.setattr(conv_products, "CHUNK_BYTES", 60_000)
    used = primitives(run, images[0], kernels[0])
    assert "scan" in used and "conv_general_dilated" not in used
    if batched == "images":
        actual = jax.jit(jax.vmap(run, (0, None)))(images, kernels[0])
        expected = [other(x, kernels[0]) for x in images]
    else:
        actual = jax.jit(jax.vmap(run, (None, 0)))(images[0], kernels)
        expected = [other(images[0], w) for w in kernels]
    close(actual, jax.tree.map(lambda *members: jnp.stack(members), *expected), 1e-5)


def test_winograd_is_chosen_where_it_pays():
    form = lambda size, inputs, features, window=3, dtype=np.float32, strides=1: winograd_pays(
        (8, size, size, inputs),
        (window, window, inputs, features),
        (strides,) * 2,
        ((1, 1),) * 2,
        dtype,
    )
    assert form(14, 96, 64) and form(28, 64, 64)
    assert not form(28, 1, 96) and not form(28, 64, 8) and not form(2, 64, 64)
    assert not form(14, 64, 64, window=1) and not form(14, 64, 64, strides=2)
    assert not form(14, 64, 64, dtype=jnp.bfloat16)


def primitives(function, *args):
    """Returns the names of all primitives in the jaxpr of `function`, nested ones included."""
    found = set()

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            found.add(equation.primitive.name)
            for sub in jax.tree.leaves(
                equation.params,
                is_leaf=lambda leaf: hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr"),
            ):
                if hasattr(sub, "jaxpr"):
                    walk(sub.jaxpr)
                elif hasattr(sub, "eqns"):
                    walk(sub)

    # A new function each time: traces are cached, and the backend is not part of the key.
    walk(jax.make_jaxpr(lambda *args: function(*args))(*args).jaxpr)
    return found


def gradient(images, kernel):
    """One training step's worth: forward and both gradients, of two layers."""

    def loss(images, kernel):
        hidden = conv2d(images, kernel, strides=2, padding=1)
        return jnp.square(conv2d(jnp.tanh(hidden), kernel, padding=1)).sum()

    return jax.grad(loss, (0, 1))(images, kernel)


def in_scan(images, kernel):
    step = lambda total, _: (total + gradient(images, kernel)[1], None)
    return lax.scan(step, jnp.zeros(kernel.shape), None, length=2)[0]


@pytest.mark.parametrize("function", [gradient, in_scan])
def test_members_share_xlas_form_until_the_kernel_is_batched(monkeypatch, function):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    images, kernel, kernels = draw((2, 6, 6, 3)), draw((3, 3, 3, 3)), draw((4, 3, 3, 3, 3))
    single = primitives(function, images, kernel)
    members = primitives(jax.vmap(function, (None, 0)), images, kernels)
    assert "conv_general_dilated" in single and "dot_general" not in single
    assert "dot_general" in members and "conv_general_dilated" not in members
    runs = primitives(jax.vmap(jax.vmap(function, (0, None)), (None, 0)), images[:, None], kernels)
    assert "dot_general" in runs and "conv_general_dilated" not in runs


def test_cpu_always_takes_the_matmul():
    images, kernel = draw((2, 6, 6, 3)), draw((3, 3, 3, 3))
    used = primitives(gradient, images, kernel)
    assert "dot_general" in used and "conv_general_dilated" not in used


@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
@pytest.mark.parametrize("depthwise", [False, True])
def test_any_batching_equals_a_loop_on_accelerators(monkeypatch, axes, depthwise):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    images, kernels = draw((3, 2, 5, 6, 3)), draw((3, 3, 3, 1 if depthwise else 3, 3), 1)

    def gradients(images, kernel):
        convolve = lambda x, w: conv2d(x, w, strides=2, padding=1)
        return value_and_gradients(convolve, images, kernel)

    args = [array if axis == 0 else array[0] for array, axis in zip((images, kernels), axes)]
    actual = jax.jit(jax.vmap(gradients, axes))(*args)
    convolve = lambda x, w: reference(x, w, 2, 1)
    for member in range(3):
        one = [array[member] if axis == 0 else array for array, axis in zip(args, axes)]
        close([array[member] for array in actual], list(value_and_gradients(convolve, *one)))


def test_gradient_of_a_vmapped_loss_equals_the_vmapped_gradient(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    images, kernels = draw((2, 6, 6, 3)), draw((4, 3, 3, 3, 3))
    loss = lambda kernel: jnp.square(conv2d(images, kernel, padding=1)).sum()
    outside = jax.jit(jax.grad(lambda kernels: jax.vmap(loss)(kernels).sum()))(kernels)
    close(outside, jax.jit(jax.vmap(jax.grad(loss)))(kernels))


@pytest.mark.parametrize("form", ["matmul", "lax"])
def test_bfloat16_stays_near_float32(form):
    images, kernel = draw((2, 8, 8, 16)), draw((3, 3, 16, 8), 1)
    convolve = lambda x, w: conv2d(x, w, padding=1, form=form)
    exact = jax.jit(value_and_gradients, static_argnums=0)(convolve, images, kernel)
    half = jax.jit(value_and_gradients, static_argnums=0)(
        convolve, jnp.asarray(images, jnp.bfloat16), kernel
    )
    assert [a.dtype for a in half] == [jnp.bfloat16, jnp.bfloat16, jnp.float32]
    close(jax.tree.map(lambda a: np.float32(a), half), exact, 3e-2)


def test_mistakes_are_named():
    images = jnp.zeros((1, 4, 4, 3))
    with pytest.raises(ValueError, match="takes 2 channels, the images have 3"):
        conv2d(images, jnp.zeros((3, 3, 2, 4)))
    with pytest.raises(ValueError, match="smaller than the kernel"):
        conv2d(images, jnp.zeros((5, 5, 3, 4)))
    with pytest.raises(ValueError, match="'fft'"):
        conv2d(images, jnp.zeros((1, 1, 3, 4)), form="fft")
    for shape, strides in (((1, 1, 3, 4), 1), ((3, 3, 3, 4), 2), ((3, 3, 1, 3), 1)):
        with pytest.raises(ValueError, match="3x3 kernels at stride 1"):
            conv2d(images, jnp.zeros(shape), strides=strides, padding=1, form="winograd")


def test_conv_starts_from_pytorchs_distribution():
    module = Conv(64, size=5, use_bias=True)
    params = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 8)))["params"]
    bound = (5 * 5 * 8) ** -0.5
    for leaf in (params["kernel"], params["bias"]):
        assert 0.9 * bound < np.abs(leaf).max() <= bound
    np.testing.assert_allclose(params["kernel"].std(), bound / 3**0.5, rtol=0.02)


POOLS = [
    ((8, 6), 2, 2, 0),
    ((7, 9), 2, 2, 0),
    ((9, 9), 3, 3, 0),
    ((8, 11), 3, 2, 1),
    ((7, 7), 3, 1, 1),
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


def test_pooled_ties_share_one_gradient():
    for options in ({"window": 2}, {"window": 3, "stride": 2, "padding": 1}):
        total = jax.grad(lambda x, o=options: max_pool(x, **o).sum())(jnp.ones((1, 6, 6, 1))).sum()
        assert total == 9  # one for each patch, however it is divided among equal pixels


def test_padding_never_wins_the_maximum():
    out = max_pool(-jnp.ones((1, 4, 4, 1)), 3, stride=2, padding=1)
    np.testing.assert_array_equal(out, -jnp.ones((1, 2, 2, 1)))


@pytest.mark.parametrize("batched", [False, True])
def test_batches_in_parts_give_the_same(monkeypatch, batched):
    images, kernels = draw((12, 7, 6, 3)), draw((2, 3, 3, 3, 4), 1)
    convolve = lambda x, w: conv2d(x, w, strides=2, padding=1)
    expected = [value_and_gradients(lambda x, w: reference(x, w, 2, 1), images, w) for w in kernels]
    # 12 images of 4 x 3 x 27 float32 columns: at most two, so six parts.
    monkeypatch.setattr(conv_products, "CHUNK_BYTES", 3000)
    run = lambda x, w: value_and_gradients(convolve, x, w)
    assert ("scan" in primitives(run, images, kernels[0])) and conv_products.chunks(12, 1296) == 6
    if batched:
        out = jax.jit(jax.vmap(lambda w: run(images, w)))(kernels)
        close(out, jax.tree.map(lambda *members: jnp.stack(members), *expected))
    else:
        close(jax.jit(lambda x, w: run(x, w))(images, kernels[0]), expected[0])
