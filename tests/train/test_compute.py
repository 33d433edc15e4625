"""Narrow products and recomputation: float32 where it counts, the same losses, less memory."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest

from jaxcmr import config as configuration
from jaxcmr import methods
from jaxcmr.encoders import ENCODERS, towers
from jaxcmr.errors import UsageError
from jaxcmr.train import devices, feed, forward, optimizer, state
from jaxcmr.train.step import build_step, method_numbers


def _step(**fields):
    """Returns the compiled step of RONO on deep towers, the state after it, and its metrics."""
    config = paired.config()
    config.train.update(fields)
    config.train.batch_size = 48
    for modality in config.data.modalities:
        config.encoders[modality].options.fc.hidden = (64,) * 8
    method, data = methods.build(config), feed.whole(paired.dataset())
    rule = optimizer.build(config.optimizer, 4)
    start = state.create(
        method, rule, data.inputs, num_classes=paired.CLASSES, seed=0, members=2, rows=48
    )
    hp = {
        "method": method_numbers(config.method),
        "rates": optimizer.rates(config.optimizer, start.params),
    }
    apply = forward.build(config, method, devices.build(config))
    step = build_step(method, apply, rule, feed.gather, steps_per_epoch=2, total_steps=4)
    rows = jnp.arange(2 * 48).reshape(2, 48) % 48
    compiled = step.lower(start, data, rows, hp).compile()
    after, terms = compiled(start, data, rows, hp)
    return compiled, after, jax.device_get(terms)


@pytest.fixture(scope="module")
def plain():
    return _step()


def test_bfloat16_is_used_inside_towers_alone(plain):
    compiled, after, terms = _step(compute_dtype="bfloat16")
    assert "bf16[" in compiled.as_text() and "bf16[" not in plain[0].as_text()
    for leaf in jax.tree.leaves((after.params, after.model_state, after.opt_state)):
        assert leaf.dtype in (jnp.float32, jnp.int32)
    for name, values in terms.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, plain[2][name], rtol=0.1, atol=0.02)
        assert not np.array_equal(values, plain[2][name]) or name == "rdc"


@pytest.mark.parametrize("remat", ["products", "towers"])
def test_recomputation_changes_no_loss(plain, remat):
    _, _, terms = _step(remat=remat)
    for name, values in terms.items():
        np.testing.assert_allclose(values, plain[2][name], rtol=1e-5, atol=1e-6)


def _kept_bytes(remat: str) -> int:
    """Bytes that the backward pass of the towers keeps beside the parameters and the inputs."""
    config = paired.config()
    config.train.remat = remat
    for name in config.data.modalities:
        config.encoders[name] = configuration.encoder("feature_mlp", hidden=(64,) * 4, dropout=0.0)
    network, inputs = towers.bare(config), dict(paired.dataset().inputs)
    variables = network.init(jax.random.key(0), inputs, paired.CLASSES)

    def embeddings(params):
        changed = {**variables, "params": params}
        return network.apply(changed, inputs, {}, key=jax.random.key(1), train=True)[0].embeddings

    _, backward = jax.vjp(embeddings, variables["params"])
    given = {id(leaf) for leaf in jax.tree.leaves((variables, inputs))}
    return sum(leaf.nbytes for leaf in jax.tree.leaves(backward) if id(leaf) not in given)


def test_recomputation_keeps_less_for_the_backward_pass():
    """Of what JAX keeps: the compiler of CPUs takes the recomputation out again, others do not."""
    everything, products, towers_alone = map(_kept_bytes, ("none", "products", "towers"))
    assert products < 0.7 * everything and towers_alone < 0.3 * products


def test_every_encoder_takes_the_dtype():
    for builder in ENCODERS.values():
        assert "dtype" in inspect.signature(builder).parameters


@pytest.mark.parametrize("field", ["compute_dtype", "remat", "on_nan"])
def test_an_unknown_choice_is_a_sentence(field):
    config = paired.config()
    config.train[field] = "odd"
    with pytest.raises(UsageError, match=rf"config\.train\.{field} is 'odd'"):
        configuration.check(config)
