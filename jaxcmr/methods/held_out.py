"""Out-of-fold beliefs for methods that have no folds of their own (`config.audit.folds`).

The rows fall into F folds, drawn by the run's seed; linked rows share one. Member e is not taught
the given labels of the fold `e mod F`: to it they are rows without a label, in the same jitted step
as all others. What it predicts of them is an out-of-fold prediction, as in cross-validation.
"""

import jax
import jax.numpy as jnp

from jaxcmr.beliefs import folds
from jaxcmr.methods.base import Method, label_groups
from jaxcmr.types import Batch


def with_folds(method: Method, count: int, members: int, key: jax.Array) -> Method:
    """Returns the method with the labels of each fold hidden from some members.

    Args:
        method: takes its labels from the batch alone, and -1 for no label.
        count: F, the folds, at most `members`.
        members: E.
        key: decides the fold of each row; the same in the whole training.
    """

    def hidden(rows: jax.Array, alive: jax.Array, hp) -> jax.Array:
        fold = jnp.floor(folds.row_draws(key, rows) * count).astype(jnp.int32)
        return (jnp.arange(members) % count)[:, None] == fold[None]

    def vote(outputs, alive, beliefs, batch: Batch, progress, hp):
        beliefs, targets = method.vote(outputs, alive, beliefs, batch, progress, hp)
        return beliefs, (targets, hidden(label_groups(batch), alive, hp))

    def objective(outputs, batch: Batch, targets, progress, hp):
        targets, hides = targets
        taught = batch.replace(labels=jnp.where(hides[None], -1, batch.labels))
        return method.losses(outputs, taught, targets, progress, hp)

    return method._replace(vote=vote, losses=objective, hidden=hidden)
