"""Reads meshes and clouds in the Polygon File Format (`.ply`), ASCII and binary."""

import array
import struct
from typing import NamedTuple

import numpy as np

from jaxcmr.data.formats.polygons import polygon_mesh, strip_triangles
from jaxcmr.data.formats.textfiles import parse_numbers
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError

MAX_HEADER = 1 << 20
BLOCK = 1 << 18  # numbers that are gathered together
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_NUMPY = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8",
}  # fmt: skip
_STRUCT = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
           "f4": "f", "f8": "d"}  # fmt: skip
_CORNERS = ("vertex_indices", "vertex_index")


class Property(NamedTuple):
    """A number of each row of an element, or with a `count_type` a list of numbers."""

    name: str
    type: str  # of numpy, with the order of bytes
    count_type: str = ""


class Element(NamedTuple):
    """A table of the file: `rows` rows of the same properties."""

    name: str
    rows: int
    properties: list[Property]


class Body(NamedTuple):
    """The tables of a file, and the bytes that follow each other behind the header."""

    elements: list[Element]
    data: memoryview
    name: str  # of the file, for messages


def parse_ply_points(data: bytes, name: str) -> np.ndarray:
    """Parses the vertices `[N, 3]` float64 of a file; its other elements are passed over.

    Raises:
        UsageError: damaged, cut off, or without vertices.
    """
    return _tables(_body(data, name), ["vertex"])["vertex"]


def parse_ply_mesh(data: bytes, name: str) -> Mesh:
    """Parses the vertices and the faces (polygons of any mixture of sizes, or strips) of a file.

    Raises:
        UsageError: as `parse_ply_points`, or without faces.
    """
    body = _body(data, name)
    if not (faces := _faces(body)):
        raise UsageError(f"{name} holds no face; a mesh is needed")
    return _mesh(body, faces)


def parse_ply_shape(data: bytes, name: str) -> Mesh | np.ndarray:
    """Parses a mesh, or where a file has no faces the points `[N, 3]`; raises as these."""
    body = _body(data, name)
    faces = _faces(body)
    return _mesh(body, faces) if faces else _tables(body, ["vertex"])["vertex"]


def _faces(body: Body) -> str:
    """Returns the name of the element that holds the faces; "" if there are none."""
    names = [element.name for element in body.elements if element.rows]
    return next((known for known in ("face", "tristrips") if known in names), "")


