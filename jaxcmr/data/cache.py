"""Where data lie and where prepared arrays go; nothing half-written has its final name."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr import numpyfiles
from jaxcmr.errors import UsageError

META = "meta.json"


def user_cache() -> Path:
    """Returns the user's cache folder of this library (`$XDG_CACHE_HOME`, else `~/.cache`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcmr"


def data_root(root: str) -> Path:
    """Returns `root`, or `$JAXCMR_DATA` if it is empty, or the user's cache folder.

    Raises:
        UsageError: a folder was named, but it does not exist.
    """
    named = root or os.environ.get("JAXCMR_DATA", "")
    if not named:
        return user_cache()
    path = Path(named).expanduser()
    if not path.exists():
        source = "config.data.root" if root else "$JAXCMR_DATA"
        raise UsageError(f"{source} is {named}, but there is no such folder; correct it")
    return path


def fingerprint(**parts: Any) -> str:
    """Returns 16 hex digits that change with any part (JSON-serialisable)."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, write: Callable[[Any], None]) -> None:
    """Calls `write(file)` on a binary temporary file and renames it to `path` once complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a folder of `.npy` files and `meta.json`; it appears under its name when complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        (temporary / META).write_text(json.dumps({"arrays": sorted(arrays), **meta}, indent=1))
        os.chmod(temporary, 0o755)
        if folder.exists():  # another process was faster, or the old folder is broken
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def load_arrays(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Returns (arrays, meta) of a folder written by `save_arrays`; None if absent or damaged.

    Large arrays stay on the disk.
    """
    try:
        meta = json.loads((folder / META).read_text())
        arrays = {name: numpyfiles.read_npy(folder / f"{name}.npy") for name in meta["arrays"]}
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return arrays, meta


def prepared_folder(root: Path) -> Path:
    """Returns `root/prepared`, for prepared arrays; that of the cache if root is read-only."""
    return (root if os.access(root, os.W_OK) else user_cache()) / "prepared"


def digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of an array's type, shape and values."""
    text = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(text + np.ascontiguousarray(array).tobytes()).hexdigest()
