"""The stages of a run, each trained and kept in a folder of its own.

`config.stages` names them in their order, the last one included; `config.stage` has a section with
the fields in which an earlier one differs (its `method` replaces the whole one). The fields that
tie stages together:

* `start_from`: "" for new parameters; an earlier stage, from whose last state parameters and batch
  statistics are taken where names and shapes agree (of more members, the first ones); or the folder
  of another run;
* `pseudo_labels`: "" leaves the labels of the stages after it as they are; "mean" takes the class
  with the largest mean probability over members and modalities, "votes" the one with most votes,
  "per_modality" the likeliest class of each modality.
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
from jaxcmr.beliefs import cluster_scores, votes
from jaxcmr.config import section
from jaxcmr.config.ranges import LARGEST_INT32
from jaxcmr.data.check import check_labelled
from jaxcmr.encoders import items
from jaxcmr.errors import UsageError
from jaxcmr.methods import own, trial
from jaxcmr.methods.base import Method
from jaxcmr.numerics import unit_rows
from jaxcmr.storage import paths
from jaxcmr.train import devices
from jaxcmr.train.state import TrainState
from jaxcmr.train.step import method_numbers
from jaxcmr.types import Dataset, Outputs, axis_order
from jaxcmr.workdir import weights
from jaxcmr.workdir.weights import Weights


class Stage(NamedTuple):
    """One entry of `config.stages`.

    Attributes:
        name: of the entry.
        config: the whole config of the stage.
        method: what it trains.
        mesh: the devices, laid out for its members and batches.
        folder: where its checkpoints and metrics are kept; for the last one the run's.
    """

    name: str
    config: ConfigDict
    method: Method
    mesh: jax.sharding.Mesh
    folder: Path


def plan(config: ConfigDict, workdir: Path) -> list[Stage]:
    """Returns all stages; a mistake in any is found before anything is loaded or trained.

    Raises:
        UsageError: for the first one.
    """
    stages = []
    for name in config.stages:
        whole = section(config, name)
        folder = workdir if name == config.stages[-1] else workdir / "stages" / name
        mesh = devices.build(whole)
        stages.append(Stage(name, whole, methods.build(whole), mesh, folder))
    for sentence in dict.fromkeys(devices.idle(stage.config) for stage in stages):
        if sentence:
            logging.info("%s", sentence)
    return stages


def check_data(stages: list[Stage], train: Dataset) -> None:
    """Finds what does not fit the data: no label, too large a batch, items of a wrong shape.

    A method in a person's own file is tried, too.

    Raises:
        UsageError: for the first such mistake.
    """
    classes = stages[-1].config.classes
    check_labelled(train, stages[-1].config)
    if classes > len(train):
        raise UsageError(
            f"config.classes is {classes}, but there are {len(train)} rows to cluster; lower it"
        )
    few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
    for stage in stages:
        config, method = stage.config, stage.method
        steps_per_epoch(config, len(train))
        items.check_items(config.encoders, few)
        hp = method_numbers(config.method)
        variables = jax.eval_shape(
            lambda few, method=method: method.init(jax.random.key(0), few, max(classes, 2)), few
        )
        jax.eval_shape(partial(method.apply, key=None, train=False), variables, few, hp)
        if own.is_file(config.method.name):
            trial.check(config, method, few, len(train), max(classes, 2))


def steps_per_epoch(config: ConfigDict, rows: int) -> int:
    """Returns how many whole batches the rows give; those left over differ from epoch to epoch.

    Raises:
        UsageError: not even one, or more steps in all than are counted.
    """
    batch_size = config.train.batch_size
    if batch_size > rows:
        raise UsageError(
            f"config.train.batch_size is {batch_size}, but the training set has {rows} rows; "
            "lower it"
        )
    if config.train.epochs * (rows // batch_size) > LARGEST_INT32:
        raise UsageError(
            f"config.train.epochs is {config.train.epochs}, which are more than {LARGEST_INT32} "
            "steps; lower it"
        )
    return rows // batch_size


def weights_to_start(stages: list[Stage], num_classes: int, train: Dataset) -> dict[str, Weights]:
    """Reads the weights of other runs that stages start from: stage -> weights.

    A stage that has a checkpoint goes on from that and needs none.

    Raises:
        UsageError: there are no such weights, or nothing of them fits.
    """
    names, found = [stage.name for stage in stages], {}
    for stage in stages:
        start = stage.config.start_from
        begun = weights.steps_in(stage.folder / "checkpoints" / "last")
        if start and start not in names and not begun:
            last = stage is stages[-1]
            field = "start_from" if last else f"stage.{stage.name}.start_from"
            found[stage.name] = weights.read(paths.expanded(start), field)
            _check_fit(stage, field, found[stage.name], num_classes, train)
    return found


def _check_fit(
    stage: Stage, field: str, weights: Weights, num_classes: int, train: Dataset
) -> None:
    """Logs which arrays of the weights a stage takes over; refuses weights of which none fits."""
    few = jax.tree.map(lambda leaf: leaf[:2], dict(train.inputs))
    init = lambda few: stage.method.init(jax.random.key(0), few, num_classes)
    ours = _by_name(jax.eval_shape(init, few)["params"])
    theirs = _by_name(weights.params)
    new = [name for name, leaf in ours.items() if leaf.shape != _shape(theirs.get(name))]
    start, members = stage.config.start_from, stage.config.ensemble.members
    if len(weights.alive) < members:
        raise UsageError(
            f"config.{field} is {start!r}, a run of {len(weights.alive)} members, but "
            f"config.ensemble.members is {members}; lower it"
        )
    living = int(np.sum(weights.alive))
    if living < members:
        logging.warning(
            "%s has %d living members: %d of %d are dropped from the start",
            start, living, members - living, members,
        )  # fmt: skip
    if len(new) == len(ours):
        raise UsageError(
            f"nothing of the weights in config.{field}, {start!r}, fits this model; choose the "
            "encoders and sizes of that run"
        )
    logging.info(
        "%d of %d arrays of weights are those of %s%s",
        len(ours) - len(new), len(ours), start, f"; new: {', '.join(new)}" if new else "",
    )  # fmt: skip


def _by_name(tree: Any) -> dict[str, Any]:
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator=".")
    return {name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _shape(leaf: Any) -> tuple[int, ...] | None:
    """Returns the shape of one member's array, of `[E, ...]`."""
    return None if leaf is None else jnp.shape(leaf)[1:]


