"""Reads HDF5 files: all arrays, those in groups too, and nothing from outside of the file."""

from __future__ import annotations

import math
import mmap
from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np

from jaxcmr.errors import reading
from jaxcmr.packages import Later
from jaxcmr.storage import numpyfiles
from jaxcmr.storage.lazy import LazyRows

h5py = Later("h5py")
_HEAP = b"GCOL\x01\0\0\0"  # where a global heap begins, in which texts of any length lie
_ADVICE = "get or write it again"
_SMALL = 1 << 24  # bytes up to which an array may take no room in its file, never written


def read_hdf5(path: Path, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays `names` (None: all); the one `x` in the group `train` is `train/x`.

    Text becomes numpy's unicode. Arrays of other types (compounds, references) are handed out as
    they are.

    Raises:
        UsageError: the file cannot be read, or leads to other files.
    """
    with reading(path, _ADVICE), h5py.File(path) as file:  # h5py raises anything for damage
        found = {k: v for k, v in datasets(file) if names is None or k in names}
        numpyfiles.check_room(sum(_size(item) for item in found.values()))
        return {name: read_dataset(item, name) for name, item in found.items()}


def hdf5_rows(path: Path, names: Container[str]) -> dict[str, LazyRows]:
    """Opens the arrays `names`, whose rows are read at each use; the file stays open for them.

    Raises:
        UsageError: as `read_hdf5`.
    """
    with reading(path, _ADVICE):
        found = {name: item for name, item in datasets(h5py.File(path)) if name in names}
        for name, item in found.items():
            _check_room(item, name)
    read = lambda item: lambda rows: np.stack([item[int(row)] for row in rows])
    return {name: LazyRows(read(item), item.shape, item.dtype) for name, item in found.items()}


def hdf5_heads(path: Path) -> dict[str, numpyfiles.Head]:
    """Returns the shape and the type of every array of a file, without reading them.

    Raises:
        UsageError: as `read_hdf5`.
    """
    with reading(path, _ADVICE), h5py.File(path) as file:
        return {name: numpyfiles.Head(x.shape or (), x.dtype) for name, x in datasets(file)}


def datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields the name and the data set of every array of a file.

    Raises:
        ValueError: a link leads to another file.
    """
    seen, groups = {file}, [("", file)]  # a group may hold itself
    while groups:
        prefix, group = groups.pop()
        for key in group:
            name = f"{prefix}{key}"
            item = member(group, key, name)
            if isinstance(item, h5py.Dataset):
                yield name, item
            elif isinstance(item, h5py.Group) and item not in seen:
                seen.add(item)
                groups.append((f"{name}/", item))


def member(group: h5py.Group, key: str, name: str) -> h5py.Group | h5py.Dataset | None:
    """Returns what `key` names in a group; None if its link leads nowhere.

    Raises:
        ValueError: it leads to another file, or has no printable name.
    """
    if not name.isprintable():
        raise ValueError("its arrays have no printable names")
    if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
        raise ValueError(f"{name} leads to another file; copy its array into this one")
    return group.get(key)


def read_dataset(item: h5py.Dataset, name: str) -> np.ndarray:
    """Reads one array.

    Raises:
        ValueError: it lies in other files, is larger than what the file has stored of it, or is of
            texts that could not be read to their end.
    """
    _check_room(item, name)
    if item.shape is None:
        return np.zeros(0, item.dtype)
    if item.dtype.hasobject:
        _check_heaps(item.file)
    return numpyfiles.as_text(np.asarray(item[()]))


def _check_room(item: h5py.Dataset, name: str) -> None:
    """Raises a ValueError if an array lies in other files, or takes too little room in its own."""
    if item.is_virtual or item.external:
        raise ValueError(f"{name} leads to another file; copy its array into this one")
    if _size(item) > _SMALL + numpyfiles.DEFLATED * item.id.get_storage_size():
        raise ValueError(f"{name} announces {list(item.shape)}, of which the file holds nothing")


def _size(item: h5py.Dataset) -> int:
    return math.prod(item.shape or (0,)) * item.dtype.itemsize


def _check_heaps(file: h5py.File) -> None:
    """Raises a ValueError if the objects of a heap do not follow each other to its end.

    The HDF5 library goes from one object to the next by their sizes and trusts them: free space of
    size 0 leads it to the same place for ever, and nothing can stop it.
    """
    aligned = lambda size: -(-size // 8) * 8
    width = file.id.get_create_plist().get_sizes()[1]  # bytes of a size
    head = aligned(8 + width)  # bytes before the first object, and before the data of each
    with (
        open(file.filename, "rb") as raw,
        mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        number = lambda place, count: int.from_bytes(data[place : place + count], "little")
        start = data.find(_HEAP)
        while start >= 0:
            end = start + number(start + 8, width)
            place = start + head
            while place + head <= min(end, len(data)):
                size = number(place + 8, width)
                free = number(place, 2) == 0  # its size counts its own head
                step = size if free else head + aligned(size)
                if step < head or place + step > end:
                    raise ValueError("a heap of texts is damaged")
                place += step
            start = data.find(_HEAP, start + 1)
