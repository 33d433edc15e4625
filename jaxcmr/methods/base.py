"""What a method is: a frozen bundle of pure functions that the one training step combines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from jaxcmr import losses
from jaxcmr.types import Batch, Outputs

Beliefs = Any  # pytree of arrays indexed by training row: vote memory, label banks
Targets = Any  # pytree with a leading member axis: what each member is taught on this batch


@flax.struct.dataclass
class Progress:
    """Where the training stands: arrays, so that nothing is compiled again.

    Attributes:
        step: int32, optimiser steps done.
        epoch: int32, complete passes done, from 0.
        fraction: float32 in [0, 1), share of all steps done.
    """

    step: jax.Array
    epoch: jax.Array
    fraction: jax.Array


def present_rows(batch: Batch, names: Sequence[str]) -> jax.Array:
    """Returns which items are there and no fillers, `[V, B]` bool, in the order of `names`."""
    return stacked(batch.present, names) & batch.mask[None]


def stacked(by_modality: Mapping[str, jax.Array], names: Sequence[str]) -> jax.Array:
    """Stacks what modalities have one by one into `[V, ...]`, in the order of `names`."""
    return jnp.stack([by_modality[name] for name in names])


def over_modalities(values: jax.Array, present: jax.Array) -> jax.Array:
    """Averages `[V, B]` over the modalities that each pair has, `[B]`."""
    return jax.vmap(losses.masked_mean, in_axes=1)(values, present)


def given_labels(batch: Batch, names: Sequence[str]) -> jax.Array:
    """Returns the labels as given to each modality, `[V, B]` int32, in the order of `names`."""
    return stacked(batch.labels, names)


def no_beliefs(rows: int) -> Beliefs:
    """Starts a method that believes nothing about its labels but what is given."""
    del rows
    return {}


def no_vote(outputs, beliefs, batch, progress, hp):
    """Leaves the beliefs alone and gives the members no targets beside the batch."""
    del outputs, batch, progress, hp
    return beliefs, None


class Method(NamedTuple):
    """How losses, label beliefs and encoders combine. No loop, no I/O, no device talk.

    `hp` is the dict of the config's `method` numbers as arrays.

    Attributes:
        init: `(key, inputs) -> variables` of one member. The top-level names under `params` are
            the optimiser's parameter groups.
        apply: `(variables, inputs, *, key, train) -> (Outputs, state)` of one member.
        losses: `(outputs, batch, targets, progress, hp) -> {term: [B]}`, one member: the weighted
            terms of each pair; their sum is what the member minimises. The mean over pairs, under
            the batch mask, is taken once, by the step.
        beliefs: `(rows) -> Beliefs` at the start.
        vote: `(outputs of all members, beliefs, batch, progress, hp) -> (beliefs, targets)`, inside
            the same jitted step, without gradient: the only place where members meet.
        refresh: `(predict, params, beliefs, epoch, key, hp) -> (params, beliefs)` before each
            epoch, on the host, or None. `predict()` passes the training set, not augmented,
            through all members; a method that does not call it pays nothing.
        diagnose: `(beliefs, training set) -> {name: number, ..., "warning": sentence}` after each
            epoch, for people alone: the only place that may look at true labels. Or None.
    """

    init: Callable[..., Any]
    apply: Callable[..., tuple[Outputs, Any]]
    losses: Callable[..., Mapping[str, jax.Array]]
    beliefs: Callable[[int], Beliefs] = no_beliefs
    vote: Callable[..., tuple[Beliefs, Targets]] = no_vote
    refresh: Callable[..., tuple[Any, Beliefs]] | None = None
    diagnose: Callable[..., Mapping[str, Any]] | None = None
