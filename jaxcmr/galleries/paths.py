"""Makes a gallery of a folder or a manifest."""

import os
import time
from typing import Any

import numpy as np
from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.galleries import files, progress
from jaxcmr.galleries.embed import embed
from jaxcmr.galleries.kept import Kept
from jaxcmr.index import Index
from jaxcmr.storage.paths import expanded


def of_path(
    model: Any,
    path: str | os.PathLike,
    modality: str | None = None,
    report: progress.Report | None = None,
) -> Index:
    """Embeds the items of a folder or a manifest (see `files.listing_of`) that need no label.

    Embeddings are kept in the user's cache folder by the model and the content of an item, block
    by block: after an interruption, or when files are added or changed, only what is new is
    embedded. What cannot be read, and texts without a word that the model knows, are left out,
    counted and logged.

    Args:
        model: a `Model`.
        path: the folder or manifest.
        modality: of the items that are wanted; None: all that the model has.
        report: called with how many of the new items are embedded, and of how many; None: progress
            is logged.

    Raises:
        UsageError: no such path, or nothing in it that can be embedded.
    """
    path = expanded(path)
    recipes = files.readable(model.preparation.recipes, [modality] if modality else ())
    listing = files.listing_of(path.absolute(), recipes)  # an index is read in other folders, too
    kept, index = Kept(model.fingerprint, model.size), Index(model.size, model.fingerprint)
    lost, reused, unknown, started = list(listing.lost), 0, 0, time.monotonic()
    for name in dict.fromkeys(item.modality for item in listing.items):
        items = [item for item in listing.items if item.modality == name]
        tell = report or progress.logged(f"embedding {name} of {path}")
        made = embed(model, name, [item.raw for item in items], kept, tell)
        there = np.flatnonzero(made.rows.any(1)).tolist()
        lost += made.lost.values()
        reused += made.reused
        unknown += len(items) - len(there) - len(made.lost)
        index.add(
            made.rows[there],
            modality=name,
            ids=[items[place].id for place in there],
            metadata=[dict(items[place].metadata) for place in there],
            sources=[str(items[place].raw) for place in there],
        )
    new = len(index) + unknown - reused
    seconds = progress.span(time.monotonic() - started)
    logging.info("%s: %d items embedded in %s, %d known from before", path, new, seconds, reused)
    _warn(str(path), unknown, lost)
    if not len(index):
        raise UsageError(f"{path} has no item that can be found{files.in_words(lost)}")
    return index


def _warn(path: str, unknown: int, lost: list[str]) -> None:
    if unknown:
        logging.warning("%s: %d texts have no word that the model knows; left out", path, unknown)
    if lost:
        logging.warning("%s: left out%s", path, files.in_words(lost))
