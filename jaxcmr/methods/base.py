"""What a method is: pure functions that the one training step combines, and a recipe for them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.struct
import jax
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.config.ranges import Field
from jaxcmr.types import Batch, Outputs

Beliefs = Any  # pytree of arrays, `[E, ..., N]` where they are indexed by training row
Targets = Any  # pytree of `[E, ...]`: what each member is trained on in this batch


@flax.struct.dataclass
class Progress:
    """Where the training stands: arrays, so that nothing is compiled again.

    Attributes:
        epoch: int32, complete passes done, from 0.
        fraction: float32 in [0, 1), share of all steps done.
    """

    epoch: jax.Array
    fraction: jax.Array


def present_rows(batch: Batch) -> jax.Array:
    """Returns which items are there and do not only fill the batch up, `[V, B]` bool."""
    return batch.present & batch.mask[None]


def label_groups(batch: Batch) -> jax.Array:
    """Returns `[B]` int32: rows with the same number share their folds (`Dataset.links`)."""
    return batch.index if batch.group is None else batch.group


def modality_mean(values: jax.Array, present: jax.Array) -> jax.Array:
    """Averages `[V, B]` over the modalities that each pair has, `[B]`."""
    return jax.vmap(losses.masked_mean, in_axes=1)(values, present)


def no_beliefs(rows: int, num_classes: int) -> Beliefs:
    """Returns the beliefs of a method that takes its labels as given."""
    return {}


def no_vote(outputs: Outputs, alive: jax.Array, beliefs, batch: Batch, progress: Progress, hp):
    """Leaves the beliefs as they are; the members have no targets but the labels of the batch."""
    return beliefs, None


class Method(NamedTuple):
    """How losses, label beliefs and encoders combine. No loop, no I/O, no device talk.

    `hp` is the dict of the method's numbers (`Recipe.numbers`) as float32 arrays. The number of
    classes K is first given to `init`; everything else reads it from its arguments.

    Attributes:
        init: `(key, inputs, num_classes) -> variables` of one member. The top-level names under
            `params` are the optimiser's parameter groups.
        apply: `(variables, inputs, hp, *, key, train) -> (Outputs, state)` of one member. A trained
            model is given items of one modality; what it computes of the others is not read.
        losses: `(outputs, batch, targets, progress, hp) -> {term: [B]}`, one member: the weighted
            terms of each pair; their sum is what the member minimises. The mean over pairs, under
            the batch mask, is taken once, by the step.
        beliefs: `(rows, num_classes) -> Beliefs` at the start, for all members.
        vote: `(outputs of all members, alive, beliefs, batch, progress, hp) -> (beliefs, targets)`,
            inside the same jitted step, without gradient: the only place where members communicate.
            Where `alive [E]` is False a member has no vote. Outputs are finite: the step puts zeros
            where they are not.
        refresh: `(predict, params, beliefs, epoch, key, hp) -> (params, beliefs)` before each
            epoch, on the host, or None. `predict()` passes the training set, not augmented,
            through all members; a method that does not call it pays nothing.
        diagnose: `(beliefs, training set, num_classes) -> {name: number, ..., "warning": sentence}`
            after each epoch, for reports: the only function that may look at true labels. Or None.
        hidden: `(rows, alive, hp) -> [E, B]` bool, the members that are not trained on the given
            label of each row, of numbers as `label_groups` gives; what they predict of it is
            out-of-fold. None: all are trained on all labels.
        remembered: `beliefs -> [N, K]`, logits of the training rows by members that a label was
            hidden from, minus their mean, where in the end no member is left that was not trained
            on it. None: what members predict in the end is out-of-fold where `hidden` says so.
    """

    init: Callable[..., Any]
    apply: Callable[..., tuple[Outputs, Any]]
    losses: Callable[..., Mapping[str, jax.Array]]
    beliefs: Callable[[int, int], Beliefs] = no_beliefs
    vote: Callable[..., tuple[Beliefs, Targets]] = no_vote
    refresh: Callable[..., tuple[Any, Beliefs]] | None = None
    diagnose: Callable[..., Mapping[str, Any]] | None = None
    hidden: Callable[..., jax.Array] | None = None
    remembered: Callable[[Beliefs], jax.Array] | None = None


class Recipe(NamedTuple):
    """What a method's file exports as `METHOD`.

    Attributes:
        build: `config -> Method`; the method's numbers and choices are `config.method`.
        numbers: what reaches the step as arrays: another value compiles nothing.
        choices: what decides the program: another value compiles the step again.
        uses_labels: whether it looks at labels.
        has_classes: whether it predicts classes (has logits).
        one_label: whether it takes one label a pair, the same in all modalities.
    """

    build: Callable[[ConfigDict], Method]
    numbers: Mapping[str, Field] = {}
    choices: Mapping[str, Field] = {}
    uses_labels: bool = True
    has_classes: bool = True
    one_label: bool = False
