"""Your own data as arrays: one `.npz`, or a folder of `.npy` files (schema in README.md)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import lazy, numpyfiles
from jaxcmr.data import arraynames, cache, missing, names, native, pointfiles
from jaxcmr.data.copies import warn_of_copies
from jaxcmr.data.heldout import GROUP, held_out, tell, warn_of_shared
from jaxcmr.data.labelbase import clean, unify
from jaxcmr.errors import UsageError
from jaxcmr.paths import expanded
from jaxcmr.types import Dataset, Splits

SPLITS = ("train", "validation", "test")


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads an `.npz`, an HDF5 file, or all `.npy` files of a folder, by name.

    Large `.npy` files stay on the disk (`numpyfiles.MAPPED`).
    """
    if not path.is_dir():
        return pointfiles.read_arrays(path)
    return {file.stem: numpyfiles.read_any_npy(file) for file in npy_files(path)}


def npy_files(folder: Path) -> list[Path]:
    """Returns the `.npy` files of a folder, sorted; there must be one."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read ({error.strerror})") from None
    found = [folder / name for name in names if name.endswith(".npy")]
    found = [file for file in found if file.is_file()]  # opening a pipe would wait forever
    if not found:
        held = f", only {', '.join(names[:5])}" if names else ""
        raise UsageError(f"{folder} holds no .npy file{held}; name the file that holds your data")
    return found


def without_rows(arrays: Mapping[str, Any], parts: dict[str, dict[str, str]]) -> list[str]:
    """Takes single numbers, such as a version, out of the modalities of a file without splits.

    Args:
        arrays: by name; only their shapes matter.
        parts: of `arraynames.Names`, changed.

    Returns:
        The names of these arrays.
    """
    part = parts.get("", {})
    gone = [m for m in part if not arraynames.is_role(m) and arrays[part[m]].shape == ()]
    return [part.pop(name) for name in gone]


def warn_of_unused(found: list[str], what: str, name: str) -> None:
    """Says in one line what ("array", "file") a source has and nobody uses."""
    if found:
        say = (what, "is") if len(found) == 1 else (f"{what}s", "are")
        logging.warning("%s: %d %s %s not used: %s", name, len(found), *say, ", ".join(found))


def to_splits(
    arrays: Mapping[str, np.ndarray], name: str, provenance: Mapping[str, Any], seed: int
) -> Splits:
    """Makes `Splits` from named arrays.

    Either `<split>_<modality>` and `<split>_labels` (and optionally `<split>_true_labels`,
    `<split>_ids`, `<split>_present_<modality>`) for the splits train, test and optionally
    validation; or the same names without a split, and optionally `split [N]` with the split's name
    of every row. Without either, a fifth of each class, drawn with `seed`, becomes the test set;
    rows of the same `groups [N]` stay together. `class_names [K]` is optional.

    Raises:
        UsageError: arrays are missing, their lengths differ, or they cannot be used.
    """
    found = arraynames.sort(arrays, name)
    warn_of_unused([*found.unused, *without_rows(arrays, found.parts)], "array", name)
    modalities = found.modalities()
    parts = _by_split(arrays, found.parts, name, seed)
    classes = _class_names(arrays.get(found.classes), name)
    # Given and true labels together: they count from the same number and have the same names.
    known = {f"{s} true": p["true_labels"] for s, p in parts.items() if "true_labels" in p}
    given = {s: p["labels"] for s, p in parts.items()}
    labels, classes, done = unify(given | known, classes, name)
    flags = {m: arraynames.FLAGS + m for m in modalities}
    inputs = {}
    for m in modalities:
        present = {s: part[flags[m]] for s, part in parts.items() if flags[m] in part}
        items = {s: part[m] for s, part in parts.items()}
        inputs[m] = native.items(items, present, f"{name}: {m}")
    result = {}
    for split, part in parts.items():
        rows = len(labels[split])
        ids = part.get("ids", np.array([f"{split}/{row:06d}" for row in range(rows)]))
        result[split] = Dataset(
            inputs={m: inputs[m][split] for m in modalities},
            labels=labels[split],
            true_labels=labels.get(f"{split} true"),
            ids=ids,
            class_names=classes,
            provenance={**provenance, "split": split, "count": rows, "labels": done},
            present={m: part[flags[m]] for m in modalities if flags[m] in part},
            links={GROUP: _groups(part["groups"])} if "groups" in part else {},
        )
    return Splits(result["train"], result["test"], result.get("validation"))


def _by_split(arrays, parts: dict[str, dict[str, str]], name: str, seed: int) -> dict[str, dict]:
    """Returns split -> role or modality -> array."""
    read = {split: _part(arrays, keys, name) for split, keys in parts.items()}
    if "" not in read:
        grouped = {split: part["groups"] for split, part in read.items() if "groups" in part}
        if grouped:
            named = np.repeat(list(grouped), [len(array) for array in grouped.values()])
            links = {GROUP: _groups(np.concatenate(list(grouped.values())))}
            warn_of_shared(links, named, name)
        return {split: read[split] for split in SPLITS if split in read}
    whole, named = read[""], splits_of(arrays, parts[""], name, seed)
    if "split" in whole:
        warn_of_shared(links_of(arrays, parts[""]), named, name)
    else:
        tell(whole["labels"], named, name)
    whole.setdefault("ids", np.array([f"{row:06d}" for row in range(len(named))]))
    return {
        s: {key: lazy.select(array, named == s) for key, array in whole.items()}
        for s in SPLITS
        if s in named
    }


def _part(arrays: Mapping[str, np.ndarray], keys: Mapping[str, str], name: str) -> dict[str, Any]:
    """Returns role or modality -> array, each with a row for each label; flags are booleans."""
    part = {}
    for role, key in keys.items():
        array = arrays[key]
        array = _column(np.asarray(array)) if arraynames.is_role(role) else array
        if role.startswith(arraynames.FLAGS):
            array = missing.flags(array, f"{name}: {key}")
        elif role in ("ids", "split"):
            array = _texts(array, f"{name}: {key}")
        if array.ndim != 1 and arraynames.is_role(role) and "label" not in role:
            raise UsageError(f"{name}: {key} has the shape {list(array.shape)}, not [N]")
        part[role] = array
    if part["labels"].ndim not in (1, 2):
        raise UsageError(
            f"{name}: {keys['labels']} has the shape {list(part['labels'].shape)}; labels must "
            "have a row each, [N]"
        )
    for role, array in part.items():
        if array.ndim and len(array) == part["labels"].shape[-1] != len(part["labels"]):
            raise UsageError(
                f"{name}: {keys['labels']} has the shape {list(part['labels'].shape)} for "
                f"{len(array)} rows of {keys[role]}; labels have a row each: save their transpose"
            )
        _check_rows(array, len(part["labels"]), f"{name}: {keys[role]}")
    return part


def splits_of(arrays, keys: Mapping[str, str], name: str, seed: int) -> np.ndarray:
    """Returns the split's name of every row of arrays without splits in their names, `[N]`.

    Args:
        arrays: by name.
        keys: role or modality -> the array's name.
        name: of the file, for messages.
        seed: of the draw where no split is given.
    """
    part = _part(arrays, keys, name)
    if "split" not in part:
        return held_out(part["labels"], seed, links_of(arrays, keys))
    found, place = np.unique(part["split"], return_inverse=True)
    meant = [names.split(text) for text in found.tolist()]
    if None in meant:
        wrong = str(found[meant.index(None)])
        raise UsageError(f"{name}: the split {wrong!r} is none of {', '.join(SPLITS)}")
    named = np.array(meant, "U10")[place]
    for split in ("train", "test"):
        if split not in named:
            raise UsageError(f"{name} has no row whose split is {split!r}")
    return named


def links_of(arrays, keys: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns what rows have in common: their `groups`, if there is such an array.

    Args:
        arrays: by name.
        keys: role or modality -> the array's name.
    """
    return {GROUP: _groups(_column(arrays[keys["groups"]]))} if "groups" in keys else {}


