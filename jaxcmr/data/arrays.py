"""Your own data as arrays: one `.npz`, or a folder of `.npy` files (schema in README.md)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxcmr import lazy, numpyfiles
from jaxcmr.data import cache, pointfiles
from jaxcmr.data.heldout import held_out
from jaxcmr.data.labelbase import unify
from jaxcmr.errors import UsageError
from jaxcmr.paths import expanded
from jaxcmr.types import Dataset, Splits

SPLITS = ("train", "validation", "test")
_RESERVED = ("labels", "true_labels", "ids")


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads an `.npz`, an HDF5 file, or all `.npy` files of a folder, by name.

    Large `.npy` files stay on the disk (`numpyfiles.MAPPED`).
    """
    if not path.is_dir():
        return pointfiles.read_arrays(path)
    files = sorted(path.glob("*.npy"))
    if not files:
        raise UsageError(f"{path} holds no .npy file")
    return {file.stem: numpyfiles.read_npy(file) for file in files}


def to_splits(
    arrays: Mapping[str, np.ndarray], name: str, provenance: Mapping[str, Any], seed: int
) -> Splits:
    """Makes `Splits` from named arrays.

    Either `<split>_<modality>` and `<split>_labels` (and optionally `<split>_true_labels`,
    `<split>_ids`, `<split>_present_<modality>`) for the splits train, test and optionally
    validation; or the same names without a split, and optionally `split [N]` with the split's name
    of every row. Without either, a fifth of each class, drawn with `seed`, becomes the test set.
    `class_names [K]` is optional.

    Raises:
        UsageError: arrays are missing, or their lengths differ.
    """
    classes = tuple(str(text) for text in arrays.get("class_names", np.array([])).ravel())
    parts = _by_split({k: v for k, v in arrays.items() if k != "class_names"}, name, seed)
    modalities = [m for m in parts["train"] if m not in _RESERVED and not m.startswith("present_")]
    if not modalities:
        raise UsageError(
            f"{name} has labels but no modality; see the schema in jaxcmr/data/README.md"
        )
    # Given and true labels together: they count from the same number and have the same names.
    known = {f"{s} true": p["true_labels"] for s, p in parts.items() if "true_labels" in p}
    given = {s: p["labels"] for s, p in parts.items()}
    labels, classes, done = unify(given | known, classes, name)
    result = {}
    for split, part in parts.items():
        rows = len(labels[split])
        missing = [m for m in modalities if m not in part]
        if missing:
            raise UsageError(f"{name} has no {split} items of the modality {missing[0]!r}")
        for key, array in part.items():
            if key != "labels":
                _check_rows(array, rows, f"{name}: {split}_{key}")
        ids = part.get("ids", np.array([f"{split}/{row:06d}" for row in range(rows)]))
        result[split] = Dataset(
            inputs={m: _items(part[m]) for m in modalities},
            labels=labels[split],
            true_labels=labels.get(f"{split} true"),
            ids=ids.astype(str),
            class_names=classes,
            provenance={**provenance, "split": split, "count": rows, "labels": done},
            present={
                m: part[f"present_{m}"].astype(bool) for m in modalities if f"present_{m}" in part
            },
        )
    return Splits(result["train"], result["test"], result.get("validation"))


def _check_rows(array: np.ndarray | lazy.LazyRows, rows: int, name: str) -> None:
    if array.ndim == 0 or len(array) != rows:
        raise UsageError(f"{name} has the shape {list(array.shape)} for {rows} labels")


def _items(array: np.ndarray) -> np.ndarray | lazy.LazyRows:
    if array.dtype != np.float64 or isinstance(array, lazy.LazyRows):
        return array
    return lazy.stored(array) if isinstance(array, np.memmap) else array.astype(np.float32)


def _by_split(arrays: dict[str, np.ndarray], name: str, seed: int) -> dict[str, dict]:
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        match = re.fullmatch(r"(train|validation|test)_(.+)", key)
        if match:
            parts.setdefault(match[1], {})[match[2]] = array
    if parts:
        for split in ("train", "test", *parts):
            if "labels" not in parts.get(split, {}):
                raise UsageError(f"{name} has no array {split}_labels, only {', '.join(arrays)}")
        return {split: parts[split] for split in SPLITS if split in parts}
    if "labels" not in arrays:
        raise UsageError(f"{name} has no array 'labels', only {', '.join(arrays) or 'none'}")
    whole = dict(arrays)
    named = whole.pop("split", None)
    if whole["labels"].ndim not in (1, 2) or (named is not None and named.ndim != 1):
        raise UsageError(f"{name}: labels and split must have a row each, [N]")
    rows = len(whole["labels"])
    for key, array in {**whole, **({} if named is None else {"split": named})}.items():
        _check_rows(array, rows, f"{name}: {key}")
    whole.setdefault("ids", np.array([f"{row:06d}" for row in range(rows)]))
    named = held_out(whole["labels"], seed) if named is None else named.astype(str)
    wrong = sorted(set(named) - set(SPLITS))
    if wrong:
        raise UsageError(f"{name}: the split {str(wrong[0])!r} is none of {', '.join(SPLITS)}")
    for split in ("train", "test"):
        if split not in named:
            raise UsageError(f"{name} has no row whose split is {split!r}")
    return {
        s: {k: lazy.select(a, named == s) for k, a in whole.items()} for s in SPLITS if s in named
    }


def load_arrays(config: ConfigDict, workers: int) -> Splits:
    """Loads `config.path`: an `.npz`, HDF5 file or folder of `.npy` of the user's own."""
    del workers
    path = expanded(config.get("path", "") or config.root)
    if not str(config.get("path", "") or config.root) or not path.exists():
        raise UsageError(f"config.data.path is {str(path)!r}, but there is no such file or folder")
    provenance = {"source": "files", "name": path.stem, "path": str(path)}
    if path.is_file():
        provenance["sha256"] = cache.sha256(path)
    return to_splits(read(path), str(path), provenance, config.seed)
