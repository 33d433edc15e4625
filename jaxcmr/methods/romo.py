"""RoMo's robust discriminative learning, from labels of which some are wrong: pseudo labels.

Li et al., "RoMo: Robust Unsupervised Multimodal Learning with Noisy Pseudo Labels", IEEE TIP
33:5086-5097, 2024, the second stage. For a pair i with the (pseudo) label y:

    rcll_weight sum_v RCLL_vi + mlm_weight mean_v MG_vi

RCLL concentrates on labels that are likely right: below the probability `clip` it has no gradient.
Without any label this runs behind `matching` (see the configs `romo_*`); on labels as given it is a
robust method like the others. `config.method.label_loss` replaces RCLL; "unhinged", with logits
`c_k . z / center_temperature` of unit centers in place of the head, does better behind good
clusters (`presets.ROMO_CENTERS`); "cross_entropy" and "mean_absolute_error" are for comparison.

The flag of the released code promises the weight .3 for MG, and its code computes .7: the default.
It uses the batch size, 50, for K in the clip, and so clips almost nothing; with the real K the clip
must wait until there is something to clip (`clip_from`): with ten classes and a clip from the first
step on, six of them were never learned.
"""

from functools import partial

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import diagnosis
from jaxcmr.errors import check_choice
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import Method, Outputs, Progress, given_labels, present_rows, stacked
from jaxcmr.methods.mc import modality_gap
from jaxcmr.types import Batch

LABEL_LOSSES = {
    "cross_entropy": lambda logits, labels, hp: losses.cross_entropy(logits, labels),
    "mean_absolute_error": lambda logits, labels, hp: losses.mean_absolute_error(logits, labels),
    "unhinged": lambda logits, labels, hp: losses.unhinged(logits, labels),
    "robust_concentrating": lambda logits, labels, hp: losses.robust_concentrating(
        logits, labels, alpha=hp["alpha"], clip=hp["clip"]
    ),
}


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds the stage over the encoders of `config.encoders`; its numbers are `config.method`.

    A `clip` below 0 stands for 1 / K; 0 never clips. It counts from the epoch `clip_from` on: an
    untrained head gives many labels less than 1 / K, and would never begin to learn them.
    """
    temperature = config.method.center_temperature
    network = (
        classifiers.with_centers(config, num_classes, temperature)
        if temperature
        else classifiers.with_head(config, num_classes)
    )
    check_choice("method.label_loss", config.method.label_loss, LABEL_LOSSES)
    label_loss = LABEL_LOSSES[config.method.label_loss]
    panel = (config.ensemble.members, len(config.data.modalities))

    def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
        del targets
        names = tuple(outputs.embeddings)
        hp = hp | {"clip": clip_at(progress.epoch, hp, num_classes)}
        values = label_loss(stacked(outputs.logits, names), given_labels(batch, names), hp)
        values = jnp.where(present_rows(batch, names), values, 0.0)
        return {
            "rcll": hp["rcll_weight"] * values.sum(0),
            "mlm": hp["mlm_weight"] * modality_gap(outputs, batch, hp["mlm_temperature"]),
        }

    def beliefs(rows: int):
        start = lambda value, dtype: jnp.full((*panel, rows), value, dtype)
        return {"classes": start(-1, jnp.int32), "below_clip": start(False, bool)}

    return Method(
        network.init,
        network.apply,
        objective,
        beliefs,
        vote,
        diagnose=partial(diagnosis.pseudo_labels, num_classes),
    )


def clip_at(epoch: jax.Array, hp, num_classes: int) -> jax.Array:
    """Returns the probability below which a label is not learned from in this epoch."""
    clip = jnp.where(hp["clip"] < 0, 1.0 / num_classes, hp["clip"])
    return jnp.where(epoch >= hp["clip_from"], clip, 0.0)


def vote(outputs: Outputs, beliefs, batch: Batch, progress: Progress, hp):
    """Notes, for people, what each row is taken for, and whether its label is below the clip."""
    names = tuple(outputs.logits)
    logits = jnp.stack([outputs.logits[name] for name in names], 1)  # [E, V, B, K]
    labels = jnp.broadcast_to(given_labels(batch, names)[None], logits.shape[:-1])
    chosen = jnp.maximum(labels, 0)[..., None]
    probability = jnp.take_along_axis(jax.nn.softmax(logits), chosen, -1)[..., 0]
    below = probability < clip_at(progress.epoch, hp, logits.shape[-1])
    write = lambda bank, values: bank.at[:, :, batch.index].set(values)
    classes = logits.argmax(-1).astype(jnp.int32)
    return {
        "classes": write(beliefs["classes"], classes),
        "below_clip": write(beliefs["below_clip"], below),
    }, None