def _groups(array: np.ndarray) -> np.ndarray:
    """Numbers the groups `[N]`; a row without one has -1."""
    return np.where(missing.missing(array), -1, np.unique(array, return_inverse=True)[1])


def _check_rows(array: np.ndarray | lazy.LazyRows, rows: int, name: str) -> None:
    if array.ndim and len(array) == rows:
        return
    advice = ""
    if array.ndim == 2 and 1 != array.shape[1] == rows:
        advice = "; an item is a row: save its transpose"
    elif array.ndim > 2 and rows and len(array) % rows == 0:
        advice = f"; if each has {len(array) // rows} views, save them as [N, V, H, W, C]"
    raise UsageError(f"{name} has the shape {list(array.shape)} for {rows} labels{advice}")


def _column(array: np.ndarray) -> np.ndarray:
    """Makes `[N]` of a column `[N, 1]`, or of a row `[1, N]`, as MATLAB has them."""
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def _texts(array: np.ndarray, name: str) -> np.ndarray:
    """Returns names `[N]`, such as ids, as text; each must be there."""
    array = numpyfiles.as_text(array)
    if array.ndim != 1 or array.dtype.kind not in "fiubU":
        held = f"{array.dtype} {list(array.shape)}"
        raise UsageError(f"{name} holds {held}; it must be text, and have a row each, [N]")
    lost = missing.missing(array)
    if lost.any():
        row = int(np.argmax(lost))
        raise UsageError(
            f"{name} has {str(array[row])!r} in row {row}, which is no name; fill it in"
        )
    return array.astype(str)


