"""Finds the folders of data and of prepared arrays, and writes, reads and identifies arrays."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles
from jaxcmr.storage.files import writing
from jaxcmr.storage.paths import expanded, temporary_cache, user_cache, writable

META = "meta.json"
LONGEST = 200  # bytes of the name of a folder of prepared arrays; 255 with what is beside it


def data_root(root: str) -> Path:
    """Returns `root`, or `$JAXCMR_DATA` if it is empty, or the user's cache folder.

    Raises:
        UsageError: a folder was named, but it does not exist.
    """
    named = root or os.environ.get("JAXCMR_DATA", "")
    if not named:
        return user_cache()
    path = expanded(named)
    if not path.exists():
        source = "config.data.root" if root else "$JAXCMR_DATA"
        raise UsageError(f"{source} is {named}, but there is no such folder; correct it")
    return path


def fingerprint(**parts: Any) -> str:
    """Returns 16 hex digits that change with any part (JSON-serialisable)."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamp(path: Path) -> tuple[int, int, int]:
    """Returns what identifies a version of a file: its size, and when it was changed.

    The last number changes with the content, too, but no program can set it: files that are
    unpacked or copied may all have one time, and clouds of as many points have one size. Zeros: no
    such file.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a folder of `.npy` files and `meta.json`; it appears under its name when complete.

    One process at a time: what a killed one has left unfinished is removed.

    Raises:
        UsageError: the disk is full, or does not let us write.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with writing(folder):
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir(parents=True)
            for name, array in arrays.items():
                np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
            (unfinished / META).write_text(json.dumps({"arrays": sorted(arrays), **meta}, indent=1))
            if folder.exists():  # the old folder is broken
                shutil.rmtree(folder)
            os.replace(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


def load_arrays(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Returns (arrays, meta) of a folder written by `save_arrays`; None if absent or damaged.

    Large arrays stay on the disk.
    """
    try:
        meta = json.loads((folder / META).read_text())
        arrays = {name: numpyfiles.read_npy(folder / f"{name}.npy") for name in meta["arrays"]}
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return arrays, meta


def prepared_folder(root: Path) -> Path:
    """Returns `root/prepared`, for prepared arrays; that of a cache where it cannot be written."""
    for place in (root, user_cache()):
        if writable(place / "prepared"):
            return place / "prepared"
    return temporary_cache() / "prepared"


def fitting(folder: Path) -> Path:
    """Returns the folder, or one of a shorter name where a file system would not take it."""
    name = os.fsencode(folder.name)
    if len(name) <= LONGEST:
        return folder
    return folder.with_name(name[-LONGEST:].decode("utf-8", "ignore"))


def digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of an array's type, shape and values."""
    text = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(text + np.ascontiguousarray(array).tobytes()).hexdigest()
