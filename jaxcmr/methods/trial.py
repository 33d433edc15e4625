"""A step of a method in a person's own file, by shapes alone, before anything is trained."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import methods
from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method, Progress
from jaxcmr.types import Batch, Outputs, axis_order

TAKEN = ("loss", "step", "epoch")  # in a line of metrics.jsonl, beside the terms


def check(config: ConfigDict, method: Method, few: Mapping[str, Any], rows: int, k: int) -> None:
    """Finds what the functions of a method return, but must not.

    Args:
        config: of a stage.
        method: which it trains.
        few: some items of every modality.
        rows: size of the training set.
        k: number of classes.

    Raises:
        UsageError: for the first such mistake; it names the method's file.
    """
    size, members = config.train.batch_size, config.ensemble.members
    recipe = methods.recipe(config.method.name)
    beliefs = jax.eval_shape(lambda: method.beliefs(rows, k))

    def wrong(function: str, must: str) -> UsageError:
        return UsageError(f"{config.method.name}: {function} must return {must}")

    def step(inputs, beliefs, hp):
        progress = Progress(jnp.int32(0), jnp.float32(0))
        batch = _batch(inputs, size)
        keys = jax.random.split(jax.random.key(0), members)
        variables = jax.vmap(lambda key: method.init(key, inputs, k))(keys)
        forward = lambda variables, key: method.apply(variables, inputs, hp, key=key, train=True)
        outputs, state = jax.vmap(forward)(variables, keys)
        kept = {name: leaf for name, leaf in variables.items() if name != "params"}
        if not isinstance(outputs, Outputs) or _shapes(state) != _shapes(kept):
            raise wrong("apply", "(Outputs, state), the state like what init gives beside 'params'")
        lead = (members, len(inputs))
        logits = () if outputs.logits is None else outputs.logits.shape
        if outputs.embeddings.ndim != 4 or outputs.embeddings.shape[:2] != lead:
            raise wrong("apply", "embeddings [V, B, d]")
        if recipe.has_classes and (logits[:2] != lead or logits[3:] != (k,)):
            raise wrong("apply", "logits [V, B, K], unless METHOD has has_classes=False")
        found = method.vote(outputs, jnp.ones(members, bool), beliefs, batch, progress, hp)
        if not isinstance(found, tuple) or len(found) != 2 or _shapes(found[0]) != _shapes(beliefs):
            raise wrong("vote", "(beliefs, targets), beliefs with the shapes and types it is given")
        if any(jnp.shape(leaf)[:1] != (members,) for leaf in jax.tree.leaves(found[1])):
            raise wrong("vote", "targets [E, ...]")
        one = lambda outputs, targets: method.losses(outputs, batch, targets, progress, hp)
        terms = jax.vmap(one)(outputs, found[1])
        fine = isinstance(terms, dict) and terms and not terms.keys() & set(TAKEN)
        if not fine or any(jnp.shape(values) != (members, size) for values in terms.values()):
            raise wrong("losses", f"{{term: [B]}}, at least one, no name of {', '.join(TAKEN)}")

    batch_of = lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)
    hp = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in recipe.numbers}
    jax.eval_shape(step, jax.tree.map(batch_of, dict(few)), beliefs, hp)


def _batch(inputs: Mapping[str, Any], size: int) -> Batch:
    names = axis_order(inputs)
    all_rows = jnp.ones(size, bool)
    return Batch(
        inputs=inputs,
        labels=jnp.zeros((len(names), size), jnp.int32),
        present=jnp.ones((len(names), size), bool),
        index=jnp.arange(size, dtype=jnp.int32),
        mask=all_rows,
    )


def _shapes(tree: Any) -> Any:
    """Returns a tree of (shape, type) that can be compared."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]
