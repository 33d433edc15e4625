"""Goes on without the members whose losses are no longer finite (`config.train.on_nan`)."""

from pathlib import Path
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from jaxcmr import methods
from jaxcmr.train import loop
from jaxcmr.train.checkpoint import members_of_last
from jaxcmr.train.machinery import NotFiniteError
from jaxcmr.types import Dataset


def fit(
    config: ConfigDict,
    num_classes: int,
    train: Dataset,
    validation: Dataset | None,
    workdir: Path,
    **more: Any,
) -> tuple[loop.Fit, tuple[int, ...]]:
    """Trains as `loop.fit` does; with `on_nan = "drop"`, without members that fail on the way.

    The run goes back to the last checkpoint, the member is cut out of the stacked state there
    (and out of `best`), and the others go on: without its votes, and with other draws, for these
    are those of a smaller ensemble. A run without a member left ends as with "stop".

    Args:
        config: the run's config; of its `ensemble.members` some may be dropped.
        num_classes: K.
        train, validation, workdir, more: as for `loop.fit`.

    Returns:
        What the loop leaves, and the numbers of the members that it trained to the end.
    """
    members = tuple(range(config.ensemble.members))
    if config.train.on_nan == "drop":
        members = members_of_last(workdir / "checkpoints", len(members))
    while True:
        own = with_members(config, len(members))
        method = methods.build(own, num_classes)
        try:
            fitted = loop.fit(own, method, train, validation, workdir, members=members, **more)
        except NotFiniteError as error:
            if config.train.on_nan != "drop" or len(members) == 1:
                raise
            failed = members[error.place]
            members = tuple(member for member in members if member != failed)
            logging.warning(
                "member %d is dropped, %d of %d are left: %s",
                failed,
                len(members),
                config.ensemble.members,
                error,
            )
        else:
            return fitted, members


def with_members(config: ConfigDict, members: int) -> ConfigDict:
    """Returns the config of an ensemble of that many members."""
    own = config.copy_and_resolve_references().unlock()
    own.ensemble.members = members
    return own.lock()
