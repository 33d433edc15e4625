"""RONO's objective against the released modules' numbers, and its masks."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr import losses, presets
from jaxcmr.methods import rono
from jaxcmr.methods.base import Outputs, Progress
from jaxcmr.types import Batch

PRESETS = {"total_main": presets.RONO_MNIST3D, "total_modelnet": presets.RONO_MODELNET}


@pytest.fixture(scope="module")
def numbers(golden):
    with np.load(golden / "losses_rono.npz") as stored:
        return json.loads(str(stored["meta"])), dict(stored)


def _batch(labels, present):
    rows = len(labels)
    return Batch(
        inputs={},
        labels=dict.fromkeys(present, jnp.asarray(labels, jnp.int32)),
        index=jnp.arange(rows),
        mask=jnp.ones(rows, bool),
        present={name: jnp.asarray(mask) for name, mask in present.items()},
    )


def _hp(preset):
    return {name: jnp.float32(value) for name, value in preset.items() if name != "name"}


@pytest.mark.parametrize("case", list(PRESETS))
def test_the_objective_and_its_gradients_equal_the_released_ones(numbers, case):
    meta, stored = numbers
    value = lambda key: jnp.asarray(stored[f"{case}/{key}"], jnp.float32)
    labels = stored[f"{case}/labels"]
    everywhere = np.ones(len(labels), bool)
    batch = _batch(labels, {"image": everywhere, "points": everywhere})
    hp = _hp(PRESETS[case])

    def objective(features_img, features_pt, logits_img, logits_pt, centers, epoch):
        outputs = Outputs(
            {"image": features_img, "points": features_pt},
            {"image": logits_img, "points": logits_pt},
            centers,
        )
        progress = Progress(jnp.int32(0), epoch, jnp.float32(0))
        terms = rono.objective(outputs, batch, None, progress, hp)
        return sum(losses.masked_mean(term, batch.mask) for term in terms.values())

    names = ("features_img", "features_pt", "logits_img", "logits_pt", "centers")
    inputs = [value(name) for name in names]
    step = jax.jit(jax.value_and_grad(objective, argnums=range(5)))
    for position, epoch in enumerate(meta[case]["hp"]["epochs"]):
        loss, grads = step(*inputs, jnp.int32(epoch))
        np.testing.assert_allclose(loss, stored[f"{case}/loss"][position], rtol=2e-5, atol=2e-6)
        for name, grad in zip(names, grads):
            expected = stored[f"{case}/grad_{name}"][position]
            bound = 1e-4 * np.abs(expected).max() + 1e-6
            np.testing.assert_allclose(grad, expected, rtol=0, atol=bound, err_msg=name)


def _outputs(rows=6, classes=4, size=5):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return Outputs(
        {"image": draw(rows, size), "points": draw(rows, size)},
        {"image": draw(rows, classes), "points": draw(rows, classes)},
        draw(classes, size),
    )


def _terms(outputs, batch):
    progress = Progress(jnp.int32(0), jnp.int32(30), jnp.float32(0.5))
    return rono.objective(outputs, batch, None, progress, _hp(presets.RONO_MODELNET))


def test_the_order_of_pairs_and_of_modalities_does_not_matter():
    outputs, labels = _outputs(), np.array([0, 1, 2, 3, 0, 1])
    everywhere = np.ones(6, bool)
    batch = _batch(labels, {"image": everywhere, "points": everywhere})
    order = np.array([3, 1, 5, 0, 2, 4])
    shuffled = Outputs(
        {name: outputs.embeddings[name][order] for name in ("points", "image")},
        {name: outputs.logits[name][order] for name in ("points", "image")},
        outputs.centers,
    )
    batch_shuffled = _batch(labels[order], {"image": everywhere, "points": everywhere})
    expected, found = _terms(outputs, batch), _terms(shuffled, batch_shuffled)
    for name, values in expected.items():
        np.testing.assert_allclose(values[order], found[name], rtol=1e-5, atol=1e-6)


def test_a_missing_item_changes_nothing_for_the_others_whatever_its_embedding():
    outputs, labels = _outputs(), np.array([0, 1, 2, 3, 0, 1])
    there = np.array([True, True, False, True, True, True])
    batch = _batch(labels, {"image": np.ones(6, bool), "points": there})
    garbage = {**outputs.embeddings, "points": outputs.embeddings["points"].at[2].set(1e6)}
    expected = _terms(outputs, batch)
    found = _terms(outputs.replace(embeddings=garbage), batch)
    for name, values in expected.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, found[name], rtol=1e-6)
