"""Towers: which views are seen, augmentation in training alone, published weights, one head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxcmr.config import default, encoder
from jaxcmr.encoders import Encoder, towers
from jaxcmr.errors import UsageError
from jaxcmr.methods import classifiers


def _recording(monkeypatch) -> None:
    """An encoder whose embedding is the mean of what it sees, so that the input can be read off."""

    def build(embedding_size: int) -> Encoder:
        init = lambda key, inputs: {"params": {"zero": jnp.zeros(())}}

        def apply(variables, inputs, *, train, key=None):
            mean = inputs.astype(jnp.float32).reshape(inputs.shape[0], -1).mean(-1, keepdims=True)
            return jnp.broadcast_to(mean, (len(mean), embedding_size)), {}

        return Encoder(init, apply)

    monkeypatch.setitem(towers.ENCODERS, "recording", build)


def _views(rows=3, views=4):
    """View v of row r is 10 r + v everywhere."""
    value = 10.0 * np.arange(rows)[:, None] + np.arange(views)
    return jnp.asarray(np.broadcast_to(value[..., None, None, None], (rows, views, 2, 2, 1)))


def test_without_training_all_views_are_seen(monkeypatch):
    _recording(monkeypatch)
    tower = towers.tower(encoder("recording", views=2), 1)
    out, _ = tower.apply(tower.init(jax.random.key(0), _views()), _views(), train=False)
    np.testing.assert_allclose(out[:, 0], [1.5, 11.5, 21.5])  # the mean of views 0 to 3


def test_in_training_each_row_draws_its_own_views(monkeypatch):
    _recording(monkeypatch)
    tower = towers.tower(encoder("recording", views=1), 1)
    variables = tower.init(jax.random.key(0), _views(rows=40))
    out, _ = tower.apply(variables, _views(rows=40), train=True, key=jax.random.key(1))
    seen = out[:, 0] - 10.0 * jnp.arange(40)
    assert set(np.asarray(seen).tolist()) == {0.0, 1.0, 2.0, 3.0}


def test_augmentation_acts_in_training_alone(monkeypatch):
    _recording(monkeypatch)
    tower = towers.tower(encoder("recording", augment={"shift_points": 0.5}), 1)
    points = jnp.ones((4, 5, 3))
    still, _ = tower.apply({"params": {}}, points, train=False)
    np.testing.assert_array_equal(still, jnp.ones((4, 1)))
    moved, _ = tower.apply({"params": {}}, points, train=True, key=jax.random.key(0))
    assert np.all(np.abs(moved - 1) <= 0.5) and len(np.unique(moved)) == 4


def test_what_does_not_exist_is_named(monkeypatch):
    _recording(monkeypatch)
    with pytest.raises(UsageError, match="no augmentation 'shake'"):
        towers.tower(encoder("recording", augment={"shake": 1.0}), 4)
    config = encoder("recording")
    config.pretrained = "weights.npz"
    with pytest.raises(UsageError, match=r"no names of published weights.*'recording'"):
        towers.tower(config, 4)
    config = encoder("resnet18")
    config.pretrained = "nowhere.safetensors"
    with pytest.raises(UsageError, match=r"cannot open the weights nowhere\.safetensors"):
        towers.tower(config, 4)


def test_published_weights_start_every_member(tmp_path):
    config = encoder("pointnet", widths=(4, 6))
    tower = towers.tower(config, 3)
    points = jnp.ones((1, 5, 3))
    plain = tower.init(jax.random.key(0), points)
    weights = {}
    for layer, (inputs, width) in enumerate([(3, 4), (4, 6)], start=1):
        weights[f"conv{layer}.weight"] = np.full((width, inputs, 1), layer, np.float32)
        for name in ("weight", "bias", "running_mean", "running_var"):
            weights[f"bn{layer}.{name}"] = np.full(width, 0.5, np.float32)
    np.savez(tmp_path / "published.npz", **weights)
    config.pretrained = str(tmp_path / "published.npz")
    tower = towers.tower(config, 3)
    started = jax.vmap(tower.init, in_axes=(0, None))(jax.random.split(jax.random.key(1)), points)
    np.testing.assert_array_equal(started["params"]["conv2"]["kernel"], np.full((2, 4, 6), 2.0))
    last = started["params"]["linear1"]["kernel"]
    assert last.shape == (2, *plain["params"]["linear1"]["kernel"].shape)
    assert not np.array_equal(last[0], last[1])  # what is not published differs between members


def test_all_modalities_share_one_head_and_come_in_alphabetical_order():
    config = default()
    config.data.modalities = ("b", "a")
    config.encoders.embedding_size = 4
    for name in config.data.modalities:
        config.encoders[name] = ConfigDict(encoder("fc", hidden=(3,)))
    network, bare = classifiers.with_head(config), towers.bare(config)
    inputs = {"a": jnp.ones((2, 6)), "b": jnp.ones((2, 7))}
    variables = network.init(jax.random.key(0), inputs, 5)
    assert set(variables["params"]) == {"a", "b", "head"}
    outputs, _ = network.apply(variables, inputs, {}, key=None, train=False)
    assert outputs.embeddings.shape == (2, 2, 4) and outputs.logits.shape == (2, 2, 5)
    alone = towers.tower(config.encoders.a, 4)
    of_a = {kind: parts["a"] for kind, parts in variables.items() if "a" in parts}
    embeddings, _ = alone.apply(of_a, inputs["a"], train=False)
    np.testing.assert_allclose(outputs.embeddings[0], embeddings, rtol=1e-6)
    assert bare.apply(variables, inputs, {}, key=None, train=False)[0].logits is None

    # Items of one modality alone: the towers of the others compute nothing.
    some, state = network.apply(variables, {"b": inputs["b"]}, {}, key=None, train=False)
    np.testing.assert_array_equal(some.embeddings[1], outputs.embeddings[1])
    np.testing.assert_array_equal(some.logits[1], outputs.logits[1])
    assert not some.embeddings[0].any() and state == {}
