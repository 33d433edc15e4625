"""The optimiser: optax transformations and a rate schedule for each group of parameters.

A group is a top-level name of the parameters ("image", "points", "head", "centers"); a config
gives defaults for all and, under `groups`, the fields in which a group differs. A group that a
method does not have is not used, so that one config serves methods with and without centers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def build(config: ConfigDict, total_steps: int) -> optax.GradientTransformationExtraArgs:
    """Builds the optimiser of `config.optimizer` for a run of `total_steps` steps.

    Its `update(grads, opt_state, params, *, step, rates)` works on one member; `rates` maps a group
    to its base learning rate, an array (`rates`).

    Weight decay is L2 in the gradient (`g + decay * p`), as torch's Adam and SGD have it.
    Schedules: `cosine` falls to zero over the run; `constant`; `as_released` stays constant
    except for groups with `decay_every > 0`, whose rate falls to a tenth every so many steps
    (RONO's released code lowers only the rate of the centers, by a bug).
    """

    def transform(group: str) -> optax.GradientTransformation:
        settings = _settings(config, group)
        decay = optax.add_decayed_weights(settings["weight_decay"])
        if settings["name"] == "adam":
            return optax.chain(decay, optax.scale_by_adam(settings["b1"], settings["b2"]))
        return optax.chain(decay, optax.trace(settings["momentum"]))

    def chain(params: Mapping[str, Any]) -> optax.GradientTransformation:
        groups = {group: transform(group) for group in params}
        labels = {group: jax.tree.map(lambda _, g=group: g, params[group]) for group in params}
        return optax.multi_transform(groups, labels)

    def update(grads, opt_state, params, *, step: jax.Array, rates: Mapping[str, jax.Array]):
        updates, opt_state = chain(params).update(grads, opt_state, params)
        schedule = lambda group: _schedule(_settings(config, group), step, total_steps)
        factors = {group: -rates[group] * schedule(group) for group in params}
        updates = {g: jax.tree.map(lambda u, f=factors[g]: f * u, updates[g]) for g in params}
        return updates, opt_state

    return optax.GradientTransformationExtraArgs(lambda params: chain(params).init(params), update)


def rates(config: ConfigDict, groups: Iterable[str]) -> dict[str, jax.Array]:
    """Returns group -> base learning rate, by `config.optimizer`."""
    return {group: jnp.float32(_settings(config, group)["learning_rate"]) for group in groups}


def _settings(config: ConfigDict, group: str) -> dict[str, Any]:
    """Returns the fields of `config.optimizer` as they hold for a group."""
    return {**config.to_dict(), **config.groups.to_dict().get(group, {})}


def _schedule(settings: Mapping[str, Any], step: jax.Array, total_steps: int) -> jax.Array:
    """Returns the factor of the base rate at `step`."""
    if settings["schedule"] == "cosine":
        return optax.cosine_decay_schedule(1.0, total_steps)(step)
    if settings["schedule"] == "as_released" and settings["decay_every"] > 0:
        return 0.1 ** (step // settings["decay_every"])
    return jnp.float32(1.0)
