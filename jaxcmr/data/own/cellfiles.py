"""Finds the files that cells of a manifest name, and those of the same content."""

import functools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from jaxcmr.data.cache import sha256, stamp
from jaxcmr.data.heldout import numbered
from jaxcmr.display import quoted, shown
from jaxcmr.errors import UsageError
from jaxcmr.storage.paths import expanded

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def find(folder: Path, cell: str) -> Path:
    """Returns the file that a cell names, relative to `folder`, absolute, or from `~` on.

    Raises:
        UsageError: there is no such file.
    """
    path = look(folder, cell)
    if path is None:
        raise UsageError(_not_found(folder, cell))
    return path


def look(folder: Path, cell: str) -> Path | None:
    """Returns the file that a cell names, as `find`; None: there is no such file.

    Tried are the cell as it is; without the blanks around it; with Windows' backslashes as slashes;
    and in Unicode's composed and decomposed forms, for systems differ in which they write.
    """
    as_it_is = f"./{cell}" if cell.startswith("~") else cell  # "./~a" is no home folder
    names = [cell.strip(), cell.strip().replace("\\", "/")]
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in names]
    for name in dict.fromkeys([as_it_is, *names, *forms]):
        try:
            path = folder / (expanded(name) if name.startswith("~") else name)
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name too long, a folder that may not be entered, a zero
            continue
    return None


def _not_found(folder: Path, cell: str) -> str:
    cell = cell.strip()
    if _ADDRESS.match(cell):
        return f"{quoted(cell)} is an address, not a file; download it and name the file"
    if _DRIVE.match(cell):
        return f"{quoted(cell)} is a path of another system; write it relative to the manifest"
    path = folder / expanded(cell) if cell.startswith("~") else folder / cell
    named = shown(str(path), 300)
    try:
        if path.is_dir():
            return f"{named} is a folder, not a file"
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"the file {named} cannot be read ({reason})"
    return f"there is no file {named}{_similar(path)}"


def _similar(path: Path) -> str:
    """Suggests a file of nearly that name; other cases of letters first."""
    try:
        there = [entry.name for entry in os.scandir(path.parent) if entry.is_file()]
    except OSError:
        return ""
    same = [name for name in there if name.casefold() == path.name.casefold()]
    close = same or get_close_matches(path.name, there[:10_000], n=1, cutoff=0.9)
    return f"; did you mean {quoted(close[0])}?" if close else ""


def same(files: Sequence[Path | None]) -> np.ndarray:
    """Numbers files by their content: `[N]`, the same for the same bytes; -1 for None.

    Links and other spellings of a path lead to one number. Only files of one size are read. A
    `.gltf` has its numbers in other files, so that its bytes do not count.
    """
    paths = {file: os.path.realpath(file) for file in dict.fromkeys(files) if file is not None}
    stamps = {path: stamp(Path(path)) for path in set(paths.values())}
    sizes = Counter(size for size, *_ in stamps.values())
    alone = lambda path: sizes[stamps[path][0]] == 1 or path.lower().endswith(".gltf")
    keys = {file: p if alone(p) else _digest(p, stamps[p]) for file, p in paths.items()}
    return numbered([keys.get(file, "") for file in files])


@functools.lru_cache(1 << 18)
def _digest(path: str, version: tuple[int, ...]) -> str:
    del version  # part of the memory's key
    try:
        return sha256(Path(path))
    except OSError:
        return path
