"""Loads your own data from arrays: an `.npz`, HDF5 file or folder of `.npy` (see README.md)."""

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache
from jaxcmr.data.formats import hdf5files, pointfiles
from jaxcmr.data.heldout import GROUP, report, warn_of_copies, warn_of_shared
from jaxcmr.data.items import itemtypes
from jaxcmr.data.own import arraynames, arrayparts
from jaxcmr.data.own.labelbase import clean, unify
from jaxcmr.data.own.names import SPLITS
from jaxcmr.data.preparation import Preparation, Recipe, learned
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy, numpyfiles
from jaxcmr.storage.paths import expanded
from jaxcmr.types import Dataset, Splits


def read(path: Path, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays `names` (None: all) of an `.npz`, an HDF5 file or a folder of `.npy` files.

    Large `.npy` files stay on the disk (`numpyfiles.MAPPED`).
    """
    if not path.is_dir():
        return pointfiles.read_arrays(path, names)
    files = [file for file in npy_files(path) if names is None or file.stem in names]
    return {file.stem: numpyfiles.read_any_npy(file) for file in files}


def open_rows(path: Path, names: Container[str]) -> dict[str, np.ndarray | lazy.LazyRows]:
    """Opens the numbers `names` of such a file or folder, to read some of their rows.

    Raises:
        UsageError: the file cannot be read.
    """
    if path.suffix.lower() == ".npz" and path.is_file():
        return numpyfiles.map_npz(path, names)
    return read(path, names) if path.is_dir() else hdf5files.hdf5_rows(path, names)


def npy_files(folder: Path) -> list[Path]:
    """Returns the `.npy` files of a folder, sorted; there must be one."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read ({error.strerror})") from None
    found = [folder / name for name in names if name.lower().endswith(".npy")]
    found = [file for file in found if file.is_file()]  # opening a pipe would wait forever
    stems = [file.stem for file in found]
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise UsageError(f"{folder} has two files {twice[0]}.npy, in other letters; remove one")
    if not found:
        held = f", only {', '.join(names[:5])}" if names else ""
        raise UsageError(f"{folder} holds no .npy file{held}; name the file that holds your data")
    return found


def without_rows(arrays: Mapping[str, Any], parts: dict[str, dict[str, str]]) -> list[str]:
    """Takes single numbers, such as a version, out of the modalities of a file without splits.

    Changes `parts` (`arraynames.Names`), and returns the names of these arrays.
    """
    part = parts.get("", {})
    gone = [m for m in part if not arraynames.is_role(m) and arrays[part[m]].shape == ()]
    return [part.pop(name) for name in gone]


def warn_of_unused(found: list[str], what: str, name: str) -> None:
    """Logs in one line the arrays or files (`what`) of a source that are not used."""
    if found:
        say = (what, "is") if len(found) == 1 else (f"{what}s", "are")
        logging.warning("%s: %d %s %s not used: %s", name, len(found), *say, ", ".join(found))


def to_splits(
    arrays: Mapping[str, np.ndarray],
    name: str,
    provenance: Mapping[str, Any],
    seed: int,
    recipes: Mapping[str, Recipe] | None = None,
) -> Splits:
    """Makes `Splits` from named arrays.

    Either `<split>_<modality>` and `<split>_labels` (and optionally `<split>_true_labels`,
    `<split>_ids`, `<split>_present_<modality>`) for the splits train, test and optionally
    validation; or the same names without a split, and optionally `split [N]` with the split's name
    of every row. Without either, a fifth of each class, drawn with `seed`, becomes the test set;
    rows of the same `groups [N]` stay together. `class_names [K]` is optional.

    Args:
        recipes: modality -> how raw items became its array; where it is left out, arrays are raw.

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
    for split in known:
        if (labels[split] < 0).any():
            raise UsageError(
                f"{name}: the {split} labels have none in row {int(labels[split].argmin())}; fill "
                "it in, or leave out the row"
            )
    flags = {m: arraynames.FLAGS + m for m in modalities}
    inputs, ways = {}, {}
    for m in modalities:
        present = {s: part[flags[m]] for s, part in parts.items() if flags[m] in part}
        items = {s: part[m] for s, part in parts.items()}
        form = itemtypes.form(items, present, f"{name}: {m}")
        inputs[m] = itemtypes.brought_to(form, items, present, f"{name}: {m}")
        ways[m] = (recipes or {}).get(m) or learned.of_form(form)
    result = {}
    for split, part in parts.items():
        rows, none = len(labels[split]), int((labels[split] < 0).sum())
        without = {"without_label": none} if none else {}
        ids = part.get("ids", np.array([f"{split}/{row:06d}" for row in range(rows)]))
        result[split] = Dataset(
            inputs={m: inputs[m][split] for m in modalities},
            labels=labels[split],
            true_labels=labels.get(f"{split} true"),
            ids=ids,
            class_names=classes,
            provenance={**provenance, "split": split, "count": rows, "labels": done} | without,
            present={m: part[flags[m]] for m in modalities if flags[m] in part},
            links=arrayparts.links_of(part),
        )
    sets = (result["train"], result["test"], result.get("validation"))
    return Splits(*sets, Preparation(classes, ways))


def _by_split(arrays, parts: dict[str, dict[str, str]], name: str, seed: int) -> dict[str, dict]:
    """Returns split -> role or modality -> array."""
    read = {split: arrayparts.part(arrays, keys, name) for split, keys in parts.items()}
    if "" not in read:
        grouped = {split: part["groups"] for split, part in read.items() if "groups" in part}
        if grouped:
            named = np.repeat(list(grouped), [len(array) for array in grouped.values()])
            links = {GROUP: arrayparts.numbered(np.concatenate(list(grouped.values())))}
            warn_of_shared(links, named, name)
        return {split: read[split] for split in SPLITS if split in read}
    whole, named = read[""], arrayparts.splits_of(read[""], name, seed)
    if "split" in whole:
        warn_of_shared(arrayparts.links_of(whole), named, name)
    else:
        report(whole["labels"], named, name)
    whole.setdefault("ids", np.array([f"{row:06d}" for row in range(len(named))]))
    return {
        s: {key: lazy.select(array, named == s) for key, array in whole.items()}
        for s in SPLITS
        if s in named
    }


def cut_validation(arrays: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """Moves the first `rows` of the arrays `test_...` into arrays `validation_...`."""
    result = dict(arrays)
    for name in [name for name in arrays if name.startswith("test_")]:
        array = np.asarray(arrays[name])
        array = arrayparts.column(array) if name == "test_labels" else array
        result[name], result[name.replace("test_", "validation_", 1)] = array[rows:], array[:rows]
    return result


def _class_names(array: np.ndarray | None, name: str) -> tuple[str, ...]:
    if array is None:
        return ()
    array = numpyfiles.as_text(np.asarray(array))
    if array.dtype.kind not in "fiubU":
        raise UsageError(f"{name}: class_names holds {array.dtype}; save text [K]")
    return tuple(str(text) for text in clean(array.ravel()))


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
