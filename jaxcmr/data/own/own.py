"""Loads your own data of either form, and outlines them without reading their items.

A manifest (`.csv`, `.tsv`, `.jsonl`) names files; everything else is arrays.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxcmr.data.formats import tables
from jaxcmr.data.formats.hdf5files import hdf5_heads
from jaxcmr.data.items.itemtypes import kind
from jaxcmr.data.own import arraynames, arrayparts, arrays, manifest
from jaxcmr.errors import UsageError, reading
from jaxcmr.storage.numpyfiles import Head, npy_head, npz_heads, unread
from jaxcmr.types import Splits

_ADVICE = {
    ".mat": "; launch/prepare.py features makes an .npz of a .mat file",
    ".npy": "; name the folder in which the .npy files are",
}


class Outline(NamedTuple):
    """What the data hold, read without their items.

    Attributes:
        kinds: modality -> "image", "views", "cloud" or "vector", in the order of the results.
        rows: of the training set, those for validation included.
        validates: whether they have a validation set of their own.
        links: what rows of the training set have in common, as `Dataset.links`.
    """

    kinds: dict[str, str]
    rows: int
    validates: bool
    links: Mapping[str, np.ndarray] = {}


def load_own(config: ConfigDict, workers: int) -> Splits:
    """Loads `config.path`, a manifest or arrays."""
    path = _path(config)
    load = manifest.load_manifest if path.suffix.lower() in tables.SUFFIXES else arrays.load_arrays
    return load(config, workers)


def outline(config: ConfigDict) -> Outline:
    """Returns what the data of `config.path` hold.

    Raises:
        UsageError: no such file, or one that is neither a manifest nor arrays.
    """
    path = _path(config)
    if path.suffix.lower() in tables.SUFFIXES:
        return Outline(*manifest.outline(path, config.seed))
    heads = shapes(path)
    names = arraynames.sort(heads, str(path))
    arrays.without_rows(heads, names.parts)
    items = names.parts.get("train", names.parts.get("", {}))
    kinds = {}
    for name in sorted(names.modalities()):
        shape, dtype = heads[items[name]]
        kinds[name] = kind(shape[1:], dtype, f"{path}: {name}")
    roles = [key for role, key in items.items() if arraynames.is_role(role)]
    found = {key: unread(heads[key]) for key in items.values()} | arrays.read(path, roles)
    part = arrayparts.part(found, items, str(path))
    links = arrayparts.links_of(part)
    if "train" in names.parts:
        return Outline(kinds, len(part["labels"]), "validation" in names.parts, links)
    named = arrayparts.splits_of(part, str(path), config.seed)
    train, validates = named == "train", bool((named == "validation").any())
    links = {link: column[train] for link, column in links.items()}
    return Outline(kinds, int(train.sum()), validates, links)


def _path(config: ConfigDict) -> Path:
    """Returns `config.path`; the file or folder must be there."""
    if not config.path:
        raise UsageError(
            "your data are not named; add --config.data.path=FILE, a manifest (.csv, .jsonl) or "
            "arrays (.npz, .h5, a folder of .npy)"
        )
    return arrays.existing(config.path)


def shapes(path: Path) -> dict[str, Head]:
    """Reads the shapes and types of all arrays of a file or folder, not the arrays."""
    suffix = "" if path.is_dir() else path.suffix.lower()
    with reading(path, "get or write it again"):  # numpy evaluates the header: anything may come
        if path.is_dir():
            found = {file.stem: npy_head(file) for file in arrays.npy_files(path)}
        elif suffix in (".h5", ".hdf5"):
            found = hdf5_heads(path)
        elif suffix == ".npz":
            found = npz_heads(path)
        else:
            raise UsageError(
                f"{path} must end in .csv, .tsv, .jsonl, .npz, .h5, .hdf5, or be a folder"
                f"{_ADVICE.get(suffix, '')}"
            )
    if not found:
        raise UsageError(f"{path} holds no array")
    return found
