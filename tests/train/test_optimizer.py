"""The optimiser: groups, schedules, decay, against hand arithmetic."""

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from jaxcmr.config import default
from jaxcmr.train import optimizer


def _config(**fields) -> ConfigDict:
    config = default().optimizer
    config.name, config.learning_rate, config.weight_decay = "sgd", 0.1, 0.0
    config.momentum, config.schedule = 0.0, "constant"
    for name, value in fields.items():
        setattr(config, name, value)
    return config


def _one_update(config, step=0, total_steps=10):
    params = {"image": jnp.array([1.0, -2.0]), "centers": jnp.array([3.0])}
    grads = {"image": jnp.array([0.5, 0.5]), "centers": jnp.array([1.0])}
    rule = optimizer.build(config, total_steps)
    rates = optimizer.rates(config, tuple(params))
    updates, _ = rule.update(grads, rule.init(params), params, step=jnp.int32(step), rates=rates)
    return optax.apply_updates(params, updates)


def test_sgd_step_is_rate_times_gradient():
    updated = _one_update(_config())
    np.testing.assert_allclose(updated["image"], [1 - 0.1 * 0.5, -2 - 0.1 * 0.5], rtol=1e-6)


def test_decay_is_l2_in_the_gradient_and_groups_differ():
    config = _config(weight_decay=0.2)
    config.groups.centers = ConfigDict({"weight_decay": 0.0, "learning_rate": 0.01})
    updated = _one_update(config)
    np.testing.assert_allclose(
        updated["image"], [1 - 0.1 * (0.5 + 0.2 * 1), -2 - 0.1 * (0.5 - 0.2 * 2)], rtol=1e-6
    )
    np.testing.assert_allclose(updated["centers"], [3 - 0.01 * 1.0], rtol=1e-6)


def test_adam_first_step_is_the_rate_times_the_sign():
    updated = _one_update(_config(name="adam"))
    np.testing.assert_allclose(updated["image"], [1 - 0.1, -2 - 0.1], rtol=1e-5)


def test_cosine_halves_at_half_time():
    updated = _one_update(_config(schedule="cosine"), step=5, total_steps=10)
    np.testing.assert_allclose(updated["centers"], [3 - 0.05], rtol=1e-6)


def test_as_released_lowers_only_the_groups_that_say_so():
    config = _config(schedule="as_released")
    config.groups.centers = ConfigDict({"decay_every": 4})
    updated = _one_update(config, step=8)
    np.testing.assert_allclose(updated["centers"], [3 - 0.1 * 0.01], rtol=1e-6)
    np.testing.assert_allclose(updated["image"], [1 - 0.05, -2 - 0.05], rtol=1e-6)


def test_a_group_that_the_method_does_not_have_changes_nothing():
    config = _config()
    config.groups.tower = ConfigDict({"learning_rate": 5.0})
    np.testing.assert_array_equal(_one_update(config)["image"], _one_update(_config())["image"])
