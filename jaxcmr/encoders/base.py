"""What an encoder is: a pair of pure functions around a flax module."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcmr.types import Items

Variables = dict[str, Any]


class Encoder(NamedTuple):
    """A backbone as two pure functions; nothing else of it is used anywhere.

    `init(key, inputs) -> variables`: `variables["params"]` is learned, every other collection
    (`batch_stats`) is state. `inputs` is a batch of at least one item; its values do not matter.

    `apply(variables, inputs, *, train, key=None) -> (embeddings [B, d], state)`: `train` (a Python
    bool) switches batch statistics and dropout; `key` feeds dropout and may be None where there is
    none; `state` is `variables` without `params`, updated if `train`.

    Both work under `jax.vmap` over stacked variables and keys (the members of an ensemble).
    """

    init: Callable[[jax.Array, Items], Variables]
    apply: Callable[..., tuple[jax.Array, Variables]]


class Backbone(nn.Module):
    """A linen module with the call `module(items, *, train) -> embeddings [B, d]` in float32.

    Attributes:
        embedding_size: size d of the embedding.
        dtype: dtype of the products; parameters, statistics and embeddings are float32.
    """

    embedding_size: int = 256
    dtype: Any = jnp.float32


def builder(module_type: type[nn.Module], **fixed: Any) -> Callable[..., Encoder]:
    """Returns the function that builds encoders of a module, with its attributes as arguments.

    Args:
        module_type: a linen module with the call `module(items, *, train)`.
        fixed: attributes that every encoder has alike; the function does not take them.
    """

    @functools.wraps(module_type)
    def build(*values: Any, **attributes: Any) -> Encoder:
        return from_module(module_type(*values, **fixed, **attributes))

    left_out = {"parent", "name", *fixed}
    signature = inspect.signature(module_type)
    kept = [p for p in signature.parameters.values() if p.name not in left_out]
    build.__signature__ = signature.replace(parameters=kept, return_annotation=Encoder)
    return build


def from_module(module: nn.Module) -> Encoder:
    """Wraps a linen module with the call `module(inputs, *, train)` as an `Encoder`."""

    def init(key: jax.Array, inputs: Items) -> Variables:
        return dict(module.init(key, inputs, train=False))

    def apply(variables: Variables, inputs: Items, *, train: bool, key: jax.Array | None = None):
        state = {name: value for name, value in variables.items() if name != "params"}
        rngs = {} if key is None else {"dropout": key}
        outputs, updated = module.apply(
            variables, inputs, train=train, rngs=rngs, mutable=list(state) if train else []
        )
        return outputs, {**state, **updated}

    return Encoder(init, apply)
