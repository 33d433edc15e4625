"""The panel of MMCD that weighs every class: what each label may be, instead of which to believe.

The mean logits of the voters are all that members tell each other. See `beliefs/posterior.py` for
the rule, `methods/panel.py` for who votes, and `methods/mmcd.py` for the parts.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr.beliefs import belief, clarify, posterior
from jaxcmr.methods.base import Beliefs, Targets
from jaxcmr.methods.panel import Hearing, look_up, write
from jaxcmr.types import Batch

# How sharp the softmax of the mean logits may be: that under which given labels are likeliest.
SHARPNESS = tuple(2.0 ** (step / 2) for step in range(-6, 5))  # 1/8 to 4
PRIOR = 5.0  # pseudo-counts a class: see `posterior.transition`


def start_beliefs(members: int, num_classes: int, rows: int) -> dict[str, Any]:
    """Returns remembered logits, counts, and what was decided."""
    return {
        "logits": belief.start_memory((members, num_classes, rows), 0.0),
        "transitions": jnp.zeros((members, num_classes, num_classes)),
        "likelihood": jnp.zeros((members, len(SHARPNESS))),
        "rows": jnp.zeros(members),
        "right": jnp.zeros((members, rows)),
        "labels": jnp.full((members, rows), -1, jnp.int32),
    }


def build_rule(numbers: ConfigDict, num_classes: int) -> Callable[..., tuple[Beliefs, Targets]]:
    """Returns `(heard, beliefs, batch, hp) -> (beliefs, targets)`.

    Targets: `posterior [E, B, K]`, zero where the member is taught nothing; and, `[E, B]` each,
    `positives`, the likeliest classes, by which the contrastive loss may pair rows, -1 for none,
    and `weights`, how likely they are.
    """
    del numbers  # all of them are in hp

    def decide(heard: Hearing, beliefs: Any, batch: Batch, hp):
        given, voters, warm = heard.given, heard.voters, heard.warm
        told = _from_their_mean(voters.average(heard.logits), batch.mask)
        asked = batch.mask & ~heard.settled
        memory = belief.remember(
            beliefs["logits"],
            batch.index,
            jnp.swapaxes(told, -1, -2),
            hp["memory_decay"],
            asked,
        )
        told = jnp.swapaxes(look_up(memory.value, batch.index), -1, -2)  # [E, B, K]
        decay = jnp.where(heard.settled, 1.0, hp["agreement_decay"])
        q, learned = _judge(beliefs, told, given, voters.fair & asked[None], decay, hp)

        taught = batch.mask[None] & (~voters.hidden | heard.settled)
        q = jnp.where(warm, jax.nn.one_hot(given, num_classes)[None], q)
        likeliest = q.argmax(-1).astype(jnp.int32)
        known = batch.mask[None] & ~warm
        targets = {
            "posterior": jnp.where(taught[..., None], q, 0.0),
            "positives": jnp.where(taught & known, likeliest, -1),
            "weights": jnp.where(taught & known, q.max(-1), 0.0),
        }
        right = (q * jax.nn.one_hot(given, num_classes)[None]).sum(-1)
        return {
            "logits": memory,
            **learned,
            "right": write(beliefs["right"], batch.index, jnp.where(known, right, 0.0)),
            "labels": write(beliefs["labels"], batch.index, jnp.where(known, likeliest, -1)),
        }, targets

    return decide


def _judge(
    beliefs: Any, told: jax.Array, given: jax.Array, fair: jax.Array, decay: jax.Array, hp
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Learns from a batch how labels meet the votes; returns the posteriors `[E, B, K]`, too."""
    classes = told.shape[-1]
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