def continued(new: TrainState, before: Weights) -> TrainState:
    """Starts from the parameters and batch statistics of `before`, where names and shapes agree.

    If that had more members, the first living ones go on; if too few are left, dead ones stay dead.
    It must not have fewer.
    """
    alive = np.asarray(before.alive)
    chosen = np.argsort(~alive, stable=True)[: len(new.alive)]

    def graft(fresh: Any, old: Any) -> Any:
        if isinstance(fresh, dict) and isinstance(old, dict):
            return {k: graft(v, old[k]) if k in old else v for k, v in fresh.items()}
        same = not isinstance(old, dict) and jnp.shape(fresh)[1:] == jnp.shape(old)[1:]
        return jnp.take(old, chosen, axis=0) if same else fresh

    return new.replace(
        params=graft(new.params, before.params),
        model_state=graft(new.model_state, before.model_state),
        alive=jnp.asarray(alive[chosen]),
    )


def pseudo_labels(outputs: Outputs, kind: str, train: Dataset) -> np.ndarray:
    """Returns the labels `[N]`, or `[N, V]` by modality, that a stage makes.

    Args:
        outputs: of the living members over the training set, `[E, V, N, ...]`.
        kind: "mean", "votes" or "per_modality".
        train: the training set; rows without any item present get the label -1.
    """
    names, complete = axis_order(train.modalities), np.ones(len(train), bool)
    present = np.stack([train.present.get(name, complete) for name in names])  # [V, N]
    logits = jnp.asarray(outputs.logits)  # [E, V, N, K]
    if kind == "per_modality":
        share = jax.nn.softmax(logits).mean(0)
        labels = np.where(present, np.asarray(share.argmax(-1)), -1).astype(np.int32)
        return labels[[names.index(name) for name in train.modalities]].T
    each = votes.votes(logits) if kind == "votes" else jax.nn.softmax(logits)
    share = votes.ensemble_mean(each, jnp.asarray(present))
    return np.where(present.any(0), np.asarray(share.argmax(-1)), -1).astype(np.int32)


def estimate_classes(outputs: Outputs | None, train: Dataset) -> int:
    """Estimates K from the embeddings of the stage before (`cluster_scores.number_of_clusters`).

    Rows that lack an item of any modality are left out.

    Raises:
        UsageError: no stage comes before, or too few rows are whole.
    """
    if outputs is None:
        raise UsageError(
            "config.classes is -1, but no stage comes before the clusters to estimate their number "
            "from; add a stage of the method 'pairs' to config.stages, or give the number"
        )
    whole = np.ones(len(train), bool)
    for name in train.modalities:
        whole &= train.present.get(name, True)
    if whole.sum() < 4:
        raise UsageError(
            f"config.classes is -1, but only {whole.sum()} training rows have an item of every "
            "modality, too few to estimate the number of clusters from; give the number"
        )
    units = np.asarray(unit_rows(outputs.embeddings[0][:, whole]))  # of the first member
    number, scores = cluster_scores.number_of_clusters(tuple(units), seed=0)
    listed = ", ".join(f"{k}: {score:.3f}" for k, score in scores.items())
    logging.info("%d clusters, by the agreement of the modalities (%s)", number, listed)
    return number


def taught_before(stages: list[Stage]) -> bool:
    """Says whether the given labels may have reached what the last stage starts from or is taught.

    Then no member's prediction is out-of-fold, whatever the last stage hides from it.
    """
    last, names = stages[-1], [stage.name for stage in stages]
    uses = [methods.recipe(stage.config.method.name).uses_labels for stage in stages[:-1]]
    if last.config.labels == "given" and any(uses):
        return True
    starts = {stage.config.start_from for stage in stages} - {"", *names}
    return any(weights.used_labels(paths.expanded(start)) for start in starts)
