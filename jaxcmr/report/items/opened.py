"""Finds the items of a finished run by what its folder says, and draws the rows asked for."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ml_collections import ConfigDict

from jaxcmr import data
from jaxcmr.data.cache import sha256
from jaxcmr.data.formats import tables
from jaxcmr.data.own.arrays import existing
from jaxcmr.errors import UsageError, reason
from jaxcmr.report.items import arrays, part
from jaxcmr.report.items.manifest import Manifest
from jaxcmr.report.items.part import Part
from jaxcmr.types import Splits
from jaxcmr.workdir import folder

AHEAD = 64  # rows that are drawn at once, of which the first is waited for
OWN = ("own", "manifest", "arrays")  # names of the sources that read `data.path`
OFFLINE = "JAXCMR_OFFLINE"


class Store(Protocol):
    """Where items are, by the ids of their rows."""

    def __contains__(self, name: str) -> bool: ...

    def part(self, name: str, modality: str) -> Part: ...


class Items:
    """The items of the rows of a run; what cannot be shown is counted, and no error.

    Attributes:
        modalities: those that a row has a part of, in this order.
    """

    def __init__(
        self, ids: Sequence[str], modalities: tuple[str, ...], store: Store | None, remark: str
    ):
        self.modalities = modalities
        self._ids, self._store, self._remark = ids, store, remark
        self._lost: dict[tuple[str, str], str] = {}  # of those drawn so far, in that order

    def of(self, rows: Iterable[int]) -> list[list[Part]]:
        """Draws rows: for each a part a modality."""
        return list(self.stream(rows))

    def stream(self, rows: Iterable[int]) -> Iterator[list[Part]]:
        """Draws rows in their order, as long as the caller goes on.

        Threads draw the next ones meanwhile: most of the time goes into decoders, which let other
        threads work.
        """
        rows = [int(row) for row in rows]
        pool = ThreadPoolExecutor(min(os.cpu_count() or 1, AHEAD))
        try:
            for start in range(0, len(rows), AHEAD):
                for found, lost in pool.map(self._row, rows[start : start + AHEAD]):
                    self._lost |= lost
                    yield found
        finally:
            pool.shutdown(cancel_futures=True)

    def remarks(self) -> list[str]:
        """Returns what a reader should know of the items drawn so far, a sentence each."""
        found = [self._remark] if self._remark else []
        if self._lost:
            what = "1 item" if len(self._lost) == 1 else f"{len(self._lost)} items"
            which = "" if len(self._lost) == 1 else ", the first"
            found.append(f"{what} could not be shown{which}: {next(iter(self._lost.values()))}")
        return found

    def draw(self, name: str, modality: str) -> Part:
        """Draws one item of the row with an id; raises what its reader raises, if it cannot."""
        if self._store is None:
            return part.missing(modality, "the data are gone")
        if name not in self._store:
            raise UsageError(f"the row {name} is not in the data any more")
        return self._store.part(name, modality)

    def _row(self, row: int) -> tuple[list[Part], dict[tuple[str, str], str]]:
        """Returns the parts of a row, and why some could not be drawn, by id and modality."""
        name, found, lost = str(self._ids[row]), [], {}
        for modality in self.modalities:
            try:
                found.append(self.draw(name, modality))
            except Exception as error:  # any error: a picture is no reason to lose a page
                lost[name, modality] = reason(error)
                found.append(part.missing(modality, reason(error)))
        return found, lost


def open_items(workdirs: Path | Sequence[Path], ids: Sequence[str]) -> Items:
    """Opens the items of a run, or of several on the same rows, without reading them.

    The data are looked for where the first run had them, then where the second had them, and so on.
    Nothing is downloaded, and no file is opened that the data do not name. Where there are no data
    any more, all items are missing, and `Items.remarks` says so.

    Args:
        workdirs: the folders of the runs.
        ids: `[N]`, the rows, such as `LabelTable.ids`.

    Raises:
        UsageError: a folder holds no run.
    """
    workdirs = [workdirs] if isinstance(workdirs, os.PathLike) else list(workdirs)
    settings = [folder.read_data_config(workdir) for workdir in workdirs]
    errors = []
    for workdir, config in zip(workdirs, settings):
        try:
            store, remark = _opened(config, _provenance(workdir))
        except UsageError as error:
            errors.append(str(error))
            continue
        if any(str(name) in store for name in ids):
            return Items(ids, tuple(config.modalities), store, remark)
        errors.append(f"{config.path or config.name} holds none of the rows of the run any more")
    remark = f"no item can be shown: {errors[0]}"
    return Items(ids, tuple(settings[0].modalities), None, remark)


def _provenance(workdir: Path) -> dict[str, Any]:
    """Returns what the run's result says of its data; {}: nothing."""
    try:
        return dict(json.loads((workdir / "result.json").read_bytes())["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _opened(config: ConfigDict, provenance: dict[str, Any]) -> tuple[Store, str]:
    """Opens the data of a run; beside them stands what a reader should know, or "".

    Raises:
        UsageError: they are gone, or cannot be read.
    """
    modalities = tuple(config.modalities)
    if config.name not in OWN:
        return arrays.of_splits(_loaded(config, provenance)), ""
    path = existing(config.path or config.root)
    if path.suffix.lower() not in tables.SUFFIXES:
        return arrays.of_file(path, modalities), ""
    manifest = Manifest(path, modalities)
    if provenance.get("sha256", "") in ("", sha256(path)):
        return manifest, ""
    found = "numbers in the file, and may be others now" if manifest.numbered else "ids"
    return manifest, f"{path} has changed since the training; its rows are found by their {found}"


def _loaded(config: ConfigDict, provenance: dict[str, Any]) -> Splits:
    """Loads a named data set as the run had it; nothing is downloaded or prepared anew.

    Raises:
        UsageError: it is gone, or another one is in its place.
    """
    if "prepared" in provenance:  # pictures of objects: making them again takes minutes
        was = Path(provenance["prepared"])
        if not was.exists() and not (Path(config.root) / was.parent.name / was.name).exists():
            raise UsageError(f"{was} is gone; the run's command prepares it again")
    if provenance.get("source") != "stand-in":
        config.fallback = "none"
    config.standardize = ()
    with _offline():
        splits = data.load(config)
    now = splits.train.provenance["name"]
    if now != provenance.get("name", now):
        raise UsageError(f"the run had {provenance['name']}, but {now} is in its place now")
    return splits


@contextmanager
def _offline() -> Iterator[None]:
    before = os.environ.get(OFFLINE)
    os.environ[OFFLINE] = before or "1"
    try:
        yield
    finally:
        del os.environ[OFFLINE]
        if before is not None:
            os.environ[OFFLINE] = before
