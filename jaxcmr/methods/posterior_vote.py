"""The panel of MMCD that weighs every class: what each label may be, instead of which to believe.

All of it happens inside the one training step, over all members and without a gradient; the mean
logits of the voters are all that members tell each other. See `labels/posterior.py` for the rule
and `methods/mmcd.py` for the parts.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr.labels import belief, clarify, posterior
from jaxcmr.labels.electorate import electorate
from jaxcmr.methods import panel
from jaxcmr.methods.base import Beliefs, Outputs, Progress, Targets, present_rows
from jaxcmr.types import Batch

# How sharp the softmax of the mean logits may be: that under which given labels are likeliest.
SHARPNESS = tuple(2.0 ** (step / 2) for step in range(-6, 5))  # 1/8 to 4
PRIOR = 5.0  # pseudo-counts a class: see `posterior.transition`


def start_beliefs(members: int, voters: int, num_classes: int) -> Callable[[int], Beliefs]:
    """Returns `Method.beliefs`: remembered logits, counts, and what was decided."""

    def beliefs(rows: int) -> dict[str, Any]:
        return {
            "logits": belief.start_memory((members, num_classes, rows), 0.0),
            "transitions": jnp.zeros((members, num_classes, num_classes)),
            "likelihood": jnp.zeros((members, len(SHARPNESS))),
            "rows": jnp.zeros(members),
            "right": jnp.zeros((members, rows)),
            "labels": jnp.full((members, rows), -1, jnp.int32),
            "classes": jnp.full((members, voters, rows), -1, jnp.int32),
        }

    return beliefs


def build_vote(config: ConfigDict, num_classes: int) -> Callable[..., tuple[Beliefs, Targets]]:
    """Returns `Method.vote` of such a panel; its numbers are `config.method`.

    Targets: `posterior [E, B, K]`, zero where the member is taught nothing; and, `[E, B]` each,
    `positives`, the likeliest classes, by which the contrastive loss may pair rows, -1 for none,
    and `weights`, how likely they are.

    Raises:
        UsageError: for a choice that does not exist.
    """
    panel.check(config)
    key, members = jax.random.key(config.seed), config.ensemble.members
    voting = config.method.voters

    def vote(outputs: Outputs, beliefs: Any, batch: Batch, progress: Progress, hp):
        names = tuple(outputs.logits)
        present = present_rows(batch, names)
        logits = jnp.stack([outputs.logits[name] for name in names], 1)  # [E, V, B, K]
        given = batch.labels[names[0]]
        voters = electorate(
            voting, key, batch.index, present, members, hp["judges"], hp["held_out_share"]
        )
        told = jnp.swapaxes(_from_their_mean(voters.average(logits), batch.mask), -1, -2)
        memory = belief.remember(
            beliefs["logits"], batch.index, told, hp["memory_decay"], batch.mask
        )
        told = jnp.swapaxes(panel.look_up(memory.value, batch.index), -1, -2)  # [E, B, K]
        fair = voters.fair & batch.mask[None]
        q, learned = _judge(beliefs, told, given, fair, hp)

        warm = progress.epoch < hp["warmup_epochs"]
        taught = batch.mask[None] & ~voters.hidden
        q = jnp.where(warm, jax.nn.one_hot(given, num_classes)[None], q)
        likeliest = q.argmax(-1).astype(jnp.int32)
        known = batch.mask[None] & ~warm
        targets = {
            "posterior": jnp.where(taught[..., None], q, 0.0),
            "positives": jnp.where(taught & known, likeliest, -1),
            "weights": jnp.where(taught & known, q.max(-1), 0.0),
        }
        right = (q * jax.nn.one_hot(given, num_classes)[None]).sum(-1)
        write = lambda name, values: panel.write(beliefs[name], batch.index, values)
        return {
            "logits": memory,
            **learned,
            "right": write("right", jnp.where(known, right, 0.0)),
            "labels": write("labels", jnp.where(known, likeliest, -1)),
            "classes": write("classes", logits.argmax(-1).astype(jnp.int32)),
        }, targets

    return vote


def _judge(
    beliefs: Any, told: jax.Array, given: jax.Array, fair: jax.Array, hp
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Learns from a batch how labels meet the votes; returns the posteriors `[E, B, K]`, too."""
    decay, classes = hp["agreement_decay"], told.shape[-1]
    surest = clarify.surest(told.argmax(-1), jax.nn.softmax(told), fair, hp["surest_share"])
    counts = decay * beliefs["transitions"] + posterior.count_transitions(surest, given, classes)
    matrix = posterior.transition(counts, PRIOR)  # [E, K, K]
    sharpness = jnp.asarray(SHARPNESS)
    each = jax.nn.softmax(sharpness[None, :, None, None] * told[:, None])  # [E, G, B, K]
    fits = jnp.where(fair[:, None], posterior.likelihood(each, given, matrix[:, None]), 0.0)
    likelihood = decay * beliefs["likelihood"] + fits.sum(-1)
    chosen = sharpness[likelihood.argmax(-1)][:, None, None]
    q = posterior.label_posterior(jax.nn.softmax(chosen * told), given, matrix)
    rows = decay * beliefs["rows"] + fair.sum(-1)
    return q, {"transitions": counts, "likelihood": likelihood, "rows": rows}


def _from_their_mean(told: jax.Array, mask: jax.Array) -> jax.Array:
    """Takes the mean over the rows of the batch from the logits of each class.

    Without it one class that is believed a little too often would be taught, and believed, ever
    more.
    """
    rows = mask[None, :, None]
    middle = jnp.where(rows, told, 0.0).sum(1, keepdims=True) / jnp.maximum(mask.sum(), 1)
    return told - middle
