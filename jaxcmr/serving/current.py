"""The index that is served now; a new one in its file takes its place while the server runs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.index import Index
from jaxcmr.report.search.pictures import Pictures

if TYPE_CHECKING:
    from jaxcmr.model import Model

Stamp = tuple[int, int, int] | None


class Served(NamedTuple):
    """An index and what is shown of it.

    Attributes:
        index: its rows do not change.
        pictures: of its rows.
        version: a text that tells it from others before it, for the numbers of its rows mean
            something else in each.
        counts: rows of each modality.
    """

    index: Index
    pictures: Pictures
    version: str
    counts: dict[str, int]


class Current:
    """Holds the index that is served.

    A file is looked at every second. Where it has been replaced, as `Index.save` does, the new one
    is opened and takes over at once; requests under way end with the old one. A file that is gone,
    damaged, or of another model leaves the old one in place, and one line in the log. It is held in
    memory: a mapped file that is overwritten, as by `cp`, would kill the server.

    Attributes:
        now: what is served.
    """

    def __init__(self, model: Model, path: Path | None):
        """Opens an index.

        Args:
            model: the model that embeds queries.
            path: file of the index; None: the rows of the model's run, which stay as they are.

        Raises:
            UsageError: the file cannot be opened, or is of another model; the run has no rows.
        """
        self._model, self._path, self._stamp = model, path, _stamp(path)
        if path is None:
            from jaxcmr.galleries import of_run

            self.now = self._served(of_run(model))
        else:
            self.now = self._served(self._read())

    def changed(self) -> bool:
        """Tells whether there is another file now than at the last look."""
        before, self._stamp = self._stamp, _stamp(self._path)
        return self._stamp not in (None, before)

    def opened(self) -> Served | None:
        """Opens the file anew; None, and a line in the log, if it cannot be served."""
        try:
            return self._served(self._read())
        except UsageError as error:
            logging.warning("the old index is served further: %s", error)
            return None

    def _read(self) -> Index:
        return Index.open(self._path, self._model.fingerprint, mapped=False)

    def _served(self, index: Index) -> Served:
        if not len(index):
            where = self._path or self._model.workdir
            raise UsageError(f"the index of {where} has no rows; add some before it is served")
        kinds = {name: recipe.kind for name, recipe in self._model.preparation.recipes.items()}
        pictures = Pictures(index, self._model.workdir, kinds=kinds)
        version = os.urandom(4).hex()
        return Served(index, pictures, version, dict(Counter(map(str, index.modalities))))


def _stamp(path: Path | None) -> Stamp:
    """Returns what changes with a file; None if there is none."""
    try:
        found = os.stat(path) if path is not None else None
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_size, found.st_ino)
