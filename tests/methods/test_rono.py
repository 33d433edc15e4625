"""RONO's objective against the released modules' numbers, and its masks."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses
from jaxcmr.methods import Outputs, rono

MNIST3D = {
    "tau1": 0.05,
    "tau2": 0.05,
    "margin": 0.3,
    "warmup_epochs": 25,
    "crc_scale": 5.0,
    "pair_temperature": 0.22,
    "crc_weight": 1.0,
    "pair_weight": 1.0,
}
RELEASED = {"total_main": MNIST3D, "total_modelnet": {}}


@pytest.fixture(scope="module")
def numbers(golden):
    with np.load(golden / "losses_rono.npz") as stored:
        return json.loads(str(stored["meta"])), dict(stored)


@pytest.mark.parametrize("case", list(RELEASED))
def test_the_objective_and_its_gradients_equal_the_released_ones(numbers, case):
    meta, stored = numbers
    value = lambda key: jnp.asarray(stored[f"{case}/{key}"], jnp.float32)
    labels = stored[f"{case}/labels"]
    batch, hp = paired_batch.batch(labels), paired_batch.hp("rono", **RELEASED[case])

    def objective(features_img, features_pt, logits_img, logits_pt, centers, epoch):
        embeddings = jnp.stack([features_img, features_pt])
        outputs = Outputs(embeddings, jnp.stack([logits_img, logits_pt]), centers)
        terms = rono.objective(outputs, batch, None, paired_batch.progress(epoch), hp)
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


def _outputs():
    centers = jax.random.normal(jax.random.key(5), (4, 5))
    return paired_batch.outputs().replace(centers=centers)


def _terms(outputs, batch):
    progress = paired_batch.progress(30, 0.5)
    return rono.objective(outputs, batch, None, progress, paired_batch.hp("rono"))


def test_the_order_of_pairs_and_of_modalities_does_not_matter():
    outputs, labels = _outputs(), np.array([0, 1, 2, 3, 0, 1])
    order = np.array([3, 1, 5, 0, 2, 4])
    shuffled = Outputs(
        outputs.embeddings[::-1, order], outputs.logits[::-1, order], outputs.centers
    )
    expected = _terms(outputs, paired_batch.batch(labels))
    found = _terms(shuffled, paired_batch.batch(labels[order]))
    for name, values in expected.items():
        np.testing.assert_allclose(values[order], found[name], rtol=1e-5, atol=1e-6)


def test_a_missing_item_changes_nothing_for_the_others_whatever_its_embedding():
    there = np.array([True, True, False, True, True, True])
    outputs, batch = _outputs(), paired_batch.batch([0, 1, 2, 3, 0, 1], text=there)
    expected = _terms(outputs, batch)
    garbage = outputs.embeddings.at[1, 2].set(1e6)
    found = _terms(outputs.replace(embeddings=garbage), batch)
    for name, values in expected.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, found[name], rtol=1e-6)
