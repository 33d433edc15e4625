"""The layout of safetensors files: length of the header (8 bytes), JSON header, raw numbers.

The header names each array with its type, its shape and its place; under `__metadata__` it may hold
texts by name. Nothing in such a file is ever executed.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcmr.storage.files import write_atomically

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "bfloat16",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
METADATA = "__metadata__"
ALIGNED = 64  # bytes: the numbers begin at a multiple of it, as devices and vector units like it


class Place(NamedTuple):
    """Where an array lies.

    Attributes:
        dtype: its name for numpy, "bfloat16" for that of JAX.
        shape: of the array.
        start: its first byte in the file.
        stop: the byte behind its last one.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Blocks(NamedTuple):
    """An array to be written, which need not fit into memory.

    Attributes:
        dtype: of the numbers.
        shape: of the whole.
        parts: its rows, block by block.
    """

    dtype: Any
    shape: tuple[int, ...]
    parts: Iterable[np.ndarray]


def layout(raw: Any) -> tuple[dict[str, Any], dict[str, Place]]:
    """Returns the metadata of a file, and where its arrays lie.

    Args:
        raw: the whole file, as bytes or as a memory map of bytes.

    Raises:
        ValueError: the header is damaged, or points outside the file; the error says where.
    """
    size = len(raw)
    length = int.from_bytes(bytes(raw[:8]), "little")
    if length > size - 8:
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    try:
        header = json.loads(bytes(raw[8 : 8 + length]))
        metadata = header.pop(METADATA, {})
        places = {name: _place(name, entry, 8 + length, size) for name, entry in header.items()}
        return dict(metadata), places
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _place(name: str, entry: dict, first: int, size: int) -> Place:
    kind, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in DTYPES:
        raise ValueError(f"{name} has the unknown dtype {kind!r}")
    if any(not isinstance(n, int) or n < 0 for n in (*shape, start, stop)):
        raise ValueError(f"{name} has the shape {shape} at bytes {start} to {stop}")
    bytes_of_all = math.prod(shape) * jnp.dtype(DTYPES[kind]).itemsize
    if stop > size - first or stop - start != bytes_of_all:
        raise ValueError(f"{name} of shape {shape} does not fit bytes {start} to {stop}")
    return Place(DTYPES[kind], tuple(shape), first + start, first + stop)


def write(path: Path, arrays: Mapping[str, np.ndarray | Blocks], metadata: dict[str, str]) -> None:
    """Writes arrays by name, whole or not at all; raises as `files.write_atomically`."""
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items() if dtype != "bfloat16"}
    blocks = {
        name: array if isinstance(array, Blocks) else Blocks(array.dtype, array.shape, (array,))
        for name, array in arrays.items()
    }
    header: dict[str, Any] = {METADATA: metadata}
    stop = 0
    for name, (dtype, shape, _) in blocks.items():
        start, stop = stop, stop + math.prod(shape) * np.dtype(dtype).itemsize
        little = np.dtype(dtype).newbyteorder("<")
        header[name] = {"dtype": names[little], "shape": shape, "data_offsets": [start, stop]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % ALIGNED)

    def save(file: Any) -> None:
        file.write(len(text).to_bytes(8, "little") + text)
        for dtype, _, parts in blocks.values():
            for part in parts:
                little = np.dtype(dtype).newbyteorder("<")
                file.write(np.ascontiguousarray(part, little))

    write_atomically(path, save)
