"""Reads point files: clouds, labels and names of both splits in an `.npz` or `.h5` (README.md)."""

import dataclasses
import functools
import os
from collections.abc import Container, Mapping
from pathlib import Path

import numpy as np
from absl import logging

from jaxcmr.data.formats import hdf5files
from jaxcmr.data.outputs import check_output, write_arrays
from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles

SUFFIXES = (".npz", ".h5", ".hdf5")
SPLITS = ("train", "test")


@dataclasses.dataclass(frozen=True)
class Keys:
    """The names of the arrays in a file; `{split}` stands for `train` and `test`."""

    points: str = "{split}_points"
    labels: str = "{split}_labels"
    names: str = "{split}_names"
    classes: str = "class_names"


def read_arrays(path: Path, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays `names` (None: all) of an `.npz` or HDF5 file.

    Text becomes numpy's unicode, no pickle is opened. Arrays that are neither numbers nor text are
    no error: they may lie unused in a file.

    Raises:
        UsageError: the file cannot be read, by name.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} must end in one of {', '.join(SUFFIXES)}")
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait forever
        raise UsageError(f"{path} is no file")
    if path.suffix.lower() == ".npz":
        return numpyfiles.read_any_npz(path, names)
    return hdf5files.read_hdf5(path, names)


def read_point_file(path: Path, keys: Keys = Keys()) -> dict[str, np.ndarray]:
    """Reads and checks a point file.

    Returns:
        `class_names [K]`; for each split `<split>_points [N, P, 3]` float32, `<split>_labels [N]`
        int32 (into class_names), `<split>_names [N]`.

    Raises:
        UsageError: an array is missing, or its shape or values are impossible.
    """
    return _checked(read_arrays(path), path, keys)


def _checked(arrays: Mapping[str, np.ndarray], path: Path, keys: Keys) -> dict[str, np.ndarray]:
    advice = "; rename, or convert the file with launch/prepare.py points"
    classes = array_of(arrays, keys.classes, path, advice).ravel().astype(str)
    result = {"class_names": classes}
    for pattern in (keys.points, keys.labels):
        if "{split}" not in pattern:
            raise UsageError(
                f"the array's name {pattern!r} is the same for both splits; write {{split}} where "
                "the split's name stands"
            )
    for split in SPLITS:
        key = keys.points.replace("{split}", split)
        points = array_of(arrays, key, path, advice)
        labels = array_of(arrays, keys.labels.replace("{split}", split), path, advice)
        if points.ndim != 3 or points.shape[-1] != 3 or points.dtype.kind not in "fiu":
            turn = "; turn [N, 3, P] by numpy.swapaxes(x, 1, 2)" * (3 in points.shape[1:2])
            found = f"{points.dtype} {list(points.shape)}{turn}"
            raise UsageError(f"{path}: {key} must be numbers [N, P, 3], not {found}")
        rows = len(points)
        names = np.array([f"{split}_{row:05d}" for row in range(rows)])
        if (key := keys.names.replace("{split}", split)) in arrays:
            names = array_of(arrays, key, path, advice)
        names = names.ravel() if names.ndim == 2 and 1 in names.shape else names
        if names.shape != (rows,):
            raise UsageError(f"{path}: {names.size} {split} names for {rows} clouds")
        result[f"{split}_points"] = points
        result[f"{split}_labels"] = class_numbers(
            labels, rows, len(classes), f"{path}: the {split} labels"
        )
        result[f"{split}_names"] = names.astype(str)
    return result


def array_of(arrays: Mapping[str, np.ndarray], key: str, path: Path, advice: str) -> np.ndarray:
    """Returns an array of a file; raises a `UsageError` that ends in `advice` if it has none."""
    if key not in arrays:
        there = ", ".join(sorted(arrays)) or "none"
        raise UsageError(f"{path} has no array {key!r}, only {there}{advice}")
    if arrays[key].dtype.kind not in numpyfiles.KINDS:
        raise UsageError(f"{path}: {key} holds {arrays[key].dtype}; save numbers or text")
    return arrays[key]


def class_numbers(labels: np.ndarray, rows: int, classes: int, name: str) -> np.ndarray:
    """Returns int32 labels `[rows]` from a row, a column, or floats that are whole numbers.

    Raises:
        UsageError: there are more or less than `rows`, or one is no class.
    """
    if labels.size != rows:
        raise UsageError(f"{name} have the shape {list(labels.shape)}, but there are {rows} clouds")
    labels = labels.reshape(rows)
    if labels.dtype.kind not in "fiub" or not (labels == np.floor(labels)).all():
        raise UsageError(f"{name} must be whole numbers, not {labels.dtype} {labels[:3]}")
    if rows and (labels.min() < 0 or labels.max() >= classes):
        raise UsageError(
            f"{name} run from {labels.min()} to {labels.max()}, but there are {classes} class names"
        )
    return labels.astype(np.int32)


def dequantize(points: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns float32 points; integers are mapped linearly from their type's range.

    `x = low + q / q_max * (high - low)` for unsigned types, for example q / 65535 * 2 - 1.
    """
    if points.dtype.kind == "f":
        return points.astype(np.float32)
    limits = np.iinfo(points.dtype)
    unit = (points.astype(np.float64) - limits.min) / (limits.max - limits.min)
    return (low + unit * (high - low)).astype(np.float32)


def convert(source: Path, output: Path, keys: Keys, low: float = -1.0, high: float = 1.0) -> dict:
    """Writes the clouds of any `.npz`/`.h5` with two splits as a point file; returns its sizes.

    Raises:
        UsageError: as `read_point_file`; the output is the source, or a file that is not ours.
    """
    check_output(output, ".npz", (source,))
    if not (np.isfinite([low, high]).all() and low < high):
        raise UsageError(f"low is {low} and high {high}, but high must be larger, and both finite")
    given = read_arrays(source)
    arrays = _checked(given, source, keys)
    patterns = dataclasses.astuple(keys)
    used = {pattern.replace("{split}", split) for pattern in patterns for split in SPLITS}
    unused = sorted(set(given) - used)
    if unused:
        logging.warning("%s: not used (%d): %s", source, len(unused), ", ".join(unused))
    for split in SPLITS:
        points = dequantize(arrays[f"{split}_points"], low, high)
        if not np.isfinite(points).all():
            row = int(np.argmax(~np.isfinite(points).all((1, 2))))
            raise UsageError(f"{source}: a {split} cloud is not finite, the first in row {row}")
        arrays[f"{split}_points"] = points
    write_arrays(output, arrays)
    sizes = {split: len(arrays[f"{split}_labels"]) for split in SPLITS}
    points = arrays["train_points"].shape[1]
    return {**sizes, "points": points, "classes": len(arrays["class_names"])}


@functools.lru_cache(maxsize=1)
def cached(path: str, digest: str) -> dict[str, np.ndarray]:
    """`read_point_file`, once a process and version: a worker reads one cloud after another."""
    del digest  # part of the cache's key
    return read_point_file(Path(path))
