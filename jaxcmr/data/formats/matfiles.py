"""Reads MATLAB's files of level 5 (`save -v6`, `-v7`): numbers, texts and cells of them.

scipy's reader trusts the types that a file announces, and a damaged one can end the process.
Source: MathWorks, "MAT-File Format".
"""

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcmr.storage import numpyfiles

_MATRIX, _COMPRESSED = 14, 15  # types of elements
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CODECS = {2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _CHAR, _SPARSE = 1, 4, 5  # classes of arrays
_NUMBERS = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_COMPLEX = 0x800
_SPARSEST = 20_000  # entries for each that is not zero; beyond, a header is damaged
_HEADER = 128
_ORDERS = {b"IM": "little", b"MI": "big"}


def parse_mat(data: memoryview) -> dict[str, Any]:
    """Reads the variables of a file: name -> array, or for a cell the list of its arrays.

    Numbers get the type that they have in MATLAB, whatever they are stored as; texts become an
    array of their rows, sparse arrays full ones. Variables of other classes (structs, complex
    numbers, nested cells, ...) are None.

    Raises:
        ValueError: the file is damaged; says how.
    """
    order = _ORDERS.get(bytes(data[_HEADER - 2 : _HEADER]))
    if order is None:
        raise ValueError("its header names no order of bytes")
    found, place = {}, _HEADER
    while place < len(data):
        kind, content, place = _element(data, place, order)
        if kind == _COMPRESSED:
            kind, content = _decompress(content, order)
        if kind != _MATRIX:
            raise ValueError(f"it has an element of type {kind} where a variable belongs")
        name, value = _variable(content, order)
        if name:
            found[name] = value
    return found


def _element(data: memoryview, place: int, order: str) -> tuple[int, memoryview, int]:
    """Returns the type and the content of the element at `place`, and where the next begins."""
    kind = int.from_bytes(data[place : place + 4], order)
    size = int.from_bytes(data[place + 4 : place + 8], order)
    first, room = place + 8, len(data) - place - 8
    following = first + (size if kind == _COMPRESSED else -(-size // 8) * 8)
    if kind >> 16:  # up to four bytes stand in the tag itself
        kind, size = kind & 0xFFFF, kind >> 16
        first, following = place + 4, place + 8
        room = min(room + 4, 4)
    if size > room:
        raise ValueError(f"the element at byte {place} is cut off")
    return kind, data[first : first + size], following


def _decompress(content: memoryview, order: str) -> tuple[int, memoryview]:
    stream = zlib.decompressobj()
    tag = stream.decompress(content, 8)
    kind, size = (int.from_bytes(part, order) for part in (tag[:4], tag[4:]))
    if size > numpyfiles.DEFLATED * len(content) + 1024:
        raise ValueError(f"a compressed variable announces {size} bytes, more than it can hold")
    numpyfiles.check_room(size)
    body = stream.decompress(stream.unconsumed_tail, size) if size else b""
    if len(body) != size:
        raise ValueError("a compressed variable is cut off")
    return kind, memoryview(body)


def _variable(content: memoryview, order: str, in_cell: bool = False) -> tuple[str, Any]:
    """Returns name and value of an array; the value is None for classes that are left out."""
    if not len(content):  # an empty entry of a cell
        return "", np.zeros((0, 0))
    kind, flags, place = _element(content, 0, order)
    if kind != 6 or len(flags) != 8:
        raise ValueError("a variable has no flags")
    flags = int.from_bytes(flags[:4], order)
    kind, sizes, place = _element(content, place, order)
    shape = np.frombuffer(sizes, np.dtype("i4").newbyteorder(order)).tolist() if kind == 5 else []
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError("a variable has no shape")
    _, name, place = _element(content, place, order)
    name = bytes(name).decode("ascii", "replace")
    if not name.isprintable():
        raise ValueError("a variable has no printable name")
    form = flags & 0xFF
    if form == _CELL and not in_cell:
        return name, _cell(content, place, math.prod(shape), order)
    if form not in (*_NUMBERS, _CHAR, _SPARSE) or flags & _COMPLEX:
        return name, None
    if form == _CHAR:
        return name, _text(content, place, shape, order)
    values, place = _numbers(content, place, name, order)
    if form == _SPARSE:  # the first is the rows
        starts, place = _numbers(content, place, name, order)
        return name, full(values, starts, _numbers(content, place, name, order)[0], shape)
    if len(values) != math.prod(shape):
        raise ValueError(f"{name!r} has {len(values)} numbers for the shape {shape}")
    return name, values.reshape(shape, order="F").astype(_NUMBERS[form])


def _numbers(content: memoryview, place: int, name: str, order: str) -> tuple[np.ndarray, int]:
    kind, stored, place = _element(content, place, order)
    if kind not in _STORED:
        raise ValueError(f"{name!r} is stored as type {kind}, which is none of numbers")
    return np.frombuffer(stored, np.dtype(_STORED[kind]).newbyteorder(order)), place


def full(
    rows: np.ndarray, starts: np.ndarray, values: np.ndarray, shape: Sequence[int]
) -> np.ndarray:
    """Returns the array `shape` of a sparse one: column j has `values[starts[j] : starts[j + 1]]`.

    Raises:
        ValueError: the parts do not fit each other.
    """
    count = int(starts[-1]) if len(starts) == shape[-1] + 1 and len(shape) == 2 else -1
    # MATLAB may keep room for more than `count` numbers.
    if not 0 <= count <= min(len(rows), len(values)):
        raise ValueError(f"a sparse array has {len(values)} numbers, {len(starts)} columns")
    if math.prod(shape) > _SPARSEST * max(count, 1000):
        raise ValueError(f"a sparse array of {count} numbers announces the shape {list(shape)}")
    numpyfiles.check_room(8 * math.prod(shape))
    lengths = np.diff(starts.astype(np.int64))
    if lengths.min(initial=0) < 0 or starts[0] != 0:  # else billions of places before they fail
        raise ValueError("the columns of a sparse array do not follow each other")
    columns = np.repeat(np.arange(shape[1]), lengths)
    found = np.zeros(shape, np.float64)
    try:
        found[rows[:count].astype(np.int64), columns] = values[:count]
    except IndexError as error:
        raise ValueError(str(error)) from None
    return found


def _cell(content: memoryview, place: int, count: int, order: str) -> list[np.ndarray] | None:
    entries = []
    for _ in range(count):
        kind, entry, place = _element(content, place, order)
        if kind != _MATRIX:
            raise ValueError(f"a cell has an element of type {kind}")
        entries.append(_variable(entry, order, in_cell=True)[1])
    return None if any(entry is None for entry in entries) else entries


def _text(content: memoryview, place: int, shape: list[int], order: str) -> np.ndarray:
    kind, stored, _ = _element(content, place, order)
    if kind not in _CODECS:
        raise ValueError(f"a text is stored as type {kind}")
    codec = _CODECS[kind]
    if codec != "utf-8":
        codec += "-le" if order == "little" else "-be"
    letters = np.array(list(bytes(stored).decode(codec, "replace")), "U1")
    if len(letters) != math.prod(shape) or len(shape) != 2:
        raise ValueError(f"a text has {len(letters)} letters for the shape {shape}")
    if not len(letters):  # whatever number of rows is announced
        return np.zeros(0, np.str_)
    rows = letters.reshape(shape, order="F")
    return np.array(["".join(row).rstrip() for row in rows], np.str_)
