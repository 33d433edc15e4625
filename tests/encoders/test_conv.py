"""The convolution helper equals XLA's convolution, forward and backward, in every form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from reference_conv import (
    close,
    convolutions,
    draw,
    equations,
    primitives,
    reference,
    value_and_gradients,
)

from jaxcmr.encoders.conv import products
from jaxcmr.encoders.conv.layer import Conv, conv2d
from jaxcmr.encoders.parts import number_of_parts
from jaxcmr.encoders.platform import for_any

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
            run(lambda x, w: conv2d(x, w, **options, form="direct")),
            run(lambda x, w: conv2d(x, w, **options, form="lax")),
        )

    expected, *found = both(images, kernel)
    for form in found:
        close(form, expected)


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
@pytest.mark.parametrize("members", [1, 4])
def test_a_gpu_convolves_each_member_alone(monkeypatch, function, members):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    images, kernels = draw((2, 6, 6, 3)), draw((members, 3, 3, 3, 3))
    single = convolutions(function, images, kernels[0])
    assert len(single) == 6  # the outputs of two layers, and both gradients of each
    many = jax.vmap(function, (None, 0))
    assert len(convolutions(many, images, kernels)) == members * len(single)
    for found in convolutions(many, images, kernels):
        assert found["feature_group_count"] == found["batch_group_count"] == 1
    assert "dot_general" not in primitives(many, images, kernels)


@pytest.mark.parametrize("function", [gradient, in_scan])
@pytest.mark.parametrize("members", [1, 4])
def test_a_tpu_convolves_several_members_at_once(monkeypatch, function, members):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    images, kernels = draw((2, 6, 6, 3)), draw((members, 3, 3, 3, 3))
    many = jax.vmap(function, (None, 0))
    found = convolutions(many, images, kernels)
    assert len(found) == len(convolutions(function, images, kernels[0]))
    groups = {max(each["feature_group_count"], each["batch_group_count"]) for each in found}
    assert max(groups) == members
    assert "dot_general" not in primitives(many, images, kernels)


def test_a_program_for_any_platform_has_plain_convolutions_and_no_parts():
    images, kernels = draw((2, 6, 6, 3)), draw((4, 3, 3, 3, 3))
    many = jax.vmap(lambda images, kernel: conv2d(images, kernel, padding=1), (None, 0))
    assert "conv_general_dilated" not in primitives(many, images, kernels)  # on this CPU
    with for_any():
        assert len(convolutions(many, images, kernels)) == 4
        assert number_of_parts(64, 2**20, limit=2**20) == 1
    assert number_of_parts(64, 2**20, limit=2**20) == 64


@pytest.mark.parametrize("backend", ["gpu", "tpu"])
def test_images_of_a_shared_kernel_are_one_batch_on_an_accelerator(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    images, kernel = draw((5, 2, 6, 6, 3)), draw((3, 3, 3, 3))
    layer = lambda images: conv2d(images, kernel, padding=1)
    (found,) = convolutions(jax.vmap(layer), images)
    assert found["feature_group_count"] == 1


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize("precision", [None, "float32", "tensorfloat32"])
def test_the_backward_pass_has_the_precision_of_the_call(monkeypatch, backend, precision):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)

    def loss(images, kernel):
        with jax.default_matmul_precision(precision):
            return jnp.square(conv2d(images, kernel, padding=1)).sum()

    def outside(images, kernels):
        with jax.default_matmul_precision("bfloat16"):
            return jax.grad(lambda k: jax.vmap(loss, (None, 0))(images, k).sum())(kernels)

    found = equations(outside, draw((2, 6, 6, 3)), draw((2, 3, 3, 3, 3)))
    expected = {None: None, "float32": lax.Precision.HIGHEST, "tensorfloat32": lax.Precision.HIGH}
    products = [e for e in found if e.primitive.name in ("conv_general_dilated", "dot_general")]
    wanted = expected[precision] and (expected[precision],) * 2
    assert len(products) >= 2
    assert {e.params["precision"] for e in products} == {wanted}


def test_a_cpu_takes_the_matmul_for_small_images_and_for_every_gradient_to_a_kernel():
    images, kernel = draw((2, 6, 6, 3)), draw((3, 3, 3, 3))
    used = primitives(gradient, images, kernel)
    assert "dot_general" in used and "conv_general_dilated" not in used
    large, wide = draw((1, 28, 28, 3)), draw((3, 3, 3, 32))
    loss = lambda x, w: conv2d(x, w, strides=2, padding=1).sum()
    assert primitives(loss, large, wide) >= {"conv_general_dilated"}
    assert "dot_general" not in primitives(loss, large, wide)
    assert primitives(jax.grad(loss, 1), large, wide) >= {"conv_general_dilated", "dot_general"}


@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
@pytest.mark.parametrize("form", ["matmul", "direct"])
def test_any_batching_equals_a_loop_on_a_cpu(axes, form):
    images, kernels = draw((3, 2, 7, 6, 3)), draw((3, 3, 3, 3, 4), 1)
    convolve = lambda x, w: conv2d(x, w, strides=2, padding=1, form=form)
    args = [array if axis == 0 else array[0] for array, axis in zip((images, kernels), axes)]
    run = lambda x, w: value_and_gradients(convolve, x, w)
    actual = jax.jit(jax.vmap(run, axes))(*args)
    for member in range(3):
        one = [array[member] if axis == 0 else array for array, axis in zip(args, axes)]
        expected = value_and_gradients(lambda x, w: reference(x, w, 2, 1), *one)
        close([array[member] for array in actual], list(expected))


@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("backend", ["gpu", "tpu"])
def test_any_batching_equals_a_loop_on_accelerators(monkeypatch, axes, depthwise, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
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


@pytest.mark.parametrize("batched", [False, True])
def test_batches_in_parts_give_the_same(monkeypatch, batched):
    images, kernels = draw((12, 7, 6, 3)), draw((2, 3, 3, 3, 4), 1)
    convolve = lambda x, w: conv2d(x, w, strides=2, padding=1)
    expected = [value_and_gradients(lambda x, w: reference(x, w, 2, 1), images, w) for w in kernels]
    # 12 images of 4 x 3 x 27 float32 columns: at most two, so six parts.
    monkeypatch.setattr(products, "CHUNK_BYTES", 3000)
    run = lambda x, w: value_and_gradients(convolve, x, w)
    assert ("scan" in primitives(run, images, kernels[0])) and number_of_parts(12, 1296, 3000) == 6
    if batched:
        out = jax.jit(jax.vmap(lambda w: run(images, w)))(kernels)
        close(out, jax.tree.map(lambda *members: jnp.stack(members), *expected))
    else:
        close(jax.jit(lambda x, w: run(x, w))(images, kernels[0]), expected[0])
