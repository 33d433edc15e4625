"""Loads your own data from files that a CSV or JSONL manifest names (schema in README.md)."""

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
from jaxcmr.data.formats.tables import Table, read_table
from jaxcmr.data.items import objects
from jaxcmr.data.items.objects import Item
from jaxcmr.data.items.texts import learn
from jaxcmr.data.own import arrays, cellfiles, columns, rowlinks
from jaxcmr.data.preparation import Recipe
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.shapes import Cloud, Surface
from jaxcmr.data.preparation.vectors import Text
from jaxcmr.data.splits import changed
from jaxcmr.display import listed, shown
from jaxcmr.errors import UsageError, named
from jaxcmr.storage.paths import expanded
from jaxcmr.types import Splits

STEM = 40  # letters of the manifest's name in that of its prepared arrays
VERSION = 1  # part of the cache key; raise it when the same file gives another array


def load_manifest(config: ConfigDict, workers: int) -> Splits:
    """Loads the manifest `config.path`.

    Columns: `label`; any of `image`, `points`, `mesh`, `text`; optionally `id`, `split`,
    `true_label`, `group`, `present_<modality>`. Paths are relative to the manifest. An empty cell
    is a missing label, or a missing item, which is filled with zeros and masked in `present`. What
    was read from files is kept in the user's cache folder, so that a run that was stopped goes on,
    until manifest or files change.

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
    split, links = rowlinks.split_rows(table, config.seed)
    used = ["label", "true_label", "id", "split", "group", *cells, *(f"present_{m}" for m in cells)]
    columns.warn_of_unused(table, used)
    for name in cells:
        columns.warn_of_missing(table, name)
    if columns.splits(table) is None:
        heldout.report(labels, split, str(path), links)
    heldout.warn_of_shared(links, split, str(path))
    made = _read_files(table, {m: c for m, c in cells.items() if m != "text"}, config, workers)
    present = {name: np.array([bool(cell) for cell in column]) for name, column in cells.items()}
    recipes = _recipes(config)
    if "text" in cells:
        texts = []
        for (line, _), cell in zip(table.rows, cells["text"]):
            with named(f"{path}, line {line}"):
                texts.append(rowlinks.text_of(path.parent, cell))
        with named(str(path)):
            tfidf = learn([text for text, use in zip(texts, split == "train") if use])
        made["text"] = tfidf.rows(texts)
        recipes["text"] = Text(tfidf=tfidf)
        present["text"] = _with_features(made["text"], present["text"], split, str(path))
    nothing = ~np.any(list(present.values()), axis=0) & (labels != "")
    if nothing.any():
        logging.warning("%s: %d rows have a label but no item", path, int(nothing.sum()))
    found["split"] = split
    found |= {name: made[name] for name in cells}  # in the order of config.modalities
    found |= {f"present_{name}": mask for name, mask in present.items() if not mask.all()}
    provenance = {"source": "files", "name": path.stem, "path": str(path)}
    provenance["sha256"] = cache.sha256(path)
    logging.info("%s: %d rows", path, len(table.rows))
    splits = arrays.to_splits(found, str(path), provenance, config.seed, recipes)
    of = lambda name: {link: column[split == name] for link, column in links.items()}
    return changed(splits, lambda name, part: dataclasses.replace(part, links=of(name)))


def outline(path: Path, seed: int) -> tuple[dict[str, str], int, bool, heldout.Links]:
    """Returns the modalities (name -> kind), the training rows, whether some rows validate, and
    what training rows have in common.
    """
    table = read_table(path, columns.KNOWN)
    kinds = columns.kinds(table)
    if not kinds:
        raise UsageError(
            f"{path} has none of the columns {', '.join(columns.KINDS)} (or empty ones), only "
            f"{listed([*map(shown, table.columns)], columns.NAMED)}; rename those of your items"
        )
    split, links = rowlinks.split_rows(table, seed)
    train, validates = split == "train", bool((split == "validation").any())
    return kinds, int(train.sum()), validates, {n: link[train] for n, link in links.items()}


def _recipes(config: ConfigDict) -> dict[str, Recipe]:
    """Returns how files become rows, as `read_item` makes them."""
    size, drawn = config.image_size, {"points": config.points, "seed": config.seed}
    return {
        "image": Picture(shape=(size, size, config.channels), dtype=np.dtype(np.uint8)),
        "points": Cloud(**drawn),
        "mesh": Surface(**drawn),
    }


def _with_features(
    rows: np.ndarray, present: np.ndarray, split: np.ndarray, name: str
) -> np.ndarray:
    """Counts texts without any feature as missing, and says so.

    Raises:
        UsageError: there are test texts, but none has a feature.
    """
    known = rows.any(1)
    test = present & (split == "test")
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


def _read_files(table: Table, cells: Mapping[str, list[str]], config, workers: int) -> dict:
    """Reads the files of all rows (or finds them read): modality -> `[N, ...]`."""
    if not cells:
        return {}
    recipe = {name: config[name] for name in ("image_size", "channels", "points", "seed")}
    files = {name: _find_all(table, column) for name, column in cells.items()}
    path = os.fsencode(table.path).decode("utf-8", "replace")  # any bytes may be a path
    items = [
        Item(f"{path}, line {line}", 0, {name: column[place] for name, column in files.items()})
        for place, (line, _) in enumerate(table.rows)
    ]
    # A file is another one when it, or a file that it names, has changed.
    stamps = lambda file: [file, *itemfiles.stamps(Path(file))] if file else [file]
    states = [[stamps(file) for file in item.source.values()] for item in items]
    versions = [VERSION, itemfiles.VERSION]
    key = cache.fingerprint(version=versions, recipe=recipe, files=states, modalities=list(cells))
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


def read_item(item: Item, *, recipe: dict[str, int]) -> dict[str, np.ndarray]:
    """Reads the files `item.source` (modality -> path, "" where it is missing) of one row."""
    size, channels = recipe["image_size"], recipe["channels"]
    count, seed = recipe["points"], recipe["seed"]
    readers = {
        "image": lambda file: read_picture(file, size, channels),
        "points": lambda file: read_cloud(file, count, seed),
        "mesh": lambda file: read_surface(file, count, seed),
    }
    found = {}
    for name, file in item.source.items():
        with named(item.id):
            if file:
                found[name] = readers[name](Path(file))
            elif name == "image":
                found[name] = np.zeros((size, size, channels), np.uint8)
            else:
                found[name] = np.zeros((count, 3), np.float32)
    return found
