"""Your own data of either form, by the ending of `config.path`; and what they hold, before loading.

A manifest (`.csv`, `.jsonl`) names files; everything else is arrays.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxcmr.data import arrays, manifest
from jaxcmr.data.hdf5files import hdf5_heads
from jaxcmr.data.heldout import held_out
from jaxcmr.errors import UsageError
from jaxcmr.numpyfiles import Head, head, npz_heads, reason
from jaxcmr.paths import expanded
from jaxcmr.types import Splits

MANIFESTS = (".csv", ".jsonl")


class Outline(NamedTuple):
    """What the data hold, read without their items.

    Attributes:
        kinds: modality -> "image", "views", "cloud" or "vector", in the order of the results.
        rows: of the training set, those for validation included.
        validates: whether they have a validation set of their own.
    """

    kinds: dict[str, str]
    rows: int
    validates: bool


def load_own(config: ConfigDict, workers: int) -> Splits:
    """Loads `config.path`, a manifest or arrays."""
    path = _path(config)
    load = manifest.load_manifest if path.suffix in MANIFESTS else arrays.load_arrays
    return load(config, workers)


def outline(config: ConfigDict) -> Outline:
    """Says what the data of `config.path` hold.

    Raises:
        UsageError: no such file, or one that is neither a manifest nor arrays.
    """
    path = _path(config)
    if path.suffix in MANIFESTS:
        rows = [row for _, row in manifest.read_manifest(path)]
        labels = np.array([row.get("label", "") for row in rows])
        named = np.array([row.get("split", "").strip() for row in rows])
        return _outline(manifest.kinds(path), labels, named if named.all() else None, config.seed)
    heads = shapes(path)
    by_split = {key for key in heads if key.startswith("train_")}
    items = {key.removeprefix("train_"): heads[key] for key in by_split or heads}
    kinds = {}
    for name, (shape, dtype) in sorted(items.items()):
        if name in ("labels", "true_labels", "ids", "split", "class_names"):
            continue
        if not name.startswith("present_"):
            kinds[name] = _kind(shape[1:], dtype, f"{path}: {name}")
    if by_split:
        rows = max((shape[0] for shape, _ in items.values() if shape), default=0)
        return Outline(kinds, rows, "validation_labels" in heads)
    found = arrays.read(path)
    labels = found.get("labels", np.zeros(0))
    return _outline(kinds, labels, found.get("split"), config.seed)


def _outline(kinds, labels: np.ndarray, named: np.ndarray | None, seed: int) -> Outline:
    named = held_out(labels, seed) if named is None else named.astype(str)
    return Outline(kinds, int((named == "train").sum()), bool((named == "validation").any()))


def _path(config: ConfigDict) -> Path:
    """Returns `config.path`; the file or folder must be there."""
    path = expanded(config.path)
    if not config.path:
        raise UsageError(
            "your data are not named; add --config.data.path=FILE, a manifest (.csv, .jsonl) or "
            "arrays (.npz, .h5, a folder of .npy)"
        )
    if not path.exists():
        raise UsageError(f"config.data.path is {str(path)!r}, but there is no such file or folder")
    return path


def shapes(path: Path) -> dict[str, Head]:
    """Reads the shapes and types of all arrays of a file or folder, not the arrays."""
    if path.suffix in (".h5", ".hdf5") and path.is_file():
        found = hdf5_heads(path)
    elif path.is_dir() or path.suffix == ".npz":
        try:
            found = _npy_heads(path) if path.is_dir() else npz_heads(path)
        except Exception as error:  # numpy's reader evaluates the header: anything may come of it
            advice = "get or write it again"
            raise UsageError(f"{path} cannot be read ({reason(error)}); {advice}") from None
    else:
        raise UsageError(f"{path} must end in .csv, .jsonl, .npz, .h5, .hdf5, or be a folder")
    if not found:
        raise UsageError(f"{path} holds no array")
    return found


def _npy_heads(folder: Path) -> dict[str, Head]:
    found = {}
    for path in sorted(folder.glob("*.npy")):
        with open(path, "rb") as file:
            found[path.stem] = head(file)
    return found


def _kind(shape: tuple[int, ...], dtype: np.dtype, name: str) -> str:
    """Tells from an item's shape and type what it is."""
    if len(shape) == 1:
        return "vector"
    if len(shape) == 2 and shape[-1] == 3 and dtype.kind == "f":
        return "cloud"
    if len(shape) == 3 and shape[-1] in (1, 3):
        return "image"
    if len(shape) == 4 and shape[-1] in (1, 3):
        return "views"
    raise UsageError(
        f"{name} has items of the shape {list(shape)} ({dtype}), which are no vectors [D], clouds "
        "[P, 3] of floats, pictures [H, W, 1 or 3] or views [V, H, W, 1 or 3]; reshape them"
    )
