"""Reads numpy's files, `.npy` and `.npz`: no pickle is opened, all damage is a `UsageError`."""

import contextlib
import functools
import math
import os
import struct
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from jaxcmr.errors import UsageError, reading

MAPPED = 1 << 28  # bytes of a `.npy` file from which on it is not read at once
KINDS = "biufcUS"  # of dtypes: truth values, numbers, text
_ADVICE = "save plain arrays of numbers or text"
DEFLATED = 1032  # the most that a byte of an archive can become; zlib's limit


class Head(NamedTuple):
    """What an array is, without its entries."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_npy(path: Path) -> np.ndarray:
    """Reads a `.npy` file as `read_any_npy`.

    Raises:
        UsageError: the file cannot be read, or holds neither numbers nor text.
    """
    array = read_any_npy(path)
    _check_kind("it", array, path)
    return array


def read_any_npy(path: Path) -> np.ndarray:
    """Reads a `.npy` file; in the place of what is neither numbers nor text stands `unread`.

    One larger than `MAPPED` bytes stays on the disk, as a memory map.

    Raises:
        UsageError: the file cannot be read.
    """
    with reading(path, _ADVICE):  # numpy evaluates the header, and raises what comes of it
        found, size = npy_head(path), path.stat().st_size
        if found.dtype.kind not in KINDS:
            return unread(found)
        _check_size(*found, size)
        mode = "r" if size > MAPPED else None
        return _decoded(np.load(path, mmap_mode=mode, allow_pickle=False))


def npy_head(path: Path) -> Head:
    """Returns the shape and the type of the array of a `.npy` file; raises as `head`."""
    with open(path, "rb") as file:
        return head(file)


def unread(announced: Head) -> np.ndarray:
    """Returns an array of a shape and type without entries of its own, nor room for them.

    It stands for arrays that are neither numbers nor text: they may lie unused in a file.
    """
    return np.broadcast_to(np.empty((), announced.dtype), announced.shape)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file.

    Raises:
        UsageError: as `read_npy`; names the array.
    """
    found = read_any_npz(path)
    for name, array in found.items():
        _check_kind(name, array, path)
    return found


def read_any_npz(path: Path, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays `names` (None: all) of an `.npz`; in the place of other things is `unread`.

    Raises:
        UsageError: the file cannot be read.
    """
    with reading(path, _ADVICE):  # zipfile raises what a damaged archive leads it to
        heads = {k: v for k, v in npz_heads(path).items() if names is None or k in names}
        check_room(sum(_bytes(*found) for found in heads.values() if found.dtype.kind in KINDS))
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is no .npz file")
            return {name: _member(file, name, found) for name, found in heads.items()}


def map_npz(path: Path, names: Container[str], advice: str = _ADVICE) -> dict[str, np.ndarray]:
    """Opens the arrays `names` of an `.npz` as memory maps; packed ones and texts are read.

    Args:
        path: the file.
        names: of the arrays; those that it does not have are left out.
        advice: what to do where it cannot be read.

    Raises:
        UsageError: as `read_any_npz`.
    """
    found, others = {}, set()
    with reading(path, advice), zipfile.ZipFile(path) as file, open(path, "rb") as raw:
        heads = {name: head for name, head in npz_heads(path).items() if name in names}
        for member in file.infolist():
            name = member.filename.removesuffix(".npy")
            if name not in heads:
                continue
            plain = member.compress_type == zipfile.ZIP_STORED and heads[name].dtype.kind in "biuf"
            if not (plain and all(heads[name].shape)):
                others.add(name)
                continue
            raw.seek(member.header_offset + 26)  # the lengths of the two fields behind them
            raw.seek(sum(struct.unpack("<2H", raw.read(4))), os.SEEK_CUR)
            shape, column_first, dtype = _header(raw)
            order = "F" if column_first else "C"
            found[name] = np.memmap(path, dtype, "r", raw.tell(), shape, order)
    return found | (read_any_npz(path, others) if others else {})


def npz_heads(path: Path) -> dict[str, Head]:
    """Returns the shape and the type of every array of an `.npz` file, without reading them.

    Raises:
        ValueError: an array cannot be as large as it says; or whatever zipfile raises.
    """
    found = {}
    with zipfile.ZipFile(path) as file:
        for member in file.infolist():
            name = member.filename.removesuffix(".npy")
            if not name.isprintable():
                raise ValueError("its arrays have no printable names")
            if name in found:
                raise ValueError(f"it has two arrays {name}")
            limit = DEFLATED * member.compress_size + 1024
            if member.compress_type == zipfile.ZIP_DEFLATED and member.file_size > limit:
                raise ValueError(f"{name} cannot be as large as it says")
            with file.open(member) as stream, _naming(name):
                found[name] = head(stream)
            _check_size(*found[name], member.file_size, name)
    return found


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Puts the name of an array before what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def head(stream: IO[bytes]) -> Head:
    """Reads the shape and the type of the array of a `.npy` file.

    Raises:
        ValueError: it is no `.npy` file; numpy's reader, which evaluates the header, may raise
            anything else.
    """
    shape, _, dtype = _header(stream)
    return Head(shape, dtype)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Returns an array's shape, whether its first axis is the fastest, and its type."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format is not known")
    # Version 3 has other names of fields than 2, and arrays of fields are refused.
    later = version > (1, 0)
    read = np.lib.format.read_array_header_2_0 if later else np.lib.format.read_array_header_1_0
    return read(stream)


def check_room(size: int) -> None:
    """Raises a `ValueError` if arrays of so many bytes do not fit into the machine's memory."""
    room = _memory()
    if size > room:
        raise ValueError(
            f"its arrays take {size / 1e9:.1f} GB, but the memory of this machine is "
            f"{room / 1e9:.1f} GB; a folder of .npy files is read from the disk"
        )


@functools.cache
def _memory() -> int:
    """Returns the bytes of memory that the machine has, or that its container may take."""
    room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # "max": there is none
        with contextlib.suppress(OSError, ValueError):
            room = min(room, int(Path("/sys/fs/cgroup", limit).read_text()))
    return room


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape) * max(dtype.itemsize, 1)  # text of no letter takes room, too


def _check_size(shape: tuple[int, ...], dtype: np.dtype, size: int, name: str = "it") -> None:
    """Raises before anything of the announced size is made room for."""
    if not dtype.hasobject and _bytes(shape, dtype) > size:
        raise ValueError(f"{name} announces {list(shape)} {dtype}, more than its {size} bytes")


def _member(file: np.lib.npyio.NpzFile, name: str, announced: Head) -> np.ndarray:
    if announced.dtype.kind not in KINDS:
        return unread(announced)
    with _naming(name):
        return _decoded(file[name])


def as_text(array: np.ndarray) -> np.ndarray:
    """Turns bytes (`S`, or objects that are all text) into text; other bytes are replaced.

    Bytes are read as UTF-8. Objects of other kinds are left alone.
    """
    if array.dtype.kind not in "SO" or not all(isinstance(x, bytes | str) for x in array.flat):
        return array
    texts = [x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in array.flat]
    return np.array(texts, np.str_).reshape(array.shape)


def _check_kind(name: str, array: np.ndarray, path: Path) -> None:
    if array.dtype.kind not in KINDS:
        wrong = f"{name} holds {array.dtype}; save numbers or text"
        raise UsageError(f"{path} cannot be read ({wrong}); {_ADVICE}")


def _decoded(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "U":  # 32 bits a character, of which not all are one
        array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le")
    return as_text(array)
