"""Converts feature files of any array names into ours: `<split>_<modality>`, `<split>_labels`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxcmr.data import pointfiles
from jaxcmr.data.cache import write_atomically
from jaxcmr.data.matlab import read_mat
from jaxcmr.errors import UsageError


def convert(
    source: Path,
    output: Path,
    modalities: Mapping[str, str],
    *,
    labels: str = "",
    classes: str = "",
    scales: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
    validation_rows: int = 0,
) -> dict[str, str]:
    """Writes the features of an `.npz`, HDF5 or `.mat` file as an `.npz` of our schema.

    Args:
        source: the file.
        output: the `.npz` to write; it appears when it is complete.
        modalities: our name of a modality -> its array's name, `{split}` for the split.
        labels: the labels' name, `{split}` likewise; "": none are written.
        classes: the class names' name; "": none.
        scales: modality -> the name of an array `[D]` (or a number's) by which the stored numbers
            are multiplied, for quantised features.
        splits: our split (`train`, `test`, `validation`) -> its name in the file.
        validation_rows: so many rows, from the first of the test set on, become the validation set.

    Returns:
        What was written: array name -> shape and type, in words.

    Raises:
        UsageError: an array is missing or has an impossible shape; names file and array.
    """
    if output.suffix != ".npz":
        raise UsageError(f"{output} must end in .npz")
    splits = dict(splits or {"train": "train", "test": "test"})
    arrays = _read(source)
    found = {}
    for split, theirs in splits.items():
        for modality, pattern in modalities.items():
            rows = _numbers(arrays, pattern.replace("{split}", theirs), source)
            if modality in (scales or {}):
                rows = _scaled(rows, _numbers(arrays, scales[modality], source), source, modality)
            found[f"{split}_{modality}"] = rows.astype(np.float32)
        if labels:
            found[f"{split}_labels"] = _array(arrays, labels.replace("{split}", theirs), source)
    _check_lengths(found, source)
    if validation_rows:
        found = _cut(found, validation_rows, source)
    if classes:
        found["class_names"] = _array(arrays, classes, source).ravel().astype(str)
    write_atomically(output, lambda file: np.savez_compressed(file, **found))
    return {name: f"{list(array.shape)} {array.dtype}" for name, array in found.items()}


def _read(source: Path) -> dict[str, np.ndarray]:
    if source.suffix != ".mat":
        return pointfiles.read_arrays(source)
    return {name: a for name, a in read_mat(source).items() if isinstance(a, np.ndarray)}


def _array(arrays: Mapping[str, np.ndarray], name: str, source: Path) -> np.ndarray:
    if name not in arrays:
        raise UsageError(
            f"{source} has no array {name!r}, only {', '.join(sorted(arrays)) or 'none'}"
        )
    return arrays[name]


def _numbers(arrays: Mapping[str, np.ndarray], name: str, source: Path) -> np.ndarray:
    array = _array(arrays, name, source)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{source}: {name} holds {array.dtype}, not numbers")
    return array


def _scaled(rows: np.ndarray, scale: np.ndarray, source: Path, modality: str) -> np.ndarray:
    """Returns `rows * scale`, the features that `rows [N, D]` stand for."""
    if not rows.ndim or scale.size not in (1, rows.shape[-1]):
        raise UsageError(
            f"{source}: the scale of {modality!r} has the shape {list(scale.shape)}, but the "
            f"features {list(rows.shape)}"
        )
    return rows.astype(np.float32) * scale.reshape(-1).astype(np.float32)


def _check_lengths(found: Mapping[str, np.ndarray], source: Path) -> None:
    """Raises unless every split has as many rows in all its arrays."""
    rows: dict[str, tuple[str, int]] = {}
    for name, array in found.items():
        if array.ndim == 0:
            raise UsageError(f"{source}: {name} is a single number; save an array, a row an item")
        split = name.partition("_")[0]
        count = array.size if name.endswith("_labels") and 1 in array.shape else len(array)
        first, expected = rows.setdefault(split, (name, count))
        if count != expected:
            raise UsageError(f"{source}: {count} rows of {name}, but {expected} of {first}")


def _cut(found: dict[str, np.ndarray], rows: int, source: Path) -> dict[str, np.ndarray]:
    """Moves the first `rows` of the test set into the validation set."""
    tests = [name for name in found if name.startswith("test_")]
    if not tests or any(name.startswith("validation_") for name in found):
        raise UsageError(f"{source} has a validation set, or no test set; take no rows off it")
    result = dict(found)
    for name in tests:
        array = found[name]
        array = array.ravel() if name == "test_labels" and 1 in array.shape else array
        if not 0 < rows < len(array):
            raise UsageError(f"{source} has {len(array)} test rows; {rows} cannot validate")
        result[name] = array[rows:]
        result[name.replace("test_", "validation_", 1)] = array[:rows]
    return result
