"""RoMo's robust discriminative learning, from labels of which some are wrong: pseudo labels.

Li et al., "RoMo: Robust Unsupervised Multimodal Learning with Noisy Pseudo Labels", IEEE TIP
33:5086-5097, 2024, the second stage. For a pair i with the (pseudo) label y:

    rcll_weight sum_v RCLL_vi + pair_weight mean_v PC_vi

RCLL concentrates on labels that are likely right: below the probability `clip` it has no gradient.
PC is the pair contrast (the paper's modality invariance). Without any label this stage follows
`matching` (see the configs `romo_*`); on labels as given it is a robust method like the others.

`label_loss` replaces RCLL, and `classifier = "centers"` puts logits `c_k . z / center_temperature`
of unit centers in place of the head: "unhinged" on centers does better after good clusters
(`configs/romo_mnist3d.py`).

The flag of the released code gives PC the weight .3, but its code computes .7, the default here. It
uses the batch size, 50, for K in the clip, and so clips almost nothing. With the number of classes
for K the clip must start later (`clip_from`): with ten classes and a clip from the first step on,
six classes were never learned.
"""

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr import losses
from jaxcmr.beliefs import diagnosis
from jaxcmr.config.ranges import NOT_NEGATIVE, POSITIVE, Field, choice, either, number, whole
from jaxcmr.methods import classifiers
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe, present_rows
from jaxcmr.methods.pairs import pair_contrast
from jaxcmr.types import Batch

RCLL = "robust_concentrating"


@flax.struct.dataclass
class Notes:
    """What is noted of the training set, for reports.

    Attributes:
        classes: `[E, V, N]` int32, the class that each row is predicted to have; -1 for none yet.
        below_clip: `[E, V, N]` bool, whether it has a label that is less likely than the clip.
    """

    classes: jax.Array
    below_clip: jax.Array


def build(config: ConfigDict) -> Method:
    """Builds the stage over the encoders of `config.encoders`.

    A `clip` below 0 stands for 1 / K; 0 never clips. It counts from the epoch `clip_from` on: an
    untrained head gives many labels less than 1 / K, and would never begin to learn them.
    """
    if config.method.classifier == "head":
        network = classifiers.with_head(config)
    else:
        network = classifiers.with_centers(config, "center_temperature")
    label_loss = config.method.label_loss
    voters = config.ensemble.members, len(config.data.modalities)

    def objective(outputs: Outputs, batch: Batch, targets, progress: Progress, hp):
        logits, labels = outputs.logits, batch.labels
        if label_loss == RCLL:
            clip = clip_at(progress.epoch, hp, logits.shape[-1])
            values = losses.robust_concentrating(logits, labels, alpha=hp["alpha"], clip=clip)
        else:
            values = classifiers.LABEL_LOSSES[label_loss](logits, labels)
        contrast = pair_contrast(outputs, batch, hp["pair_temperature"])
        return {
            "rcll": hp["rcll_weight"] * jnp.where(present_rows(batch), values, 0.0).sum(0),
            "pair": hp["pair_weight"] * contrast,
        }

    def beliefs(rows: int, num_classes: int) -> Notes:
        return Notes(jnp.full((*voters, rows), -1, jnp.int32), jnp.zeros((*voters, rows), bool))

    return Method(
        network.init, network.apply, objective, beliefs, vote, diagnose=diagnosis.pseudo_labels
    )


def clip_at(epoch: jax.Array, hp, num_classes: int) -> jax.Array:
    """Returns the probability below which a label is not learned from in this epoch."""
    clip = jnp.where(hp["clip"] < 0, 1.0 / num_classes, hp["clip"])
    return jnp.where(epoch >= hp["clip_from"], clip, 0.0)


def vote(outputs: Outputs, alive: jax.Array, notes: Notes, batch: Batch, progress: Progress, hp):
    """Notes the classes predicted for the batch, and which labels are below the clip."""
    logits, living = outputs.logits, alive[:, None, None]  # [E, V, B, K]
    labels = jnp.broadcast_to(jnp.maximum(batch.labels, 0), logits.shape[:-1])[..., None]
    probability = jnp.take_along_axis(jax.nn.softmax(logits), labels, -1)[..., 0]
    below = probability < clip_at(progress.epoch, hp, logits.shape[-1])
    below = living & (batch.labels >= 0)[None] & below
    classes = jnp.where(living, logits.argmax(-1).astype(jnp.int32), -1)
    write = lambda notes, values: notes.at[:, :, batch.index].set(values)
    return Notes(write(notes.classes, classes), write(notes.below_clip, below)), None


METHOD = Recipe(
    build,
    numbers={
        "center_temperature": Field(0.05, POSITIVE, "of the unit centers"),
        "alpha": Field(0.25, number(0, 100), "exponent of RCLL"),
        "clip": Field(
            -1.0, either(-1.0, number(0, below=1)), "least probability that is learned; -1: 1 / K"
        ),
        "clip_from": Field(2, whole(0), "epoch from which on it clips"),
        "rcll_weight": Field(0.7, NOT_NEGATIVE, "weight of the labels' loss"),
        "pair_weight": Field(0.7, NOT_NEGATIVE, "weight of the pair contrast"),
        "pair_temperature": Field(0.15, POSITIVE, "of the pair contrast"),
    },
    choices={
        "classifier": Field(
            "head", choice("head", "centers"), "a head of two layers, as RoMo, or unit centers"
        ),
        "label_loss": Field(RCLL, choice(RCLL, *classifiers.LABEL_LOSSES), "loss of the labels"),
    },
)
