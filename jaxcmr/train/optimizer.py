"""The optimiser: optax transformations and a rate schedule for each group of parameters.

A group is a top-level name of the parameters ("image", "points", "head", "centers"); a config
gives defaults for all and, under `groups`, the fields in which a group differs. A group that a
method does not have is not used, so that one config serves methods with and without centers.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


class Optimizer(NamedTuple):
    """Two pure functions over the parameters of one member.

    Attributes:
        init: `params -> opt_state`.
        update: `(grads, opt_state, params, step, rates) -> (params, opt_state)`; `rates` maps a
            group to its base learning rate, an array.
        rates: `(group names) -> {group: base learning rate}` from the config.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]
    rates: Callable[[Any], dict[str, jax.Array]]


def build(config: ConfigDict, total_steps: int) -> Optimizer:
    """Builds the optimiser of `config.optimizer` for a run of `total_steps` steps.

    Weight decay is L2 in the gradient (`g + decay * p`), as torch's Adam and SGD have it.
    Schedules: `cosine` falls to zero over the run; `constant`; `as_released` stays constant
    except for groups with `decay_every > 0`, whose rate falls to a tenth every so many steps
    (RONO's released code lowers the rate of the centers alone, by a bug).
    """
    settings = lambda group: {**config.to_dict(), **config.groups.to_dict().get(group, {})}

    def transform(group: str) -> optax.GradientTransformation:
        own = settings(group)
        decay = optax.add_decayed_weights(own["weight_decay"])
        if own["name"] == "adam":
            return optax.chain(decay, optax.scale_by_adam(own["b1"], own["b2"]))
        return optax.chain(decay, optax.trace(own["momentum"]))

    def chain(params: Mapping[str, Any]) -> optax.GradientTransformation:
        groups = {group: transform(group) for group in params}
        labels = {group: jax.tree.map(lambda _, g=group: g, params[group]) for group in params}
        return optax.multi_transform(groups, labels)

    def update(grads, opt_state, params, step, rates):
        updates, opt_state = chain(params).update(grads, opt_state, params)
        factors = {
            group: -rates[group] * _schedule(settings(group), step, total_steps) for group in params
        }
        updates = {g: jax.tree.map(lambda u, f=factors[g]: f * u, updates[g]) for g in params}
        return optax.apply_updates(params, updates), opt_state

    def rates(groups) -> dict[str, jax.Array]:
        return {group: jnp.float32(settings(group)["learning_rate"]) for group in groups}

    return Optimizer(lambda params: chain(params).init(params), update, rates)


def _schedule(settings: Mapping[str, Any], step: jax.Array, total_steps: int) -> jax.Array:
    """Returns the factor of the base rate at `step`."""
    if settings["schedule"] == "cosine":
        return 0.5 * (1.0 + jnp.cos(jnp.pi * step / total_steps))
    if settings["schedule"] == "as_released" and settings["decay_every"] > 0:
        return 0.1 ** (step // settings["decay_every"])
    return jnp.float32(1.0)