def _class_names(array: np.ndarray | None, name: str) -> tuple[str, ...]:
    if array is None:
        return ()
    array = numpyfiles.as_text(np.asarray(array))
    if array.dtype.kind not in "fiubU":
        raise UsageError(f"{name}: class_names holds {array.dtype}; save text [K]")
    return tuple(str(text) for text in clean(array.ravel()))


def warn_of_squares(arrays: Mapping[str, np.ndarray], name: str) -> None:
    """Says how arrays were read that could as well lie on their side: `[N, N]`, in every split."""
    found = arraynames.sort(arrays, name)
    for m in found.modalities():
        items = [arrays[part[m]] for part in found.parts.values()]
        if all(array.ndim == 2 and array.shape[0] == array.shape[1] for array in items):
            logging.warning("%s: %s: as many numbers as items; row i was taken for item i", name, m)


def load_arrays(config: ConfigDict, workers: int) -> Splits:
    """Loads `config.path`: an `.npz`, HDF5 file or folder of `.npy` of the user's own."""
    del workers
    path = existing(config.get("path", "") or config.root)
    found = read(path)
    provenance = {"source": "files", "name": path.stem, "path": str(path)}
    if path.is_file():
        provenance["sha256"] = cache.sha256(path)
    else:
        others = set(os.listdir(path)) - {file.name for file in npy_files(path)}
        warn_of_unused(sorted(others), "file", str(path))
    splits = to_splits(found, str(path), provenance, config.seed)
    warn_of_copies(splits, str(path))
    return splits


def existing(path: str) -> Path:
    """Returns the file or folder that `config.data.path` names.

    Raises:
        UsageError: there is none, or it is neither a file nor a folder, such as a pipe.
    """
    found = expanded(path)
    if not path or not (os.path.isfile(found) or os.path.isdir(found)):
        shown = path if len(path) < 300 else path[:300] + "..."
        raise UsageError(f"config.data.path is {shown!r}, but there is no such file or folder")
    return found
