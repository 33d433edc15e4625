"""Loads a trained run, without its training data."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import guards, methods
from jaxcmr.config import section
from jaxcmr.data import preparation
from jaxcmr.data.cache import sha256
from jaxcmr.errors import UsageError
from jaxcmr.methods import own
from jaxcmr.model.model import Model
from jaxcmr.storage.paths import expanded
from jaxcmr.train.step import method_numbers
from jaxcmr.workdir import folder, trained_on, weights

KINDS = {"best": weights.BEST, "last": weights.LAST}


def load(workdir: str | os.PathLike, checkpoint: str = "best", member: int | None = None) -> Model:
    """Load the model that a run has trained.

    The training data are not needed, nor the files of pretrained weights that it started from.

    Args:
        workdir: the folder of the run; its stages but the last are not looked at.
        checkpoint: "best", the epoch that the run has chosen (without a validation set, its last),
            or "last".
        member: number of a single member; None: the ensemble of all living members.

    Raises:
        UsageError: there is no run, it has no checkpoint yet or a damaged one, it is of an older
            version, or the member does not exist or has died.

    Example:
        >>> model = jaxcmr.load("runs/mine")
        >>> photos = model.embed(image=["one.png", "two.png"])  # [2, model.size]
        >>> photos @ model.embed(text=["a red mug"]).T  # cosine similarities
    """
    workdir = expanded(workdir)
    if checkpoint not in KINDS:
        raise UsageError(f"the checkpoint is {checkpoint!r}, but must be {' or '.join(KINDS)}")
    config = _last_stage(folder.read_config(workdir))
    _warn_of_changes(config.method.name, workdir)
    prepared = preparation.read(workdir)
    found = weights.newest(workdir, KINDS[checkpoint])
    if found is None:
        raise UsageError(
            f"the run in {workdir} has no checkpoint; start its command again, and load it when "
            "the first epoch is done"
        )
    if not (workdir / "result.json").is_file():
        logging.warning(
            "the run in %s is not finished: when it goes on, its model is another one, which "
            "refuses an index of this one", workdir,
        )  # fmt: skip
    stored = weights.restore(found, "put back a copy")
    members = _members(np.asarray(stored.alive), member, workdir)
    variables = jax.tree.map(
        lambda leaf: np.asarray(leaf)[members], {"params": stored.params, **stored.model_state}
    )
    return Model(
        workdir=workdir,
        config=config,
        method=methods.build(config),
        numbers=method_numbers(config.method),
        variables=variables,
        preparation=prepared,
        fingerprint=_fingerprint(config, prepared, variables),
        checkpoint=checkpoint,
    )


def _last_stage(config: ConfigDict) -> ConfigDict:
    """Returns the config of the last stage, without what only a new training reads."""
    config = section(config, config.stages[-1])
    for part in config.encoders.values():
        if isinstance(part, ConfigDict):
            part.pretrained = ""
    return config


def _warn_of_changes(method: str, workdir: Path) -> None:
    """Warns where a person's own method is another one than in the training."""
    known = (trained_on.read(workdir / folder.DATA) or {}).get("files", {}).get("method.name")
    if own.is_file(method) and expanded(method).is_file() and sha256(expanded(method)) != known:
        logging.warning(
            "%s has changed since it trained the run in %s: embeddings are those of the file as it "
            "is now", method, workdir,
        )  # fmt: skip


def _members(alive: np.ndarray, member: int | None, workdir: Path) -> np.ndarray:
    """Returns the numbers of the members that are taken."""
    if member is None:
        return np.flatnonzero(alive)
    member = guards.check_whole("member", member, 0)
    if member >= len(alive):
        raise UsageError(
            f"there is no member {member} in {workdir}, which has {len(alive)}, from 0"
        )
    if not alive[member]:
        raise UsageError(f"member {member} of {workdir} was dropped in training; choose another")
    return np.array([member])


def _fingerprint(config: ConfigDict, prepared: preparation.Preparation, variables: Any) -> str:
    """Returns 16 hex digits that change with all that an embedding depends on."""
    parts = {name: config[name].to_dict() for name in ("encoders", "method")}
    if own.is_file(config.method.name):
        parts["method"]["name"] = sha256(expanded(config.method.name))
    text = json.dumps(
        [parts, config.train.compute_dtype, preparation.digest(prepared)], sort_keys=True
    )
    digest = hashlib.sha256(text.encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(f"{jax.tree_util.keystr(path)}{leaf.shape}{leaf.dtype}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()[:16]
