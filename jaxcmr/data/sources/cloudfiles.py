"""Reads the HDF5 clouds of ModelNet: `data [n, 2048, 3]` and `label`, several files a split."""

import functools
import json
import re
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from absl import logging

from jaxcmr.data import cache
from jaxcmr.data.formats import pointfiles
from jaxcmr.data.formats.textfiles import read_lines, read_text
from jaxcmr.data.items.objects import Item
from jaxcmr.errors import UsageError, reading

NAMES = "shape_names.txt"


class CloudFiles(NamedTuple):
    """The clouds of both splits in the files' order, and the SHA-256 of every file."""

    train: list[Item]
    test: list[Item]
    class_names: tuple[str, ...]
    digests: dict[str, str]


def list_clouds(folder: Path, expected: tuple[str, ...] = ()) -> CloudFiles:
    """Lists the clouds of a folder of the HDF5 releases.

    `train_files.txt` and `test_files.txt` name the files of a split (only the last part of each
    path counts, with slashes or backslashes); without them, those of the pattern `*train*.h5`.
    `shape_names.txt` has the class names; without it they are those `expected`.
    `<file>_id2file.json` names the shapes, `bathtub/bathtub_0001.ply`.

    Raises:
        UsageError: a file is missing, damaged, or does not fit the others.
    """
    classes = read_lines(folder / NAMES) if (folder / NAMES).is_file() else list(expected)
    if not classes:
        raise UsageError(f"there is no file {folder / NAMES}, so the classes have no names")
    splits: dict[str, list[Item]] = {"train": [], "test": []}
    digests = {}
    for split, items in splits.items():
        for path in _files(folder, split):
            digests[path.name] = digest = cache.sha256(path)
            data, labels = _arrays(path, len(classes))
            names = _names(path, len(data)) or [
                f"{split}_{len(items) + row:05d}" for row in range(len(data))
            ]
            source = [(str(path), digest, row) for row in range(len(data))]
            items += [Item(*row) for row in zip(names, labels.tolist(), source)]
    others = sorted({path.name for path in folder.glob("*.h5")} - set(digests))
    if others:
        logging.info("%s: no list names %s, so they are not used", folder, ", ".join(others))
    return CloudFiles(splits["train"], splits["test"], tuple(classes), digests)


def _files(folder: Path, split: str) -> list[Path]:
    listing = folder / f"{split}_files.txt"
    if listing.is_file():
        paths = [folder / PureWindowsPath(line).name for line in read_lines(listing)]
    else:
        paths = sorted(folder.glob(f"*{split}*.h5"))
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{listing} names {path.name!r}, but {folder} has no such file")
    if not paths:
        raise UsageError(f"{folder} has no {listing.name} and no file *{split}*.h5")
    return paths


def _arrays(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    arrays = pointfiles.read_arrays(path)
    data, labels = arrays.get("data"), arrays.get("label")
    known = data is not None and labels is not None
    if not known or data.ndim != 3 or data.shape[2] != 3 or data.dtype.kind not in "fiu":
        there = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()) or "none"
        raise UsageError(f"{path} must have numbers 'data' [n, P, 3] and 'label' [n], not {there}")
    return data, pointfiles.class_numbers(labels, len(data), classes, f"{path}: the labels")


def _names(path: Path, rows: int) -> list[str]:
    """Returns the shapes' names that the file beside lists; []: there is no such file."""
    underscored = re.sub(r"(\d+)$", r"_\1", path.stem)
    for stem in (path.stem, underscored):
        listing = path.with_name(f"{stem}_id2file.json")
        if not listing.is_file():
            continue
        with reading(listing):
            listed = json.loads(read_text(listing))
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise UsageError(f"{listing} must hold a list of names")
        names = [PureWindowsPath(name).stem for name in listed]
        if len(names) != rows:
            raise UsageError(f"{listing} names {len(names)} shapes, but {path.name} has {rows}")
        return names
    return []


def read_cloud(item: Item) -> np.ndarray:
    """Reads the cloud `[P, 3]` of an item of `list_clouds`, turned from y up to z up."""
    path, digest, row = item.source
    x, y, z = _opened(path, digest)[row].astype(np.float64).T  # unsigned numbers have no -z
    return np.stack([x, -z, y], 1)


@functools.lru_cache(maxsize=2)
def _opened(path: str, digest: str) -> np.ndarray:
    """Reads a file's clouds once a process and version: a worker reads one after another."""
    del digest  # part of the cache's key
    return pointfiles.read_arrays(Path(path))["data"]