def _mesh(body: Body, faces: str) -> Mesh:
    tables = _tables(body, ["vertex", faces])
    corners, counts = tables[faces]
    if faces == "tristrips":
        corners = strip_triangles(np.insert(corners, np.cumsum(counts), -1)).reshape(-1)
        counts = np.full(len(corners) // 3, 3)
    return polygon_mesh(tables["vertex"], corners, counts, body.name)


def _body(data: bytes, name: str) -> Body:
    """Parses the header; the numbers of an ASCII file become bytes of float64."""
    end = data.find(b"end_header", 0, MAX_HEADER)
    if data[:3] != b"ply" or end < 0:
        raise UsageError(f"{name} is no .ply file, or its header is cut off; get it again")
    lines = [line.split() for line in data[:end].decode("latin-1").splitlines()]
    kinds = [words[1] for words in lines if words[:1] == ["format"] and len(words) > 1]
    if len(kinds) != 1 or kinds[0] not in _ORDERS:
        found = " and ".join(kinds)[:40]
        raise UsageError(f"{name} has the format {found!r}; it must be one of {', '.join(_ORDERS)}")
    ascii = kinds == ["ascii"]
    elements = []
    for words in lines:
        try:
            if words[:1] == ["element"]:
                _, element, rows = words
                if not rows.isdecimal() or len(rows) > 15:
                    raise ValueError
                elements.append(Element(element, int(rows), []))
            elif words[:1] == ["property"]:
                elements[-1].properties.append(_property(words[1:], _ORDERS[kinds[0]], ascii))
        except (ValueError, KeyError, IndexError):
            line = " ".join(words)[:60]
            raise UsageError(f"{name} has a header with the line {line!r}; save it again") from None
    end += len(b"end_header")
    end += 2 if data[end : end + 2] == b"\r\n" and data[3:5] == b"\r\n" else 1
    if not ascii:
        return Body(elements, memoryview(data)[end:], name)
    numbers = parse_numbers(data[end:])
    if numbers is None:
        raise UsageError(f"{name} is damaged: what follows its header is not all numbers")
    return Body(elements, memoryview(numbers.view(np.uint8)), name)


def _property(words: list[str], order: str, ascii: bool) -> Property:
    kind = lambda word: "<f8" if ascii and _NUMPY[word] else order + _NUMPY[word]
    if words[0] == "list":
        _, count_type, item_type, name = words
        return Property(name, kind(item_type), kind(count_type))
    item_type, name = words
    return Property(name, kind(item_type))


def _tables(body: Body, wanted: list[str]) -> dict:
    """Reads the elements `wanted`: `vertex` as `[V, 3]`, others as corners and counts."""
    found = {}
    place = 0
    for element in body.elements:
        if all(name in found for name in wanted):
            break
        least = sum(np.dtype(p.count_type or p.type).itemsize for p in element.properties)
        if element.rows * least > len(body.data) - place:
            raise _cut(body)
        if any(p.count_type for p in element.properties):
            lists, place = _lists(body, element, place)
        else:
            row = np.dtype([(f"f{k}", p.type) for k, p in enumerate(element.properties)])
            table = np.frombuffer(body.data, row, element.rows, place) if least else None
            lists, place = {}, place + element.rows * least
        if element.name == "vertex" and "vertex" in wanted:
            found["vertex"] = _places(element, table if not lists else None, body)
        elif element.name in wanted:
            found[element.name] = _corners(lists, element, body)
    if "vertex" not in found:
        raise UsageError(f"{body.name} holds no vertex")
    return found


def _cut(body: Body) -> UsageError:
    return UsageError(
        f"{body.name} is cut off, or damaged: its header announces more; get it again"
    )


def _places(element: Element, table: np.ndarray | None, body: Body) -> np.ndarray:
    names = [p.name for p in element.properties]
    if lists := [p.name for p in element.properties if p.count_type]:
        raise UsageError(
            f"{body.name} has lists among the numbers of its vertices ({', '.join(lists[:9])}); "
            "save it without them"
        )
    if table is None or any(names.count(axis) != 1 for axis in "xyz"):
        raise UsageError(f"{body.name} has vertices of {names[:9]}; x, y and z are needed")
    if not len(table):
        raise UsageError(f"{body.name} holds no point")
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.stack([table[f"f{names.index(axis)}"].astype(np.float64) for axis in "xyz"], 1)


def _corners(lists: dict, element: Element, body: Body) -> tuple[np.ndarray, np.ndarray]:
    name = next((known for known in _CORNERS if known in lists), None)
    if name is None:
        names = [p.name for p in element.properties]
        raise UsageError(f"{body.name} has faces of {names[:9]}; {_CORNERS[0]} are needed")
    values, counts = lists[name]
    if values.dtype.kind == "f" and not (np.abs(values) < 2**53).all():
        raise _cut(body)
    corners = values.astype(np.int64)
    if (corners != values).any():
        raise UsageError(f"{body.name} has faces whose corners are no whole numbers; save it again")
    return corners, counts


def _lists(body: Body, element: Element, place: int) -> tuple[dict, int]:
    """Reads the lists of an element: name -> numbers in a row and counts; and where it ends."""
    if not element.rows:
        empty = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        return {p.name: empty for p in element.properties if p.count_type}, place
    return _equal_lists(body, element, place) or _unequal_lists(body, element, place)


def _equal_lists(body: Body, element: Element, place: int) -> tuple[dict, int] | None:
    """Reads rows that are all as long as the first one, at once; None if they are not."""
    starts, counts, end = _walk(body, element._replace(rows=1), place)
    width, rows = end - place, element.rows
    if rows * width > len(body.data) - place:
        return None
    table = np.frombuffer(body.data, np.uint8, rows * width, place).reshape(rows, width)
    part = lambda start, size, kind: np.ascontiguousarray(table[:, start : start + size]).view(kind)
    found = {}
    for k, p in enumerate(p for p in element.properties if p.count_type):
        start, count = int(starts[k][0]) - place, int(counts[k][0])
        size = np.dtype(p.count_type).itemsize
        if (part(start - size, size, p.count_type) != count).any():
            return None
        values = part(start, count * np.dtype(p.type).itemsize, p.type) if count else np.zeros(0)
        found[p.name] = (values.reshape(-1), np.full(rows, count))
    return found, place + rows * width


def _unequal_lists(body: Body, element: Element, place: int) -> tuple[dict, int]:
    starts, counts, end = _walk(body, element, place)
    bytes = np.frombuffer(body.data, np.uint8)
    found = {}
    for k, p in enumerate(p for p in element.properties if p.count_type):
        size = np.dtype(p.type).itemsize
        before = np.cumsum(counts[k]) - counts[k]
        # Where every number of every list lies.
        offsets = np.repeat(starts[k] - before * size, counts[k])
        offsets += np.arange(len(offsets)) * size
        blocks = np.array_split(offsets, len(offsets) // BLOCK + 1)
        values = [bytes[block[:, None] + np.arange(size)].reshape(-1) for block in blocks]
        found[p.name] = (np.concatenate(values).view(p.type), counts[k])
    return found, end


def _walk(body: Body, element: Element, place: int):
    """Finds where the lists of each row begin and how long they are, row by row."""
    order = element.properties[0].type[0]
    steps = []  # bytes before a list's count, its type, its bytes, the bytes of an item
    before = 0
    for p in element.properties:
        size = np.dtype(p.type).itemsize
        if not p.count_type:
            before += size
            continue
        count = struct.Struct(order + _STRUCT[p.count_type[1:]])
        steps.append((before, count, count.size, size, array.array("q"), array.array("q")))
        before = 0
    try:
        for _ in range(element.rows):
            for gap, count, count_size, size, starts, counts in steps:
                place += gap
                length = count.unpack_from(body.data, place)[0]
                place += count_size
                starts.append(place)
                counts.append(int(length))
                if length < 0 or length != counts[-1]:
                    raise _cut(body)
                place += counts[-1] * size
            place += before
    except (struct.error, ValueError, OverflowError):
        raise _cut(body) from None
    if place > len(body.data):
        raise _cut(body)
    return (
        [np.array(starts, np.int64) for *_, starts, _ in steps],
        [np.array(counts, np.int64) for *_, counts in steps],
        place,
    )
