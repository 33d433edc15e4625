"""Methods in stages: what comes before the last one, and what it leaves to it.

`config.stages` names sections of `config.stage`, trained in this order before the config itself,
each in a folder of its own. A section holds the fields in which its config differs (its `method`
replaces the whole one), and says what the stage leaves:

* `continues`: it starts from the parameters of the stage before, where names and shapes agree; of
  more members, the first ones go on;
* `labels_left`: "" leaves the labels alone; "mean" takes the class with the largest mean
  probability over members and modalities, "votes" the one with most votes, "per_modality" each
  modality's own.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import methods
from jaxcmr.beliefs import belief, cluster_number
from jaxcmr.encoders import items
from jaxcmr.errors import check_choice
from jaxcmr.methods.base import Outputs
from jaxcmr.numerics import unit_rows
from jaxcmr.storage import files
from jaxcmr.train import devices, earlier, evaluate, machinery, survivors
from jaxcmr.train.state import TrainState
from jaxcmr.types import Dataset, UsageError

KINDS_OF_LABELS = ("", "mean", "votes", "per_modality")


class Prepared(NamedTuple):
    """What the stages leave to the last one.

    Attributes:
        train: the training set, with the labels that they found.
        num_classes: K of these labels.
        start: what the last stage starts from; None: from new parameters.
        states: stage -> (its config, K, its last state), for reports.
        seconds: wall time spent in their epochs.
        members: the numbers of the members that they trained to the end (`survivors.fit`).
    """

    train: Dataset
    num_classes: int
    start: TrainState | earlier.Weights | None
    states: dict[str, tuple[ConfigDict, int, TrainState]]
    seconds: float
    members: tuple[int, ...]


def section(config: ConfigDict, name: str) -> ConfigDict:
    """Returns the whole config of a stage."""
    own = ConfigDict(config.to_dict())
    fields = config.stage[name].to_dict()
    own.method = ConfigDict(fields.pop("method"))
    own.update(fields)
    own.stages, own.stage = (), ConfigDict()
    return own


def run(
    config: ConfigDict, train: Dataset, workdir: Path, weights: earlier.Weights | None = None
) -> Prepared:
    """Trains the stages of `config.stages`, or goes on where it was stopped.

    The first stage, the last one where there is no other, starts from `weights`.

    Raises:
        UsageError: for a number of classes that cannot be found.
    """
    classes = config.classes or len(train.class_names)
    state, states, outputs, seconds, start = None, {}, None, 0.0, weights
    alive = tuple(range(max(own.ensemble.members for own in _every(config))))
    for name in config.stages:
        own = section(config, name)
        if classes < 0 and own.method.name not in methods.LABEL_FREE:
            classes = estimate(outputs, train)
        logging.info("stage %s: method %s, %d epochs", name, own.method.name, own.train.epochs)
        folder = workdir / "stages" / name
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if states:
            start = state if own.continues else None
        members = alive[: own.ensemble.members]
        own = survivors.with_members(own, len(members))
        fitted, kept = survivors.fit(
            own, classes, train, None, folder, initialize=partial(continued, before=start)
        )
        dropped = {member for place, member in enumerate(members) if place not in kept}
        alive = tuple(member for member in alive if member not in dropped)
        own = survivors.with_members(own, len(kept))
        state, seconds = fitted.last, seconds + fitted.seconds
        states[name] = own, classes, state
        outputs = evaluate.predict_all(own, methods.build(own, classes), state, train)
        if own.labels_left:
            train = train.with_labels(found_labels(outputs, own.labels_left, train))
    if classes < 0:
        classes = estimate(outputs, train)
    if states:
        start = state if config.continues else None
    return Prepared(train, classes, start, states, seconds, alive[: config.ensemble.members])


def check(config: ConfigDict) -> None:
    """Finds a mistake in any stage, the last one included, before anything is loaded or trained.

    Raises:
        UsageError: for the first one.
    """
    for name in config.stages:
        kind = section(config, name).labels_left
        check_choice(f"stage.{name}.labels_left", kind, KINDS_OF_LABELS)
    for sentence in dict.fromkeys(devices.idle(own) for own in _every(config)):
        if sentence:
            logging.info("%s", sentence)
    for own in _every(config):
        devices.build(own)
        methods.build(own, max(config.classes, 2))  # no choice depends on the number of classes


def check_data(config: ConfigDict, train: Dataset) -> None:
    """Finds what does not fit the data in any stage: too large a batch, items of a wrong shape.

    Raises:
        UsageError: for the first such mistake.
    """
    if config.classes > len(train):
        raise UsageError(
            f"config.classes is {config.classes}, but there are {len(train)} rows to cluster; "
            "lower it"
        )
    few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
    for own in _every(config):
        machinery.steps_per_epoch(own, len(train))
        items.check_items(own.encoders, few)
        method, key = methods.build(own, max(config.classes, 2)), jax.random.key(0)
        embed = lambda few, m=method, k=key: m.apply(m.init(k, few), few, key=None, train=False)
        outputs, _ = jax.eval_shape(embed, few)
        items.check_embeddings(outputs.embeddings, own.encoders.embedding_size)


def first(config: ConfigDict, workdir: Path) -> tuple[ConfigDict, Path]:
    """Returns the whole config of what is trained first, and its folder."""
    if not config.stages:
        return config, workdir
    return section(config, config.stages[0]), workdir / "stages" / config.stages[0]


def _every(config: ConfigDict) -> list[ConfigDict]:
    """Returns the whole configs of all stages, the last one included."""
    return [*(section(config, name) for name in config.stages), config]


def continued(new: TrainState, before: TrainState | earlier.Weights | None) -> TrainState:
    """Starts from the parameters and batch statistics of `before`, where names and shapes agree.

    If that had more members, the first of them go on.
    """
    if before is None:
        return new

    def graft(fresh: Any, old: Any) -> Any:
        if isinstance(fresh, dict) and isinstance(old, dict):
            return {k: graft(v, old[k]) if k in old else v for k, v in fresh.items()}
        same = not isinstance(old, dict) and jnp.shape(fresh)[1:] == jnp.shape(old)[1:]
        return jnp.copy(old[: len(fresh)]) if same and len(old) >= len(fresh) else fresh

    return new.replace(
        params=graft(new.params, before.params),
        model_state=graft(new.model_state, before.model_state),
    )


def found_labels(outputs: Outputs, kind: str, train: Dataset) -> np.ndarray:
    """Returns the labels `[N]`, or `[N, V]` by modality, that a stage leaves.

    Args:
        outputs: its predictions over the training set, `[E, N, ...]`.
        kind: one of `KINDS_OF_LABELS` but "".
        train: the training set; rows without any item present get the label -1.
    """
    names = train.modalities
    logits = jnp.stack([outputs.logits[name] for name in names], 1)  # [E, V, N, K]
    complete = np.ones(len(train), bool)
    present = np.stack([train.present.get(name, complete) for name in names])
    if kind == "per_modality":
        share = jax.nn.softmax(logits).mean(0)
        return np.where(present, np.asarray(share.argmax(-1)), -1).T.astype(np.int32)
    voices = belief.votes(logits) if kind == "votes" else jax.nn.softmax(logits)
    share = belief.panel_mean(voices, jnp.asarray(present))
    return np.where(present.any(0), np.asarray(share.argmax(-1)), -1).astype(np.int32)


def estimate(outputs: Outputs | None, train: Dataset) -> int:
    """Estimates K from the embeddings of the stage before (`cluster_number.estimate`).

    Rows that lack an item of any modality have no say.
    """
    if outputs is None:
        raise UsageError(
            "config.classes is -1, but no stage comes before the clusters to estimate their number "
            "from; add a stage of the method 'mc' to config.stages, or give the number"
        )
    whole = np.ones(len(train), bool)
    for name in outputs.embeddings:
        whole &= train.present.get(name, True)
    if whole.sum() < 4:
        raise UsageError(
            f"config.classes is -1, but only {whole.sum()} training rows have an item of every "
            "modality, too few to estimate the number of clusters from; give the number"
        )
    first = {name: np.asarray(rows[0])[whole] for name, rows in outputs.embeddings.items()}
    units = {name: np.asarray(unit_rows(rows)) for name, rows in first.items()}
    number, scores = cluster_number.estimate(tuple(units.values()), seed=0)
    said = ", ".join(f"{k}: {score:.3f}" for k, score in scores.items())
    logging.info("%d clusters, by the agreement of the modalities (%s)", number, said)
    return number
