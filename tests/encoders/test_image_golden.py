"""Image encoders against the published networks: outputs and batch statistics on given weights."""

import jax
import numpy as np
import pytest
from recipe import cases, weights

from jaxcmr import encoders
from jaxcmr.encoders import multi_view, resnet18
from jaxcmr.encoders.weights.load import pretrained
from jaxcmr.encoders.weights.names import NAMES

GOLDEN = "encoders_image.npz"
RESNETS = "encoders_image_resnets.npz"


def nhwc(images):
    return np.ascontiguousarray(np.moveaxis(images, 1, -1), np.float32)


def loaded(encoder, images, meta, names):
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), images)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return pretrained(zeros, weights(meta), NAMES[names])


def close(actual, expected, tolerance):
    assert np.abs(np.asarray(actual) - expected).max() < tolerance


def check_statistics(state, meta, case, names):
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    by_name = {
        NAMES[names].source(tuple(part.key for part in path)): np.asarray(leaf, np.float64)
        for path, leaf in flat
    }
    for bias, mean in NAMES[names].folded.items():  # theirs is ours plus the folded bias
        by_name[mean] = by_name[mean] + weights(meta)[bias]
    order = [
        (i, n) for i, n in enumerate(meta["bn_buffers"]) if not n.endswith("num_batches_tracked")
    ]
    assert len(order) == len(by_name) > 30
    sums = np.array([by_name[name].sum() for _, name in order])
    squares = np.array([np.square(by_name[name]).sum() for _, name in order])
    index = [i for i, _ in order]
    np.testing.assert_allclose(sums, case["train/bn_sum"][index], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(squares, case["train/bn_sum_sq"][index], rtol=1e-5, atol=1e-4)


def mnist_params(meta):
    """Lays RONO's weights out for rows, columns, channels: the flattened order differs."""
    params = {}
    for name, value in weights(meta).items():
        layer, leaf = name.split(".")
        if value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        elif layer == "fc1" and value.ndim == 2:
            value = value.reshape(-1, 64, 7, 7).transpose(2, 3, 1, 0).reshape(3136, -1)
        elif value.ndim == 2:
            value = value.T
        params.setdefault(layer, {})["kernel" if leaf == "weight" else leaf] = value
    return {"params": params}


@pytest.mark.parametrize("train", [False, True])
def test_mnist_cnn_is_ronos_image_network(golden, train):
    meta, case = cases(golden / GOLDEN)["img_fc"]
    images = case["images"].astype(np.float32)
    out, _ = encoders.mnist_cnn().apply(mnist_params(meta), images[..., None], train=train)
    close(out, case["train/out" if train else "eval/out"], 1e-5)


@pytest.mark.slow
def test_resnet18_is_romos(golden):
    meta, case = cases(golden / GOLDEN)["resnet18_b4"]
    images = nhwc(case["images"])
    encoder = resnet18(imagenet_input=False)
    variables = loaded(encoder, images, meta, "resnet_embedding")
    apply = jax.jit(encoder.apply, static_argnames="train")
    close(apply(variables, images, train=False)[0], case["eval/out"], 1e-5)
    out, state = apply(variables, images, train=True)
    close(out, case["train/out"], 5e-4)
    check_statistics(state, meta, case, "resnet_embedding")


@pytest.mark.slow
def test_resnet18_on_all_released_cases(shared):
    apply = jax.jit(resnet18(imagenet_input=False).apply, static_argnames="train")
    for name, (meta, case) in cases(shared / "golden/encoders/resnet18.npz").items():
        if "images" not in case:
            continue
        images = nhwc(case["images"])
        variables = loaded(resnet18(), images, meta, "resnet_embedding")
        close(apply(variables, images, train=False)[0], case["eval/out"], 1e-5)
        out, state = apply(variables, images, train=True)
        close(out, case["train/out"], 5e-3 if len(images) <= 2 else 5e-4)
        check_statistics(state, meta, case, "resnet_embedding")
        assert name.startswith("resnet18")


@pytest.mark.slow
def test_two_views_are_ronos_in_evaluation(shared):
    meta, case = cases(shared / "golden/encoders/resnet18.npz")["two_view"]
    views = np.stack([nhwc(case["view1"]), nhwc(case["view2"])], 1)
    encoder = multi_view(resnet18(imagenet_input=False))
    variables = loaded(encoder, views, meta, "resnet_embedding")
    out, _ = jax.jit(lambda v, x: encoder.apply(v, x, train=False))(variables, views)
    close(out, case["eval/out"], 1e-5)


@pytest.mark.parametrize("name", [pytest.param("resnet34", marks=pytest.mark.slow), "resnet50"])
def test_deeper_resnets_have_torchvisions_architecture(golden, name):
    meta, case = cases(golden / RESNETS)[name]
    images = nhwc(case["images"])
    encoder = getattr(encoders, name)(head="none", imagenet_input=False, **meta["hp"])
    variables = loaded(encoder, images, meta, "resnet")
    out, _ = jax.jit(lambda v, x: encoder.apply(v, x, train=False))(variables, images)
    close(
        out / np.abs(case["eval/out"]).max(),
        case["eval/out"] / np.abs(case["eval/out"]).max(),
        1e-5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_deeper_resnets_keep_torchvisions_statistics(golden, name):
    meta, case = cases(golden / RESNETS)[name]
    images = nhwc(case["images"])
    encoder = getattr(encoders, name)(head="none", imagenet_input=False, **meta["hp"])
    variables = loaded(encoder, images, meta, "resnet")
    out, state = jax.jit(lambda v, x: encoder.apply(v, x, train=True))(variables, images)
    close(out, case["train/out"], 5e-4)
    check_statistics(state, meta, case, "resnet")
