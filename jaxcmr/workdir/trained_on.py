"""The record of what a run is trained on: hashes that depend on the content, not on its place.

A run that goes on must have the same items, labels and split. The config does not guarantee that: a
file may have changed under its name.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxcmr.data import correction_tables
from jaxcmr.data.cache import sha256
from jaxcmr.noise.injection import NoiseRecord
from jaxcmr.storage.lazy import LazyRows
from jaxcmr.storage.paths import expanded
from jaxcmr.types import Dataset, Items, Splits

WHOLE = 4 << 30  # bytes up to which items that stay on the disk are read whole
BLOCK = 1 << 26  # bytes that are read at a time


def describe(
    config: ConfigDict, splits: Splits, record: NoiseRecord, rows: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Returns the record, ready for JSON: hashes (SHA-256), and numbers of rows, by name.

    Arrays in memory count with every element, and so do those on the disk up to `WHOLE` bytes; of
    larger ones evenly spread rows do, as many as fill `WHOLE`, and the record notes how many.

    Args:
        config: the run's; of it the files of weights, corrections and methods are read.
        splits: the data as the source delivers them.
        record: the noise over the training set.
        rows: which of its rows train and which validate, `prepare.prepare`'s.
    """
    sets = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "classes": of_texts(splits.train.class_names),
        "sets": {name: _of_set(part) for name, part in sets.items() if part is not None},
        "labels after noise": of_array(record.labels),
        "split": {name: of_array(rows[name]) for name in ("train", "validation")},
        "files": {
            field: " ".join(map(_of_file, paths)) for field, paths in _files(config.to_dict())
        },
    }


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the name of the first part of a record that is another one; () if none is.

    Files come first: other corrections make another split, too.
    """
    old, new = dict(_flat(was)), dict(_flat(now))
    names = [*new, *(name for name in old if name not in new)]
    names.sort(key=lambda name: name[0] != "files")
    return next((name for name in names if old.get(name) != new.get(name)), ())


def in_words(name: tuple[str, ...]) -> str:
    """Describes the part of a record with this name."""
    kind, *more = name
    if kind == "sets":
        where = {"train": "training set"}.get(more[0], f"{more[0]} set")
        what = more[1] if len(more) > 1 else "rows"
        if what == "rows":
            return f"the number of rows of the {where}"
        return f"the {what}{f' {more[2]!r}' if len(more) > 2 else ''} of the {where}"
    if kind == "split":
        return f"the choice of rows for {'training' if more[0] == 'train' else more[0]}"
    return f"the file config.{more[0]}" if kind == "files" and more else f"the {kind}"


def of_array(array: np.ndarray | LazyRows) -> str:
    """Returns the hash of an array's kind, shape and values, in any order of bytes."""
    dtype = array.dtype.newbyteorder("<")
    row = max(array.nbytes // max(len(array), 1), 1)
    on_disk = isinstance(array, np.memmap | LazyRows)
    count = len(array) if not on_disk else min(len(array), max(WHOLE // row, 1))
    chosen = np.linspace(0, len(array) - 1, count).astype(int) if count < len(array) else None
    digest = hashlib.sha256(f"{dtype.str}{array.shape}".encode())
    step = max(BLOCK // row, 1)
    for first in range(0, count, step):
        part = slice(first, first + step) if chosen is None else chosen[first : first + step]
        digest.update(np.ascontiguousarray(array[part], dtype).data.cast("B"))
    sampled = "" if chosen is None else f" of {count} of {len(array)} rows"
    return digest.hexdigest() + sampled


def of_texts(texts: Sequence[str]) -> str:
    """Returns the hash of a list of texts."""
    return hashlib.sha256(json.dumps([str(text) for text in texts]).encode()).hexdigest()


def _of_set(part: Dataset) -> dict[str, Any]:
    missing = {name: mask for name, mask in part.present.items() if not mask.all()}
    return {
        "rows": len(part),
        "ids": of_texts(part.ids),
        "labels": of_array(part.labels),
        "true labels": "unknown" if part.true_labels is None else of_array(part.true_labels),
        "items of the modality": {name: _of_items(items) for name, items in part.inputs.items()},
        "missing items of the modality": {name: of_array(mask) for name, mask in missing.items()},
    }


def _of_items(items: Items) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(items)
    if len(leaves) == 1:
        return of_array(leaves[0][1])
    return of_texts([f"{jax.tree_util.keystr(path)} {of_array(leaf)}" for path, leaf in leaves])


def _of_file(path: str) -> str:
    """Returns the hash of a file; for those of a package, the word "package"."""
    file = expanded(path)
    return sha256(file) if file.is_file() else path


def _files(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Gives each field that names files of weights, of corrections or of a method, and these."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _files(value, f"{prefix}{name}.")
        elif value and (name == "pretrained" or (name == "name" and str(value).endswith(".py"))):
            yield prefix + name, [value]
        elif value and prefix + name == "data.corrections":
            yield prefix + name, correction_tables.paths(value)


def _flat(tree: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Gives the leaves of nested dicts, by the names on the way to them."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _flat(value, (*prefix, str(name)))
    else:
        yield prefix, tree


def read(path: Path) -> dict[str, Any] | None:
    """Returns the record in a file; None if there is no file, or it holds no such record."""
    try:
        found = json.loads(path.read_bytes())
        return found if {"classes", "sets", "split"} <= found.keys() else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
