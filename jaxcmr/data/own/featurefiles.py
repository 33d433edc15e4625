"""Converts feature files of any array names to `<split>_<modality>` and `<split>_labels`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxcmr.data.formats import pointfiles
from jaxcmr.data.formats.matlab import read_mat
from jaxcmr.data.items import itemtypes
from jaxcmr.data.outputs import check_output, write_arrays
from jaxcmr.data.own import arraynames, names
from jaxcmr.data.own.arrays import cut_validation, warn_of_unused
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
        UsageError: an array is missing, has an impossible shape or is named twice; a split or a
            modality cannot have its name; the output is the source, or a file that is not ours.
    """
    check_output(output, ".npz", (source,))
    scales = dict(scales or {})
    splits = _splits(splits or {"train": "train", "test": "test"})
    _check_modalities(modalities, scales)
    patterns = {**modalities, **({"labels": labels} if labels else {})}
    wanted = {
        f"{split}_{ours}": pattern.replace("{split}", theirs)
        for split, theirs in splits.items()
        for ours, pattern in patterns.items()
    }
    seen: dict[str, str] = {}
    for ours, theirs in wanted.items():
        # Without `{split}` the test rows would be the training rows.
        if (other := seen.setdefault(theirs, ours)) != ours:
            raise UsageError(
                f"{other} and {ours} are both the array {theirs!r}; each needs its own, with "
                "{split} in its name where the split's name stands"
            )
    arrays = _read(source)
    found = {}
    for ours, theirs in wanted.items():
        modality = ours.partition("_")[2]
        if labels and modality == "labels":
            found[ours] = _array(arrays, theirs, source)
            continue
        rows = _numbers(arrays, theirs, source)
        if modality in scales:
            rows = _scaled(rows, _numbers(arrays, scales[modality], source), source, modality)
        found[ours] = itemtypes.floats(rows, f"{source}: {theirs}")
    _check_lengths(found, source)
    if validation_rows:
        _check_cut(found, validation_rows, source)
        found = cut_validation(found, validation_rows)
    if classes:
        found["class_names"] = _array(arrays, classes, source).ravel().astype(str)
    used = {*wanted.values(), *scales.values(), classes}
    warn_of_unused(sorted(set(arrays) - used), "array", str(source))
    write_arrays(output, found)
    return {name: f"{list(array.shape)} {array.dtype}" for name, array in found.items()}


def _splits(given: Mapping[str, str]) -> dict[str, str]:
    """Returns our names of the splits -> theirs."""
    found: dict[str, str] = {}
    for name, theirs in given.items():
        ours = names.split(name)
        if ours is None:
            raise UsageError(f"the split {name!r} is none of {', '.join(names.SPLITS)}")
        if ours in found:
            raise UsageError(f"the split {ours!r} is given twice; keep one")
        found[ours] = theirs
    return found


def _check_modalities(modalities: Mapping[str, str], scales: Mapping[str, str]) -> None:
    for name in modalities:
        if not name.isidentifier() or not arraynames.is_modality(name):
            raise UsageError(
                f"a modality cannot be called {name!r}; take a word that stands for nothing else, "
                "such as image or text"
            )
    for name in scales:
        if name not in modalities:
            raise UsageError(f"the scale of {name!r} belongs to none of {', '.join(modalities)}")


def _read(source: Path) -> dict[str, np.ndarray]:
    if source.suffix.lower() != ".mat":
        return pointfiles.read_arrays(source)
    arrays = read_mat(source)
    for name, cell in arrays.items():
        if isinstance(cell, list):  # one array of a cell of texts; objects, which nothing takes
            texts = all(one.dtype.kind == "U" and one.size == 1 for one in cell)
            entries = [str(one.item()) if texts else None for one in cell]
            arrays[name] = np.array(entries, np.str_ if texts else object)
    return arrays


def _array(arrays: Mapping[str, np.ndarray], name: str, source: Path) -> np.ndarray:
    return pointfiles.array_of(arrays, name, source, names.suggestion(name, tuple(arrays)))


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
        count = _rows(name, array)
        first, expected = rows.setdefault(name.partition("_")[0], (name, count))
        if count != expected:
            turned = array.ndim == 2 and array.shape[1] == expected
            advice = "; an item is a row: save its transpose" if turned else ""
            raise UsageError(f"{source}: {count} rows of {name}, but {expected} of {first}{advice}")


def _check_cut(found: Mapping[str, np.ndarray], rows: int, source: Path) -> None:
    """Raises unless the first `rows` of the test set can become the validation set."""
    counts = [_rows(name, array) for name, array in found.items() if name.startswith("test_")]
    if not counts or any(name.startswith("validation_") for name in found):
        raise UsageError(f"{source} has a validation set, or no test set; take no rows off it")
    if not 0 < rows < counts[0]:
        raise UsageError(f"{source} has {counts[0]} test rows; {rows} cannot validate")


def _rows(name: str, array: np.ndarray) -> int:
    return array.size if name.endswith("_labels") and 1 in array.shape else len(array)
