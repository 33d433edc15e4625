"""Your own data as files: a CSV or JSONL manifest that names them (schema in README.md)."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache, heldout
from jaxcmr.data.formats import itemfiles
from jaxcmr.data.formats.itemfiles import read_cloud, read_picture, read_surface
from jaxcmr.data.formats.tables import Row, Table, read_table
from jaxcmr.data.items import objects
from jaxcmr.data.items.objects import Item
from jaxcmr.data.items.texts import tfidf
from jaxcmr.data.own import arrays, cellfiles, columns, rowlinks
from jaxcmr.display import shown
from jaxcmr.errors import UsageError
from jaxcmr.storage.paths import expanded
from jaxcmr.types import Dataset, Splits

STEM = 40  # letters of the manifest's name in that of its prepared arrays
VERSION = 1  # part of the cache key; raise it when the same file gives another array


def load_manifest(config: ConfigDict, workers: int) -> Splits:
    """Loads the manifest `config.path`.

    Columns: `label`; any of `image`, `points`, `mesh`, `text`; optionally `id`, `split`,
    `true_label`, `group`, `present_<modality>`. Paths are relative to the manifest. An empty cell
    is a missing item: it is filled with zeros and masked in `present`. What was read from files is
    kept in the user's cache folder, so that a run that was stopped goes on, until manifest or files
    change.

    Raises:
        UsageError: a file cannot be used; names the manifest's line and the file.
    """
    path = expanded(config.get("path", "") or config.root)
    table = read_table(path, columns.KNOWN)
    cells = {name: columns.items(table, name) for name in config.modalities}
    labels = columns.labels(table)
    truth = columns.true_labels(table, labels)
    found = {"labels": labels, "ids": columns.ids(table)}
    found |= {} if truth is None else {"true_labels": truth}
    named, links = rowlinks.split_rows(table, config.seed)
    used = ["label", "true_label", "id", "split", "group", *cells, *(f"present_{m}" for m in cells)]
    columns.tell_unused(table, used)
    for name in cells:
        columns.tell_missing(table, name)
    if columns.splits(table) is None:
        heldout.tell(labels, named, str(path), links)
    heldout.warn_of_shared(links, named, str(path))
    made = _read_files(table, {m: c for m, c in cells.items() if m != "text"}, config, workers)
    present = {name: np.array([bool(cell) for cell in column]) for name, column in cells.items()}
    if "text" in cells:
        texts = [_text(table, place, cell) for place, cell in enumerate(cells["text"])]
        made["text"] = _features(texts, named == "train", str(path))
        present["text"] = _with_features(made["text"], present["text"], named, str(path))
    _tell_empty(present, str(path))
    found["split"] = named
    found |= {name: made[name] for name in cells}  # in the order of config.modalities
    found |= {f"present_{name}": mask for name, mask in present.items() if not mask.all()}
    provenance = {"source": "files", "name": path.stem, "path": str(path)}
    provenance["sha256"] = cache.sha256(path)
    logging.info("%s: %d rows", path, len(table.rows))
    return _linked(arrays.to_splits(found, str(path), provenance, config.seed), named, links)


def read_manifest(path: Path) -> list[tuple[int, Row]]:
    """Reads (line number, row) from a `.csv` with a header line, or a `.jsonl` of objects."""
    return read_table(path, columns.KNOWN).rows


def outline(path: Path, seed: int) -> tuple[dict[str, str], int, bool, heldout.Links]:
    """Returns the modalities (name -> kind), the training rows, whether some rows validate, and
    what training rows have in common.
    """
    table = read_table(path, columns.KNOWN)
    kinds = columns.kinds(table)
    if not kinds:
        raise UsageError(
            f"{path} has none of the columns {', '.join(columns.KINDS)} (or empty ones), only "
            f"{', '.join(map(shown, table.columns[: columns.NAMED]))}; rename those of your items"
        )
    named, links = rowlinks.split_rows(table, seed)
    train, validates = named == "train", bool((named == "validation").any())
    own = {name: column[train] for name, column in links.items()}
    return kinds, int(train.sum()), validates, own


def _text(table: Table, place: int, cell: str) -> str:
    try:
        return rowlinks.text_of(table.path.parent, cell)
    except UsageError as error:
        raise UsageError(f"{table.path}, line {table.rows[place][0]}: {error}") from None


def _features(texts: list[str], fit: np.ndarray, name: str) -> np.ndarray:
    try:
        return tfidf(texts, fit)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _with_features(
    rows: np.ndarray, present: np.ndarray, named: np.ndarray, name: str
) -> np.ndarray:
    """Counts texts without any feature as missing, and says so.

    Raises:
        UsageError: there are test texts, but none has a feature.
    """
    known = rows.any(1)
    test = present & (named == "test")
    if test.any() and not (test & known).any():
        raise UsageError(
            f"{name}: none of the {test.sum()} test texts shares a word with the training texts, "
            "so that nothing is known of them; give more texts or another split, or leave 'text' "
            "out of config.data.modalities"
        )
    if lost := int((present & ~known).sum()):
        logging.warning(
            "%s: %d of %d texts are blank or share no word with the training rows, and count as "
            "missing", name, lost, int(present.sum()),
        )  # fmt: skip
    return present & known


def _tell_empty(present: Mapping[str, np.ndarray], name: str) -> None:
    nothing = ~np.any(list(present.values()), axis=0)
    if nothing.any():
        logging.warning("%s: %d rows have a label but no item", name, int(nothing.sum()))


def _linked(splits: Splits, named: np.ndarray, links: Mapping[str, np.ndarray]) -> Splits:
    """Adds to every split what its rows have in common."""

    def own(part: Dataset | None, split: str) -> Dataset | None:
        tied = {name: column[named == split] for name, column in links.items()}
        return part and dataclasses.replace(part, links=tied)

    return Splits(
        own(splits.train, "train"),
        own(splits.test, "test"),
        own(splits.validation, "validation"),
    )


def _read_files(table: Table, cells: Mapping[str, list[str]], config, workers: int) -> dict:
    """Reads the files of all rows (or finds them read): modality -> `[N, ...]`."""
    if not cells:
        return {}
    recipe = {name: config[name] for name in ("image_size", "channels", "points", "seed")}
    files = {name: _find_all(table, column) for name, column in cells.items()}
    shown = os.fsencode(table.path).decode("utf-8", "replace")  # any bytes may be a path
    items, states = [], []
    for place, (line, _) in enumerate(table.rows):
        own = {name: column[place] for name, column in files.items()}
        items.append(Item(f"{shown}, line {line}", 0, own))
        states.append([_state(file) for file in own.values()])
    versions = [VERSION, itemfiles.VERSION]
    key = cache.fingerprint(version=versions, recipe=recipe, files=states, asked=list(cells))
    name = f"{table.path.stem[:STEM]}-{len(items)}-{key}"
    folder = cache.prepared_folder(cache.user_cache()) / name
    make = functools.partial(read_item, recipe=recipe)
    return objects.prepare(items, make, folder, {"path": str(table.path)}, workers=workers)


def _find_all(table: Table, cells: list[str]) -> list[str]:
    """Returns the paths of a column's files, "" where the item is missing."""
    found, lost = [], []
    for (line, _), cell in zip(table.rows, cells):
        try:
            found.append(str(cellfiles.find(table.path.parent, cell)) if cell else "")
        except UsageError as error:
            lost.append(f"{table.path}, line {line}: {error}")
    if lost:
        raise UsageError(lost[0] + (f" (and {len(lost) - 1} cells more)" if lost[1:] else ""))
    return found


def _state(file: str) -> list:
    """What tells one version of a file, and of those that it names, from another."""
    if not file:
        return [file]
    return [file, *itemfiles.stamps(Path(file))]


def read_item(item: Item, *, recipe: dict[str, int]) -> dict[str, np.ndarray]:
    """Reads the files `item.source` (modality -> path, "" where it is missing) of one row."""
    size, channels = recipe["image_size"], recipe["channels"]
    count, seed = recipe["points"], recipe["seed"]
    readers = {
        "image": lambda file: read_picture(file, size, channels),
        "points": lambda file: read_cloud(file, count, seed),
        "mesh": lambda file: read_surface(file, count, seed),
    }
    blank_image = np.zeros((size, size, channels), np.uint8)
    found = {}
    for name, file in item.source.items():
        try:
            blank = blank_image if name == "image" else np.zeros((count, 3), np.float32)
            found[name] = readers[name](Path(file)) if file else blank
        except UsageError as error:
            raise UsageError(f"{item.id}: {error}") from None
    return found
