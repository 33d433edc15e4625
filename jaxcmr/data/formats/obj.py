"""Reads the faces of Wavefront files (`.obj`)."""

import array

import numpy as np

from jaxcmr.data.formats.polygons import polygon_mesh
from jaxcmr.data.formats.textfiles import parse_numbers
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError

MAX_INDEX = 1 << 40
BOM = b"\xef\xbb\xbf"  # some editors put it before the first line


def parse_obj(data: bytes, name: str) -> Mesh:
    """Parses the vertices `v` and the polygons `f` of all groups of a file, by their places alone.

    A corner is `v`, `v/vt`, `v//vn` or `v/vt/vn`, counted from 1, or backwards from -1, the last
    vertex so far. Lines, points and free-form surfaces are passed over, as are colors and weights
    behind a vertex. No other file (`mtllib`) is read.

    Raises:
        UsageError: a line is malformed, or there is no face; names the file and the line.
    """
    data = data.removeprefix(BOM)
    data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")  # a line goes on in the next one
    places: list[bytes] = []
    corners, counts = array.array("q"), array.array("q")
    for number, line in enumerate(data.splitlines(), 1):
        line = line.partition(b"#")[0]
        words = line.split()
        if not words:
            continue
        if words[0] == b"v":
            places.append(line.lstrip()[1:])
        elif words[0] in (b"f", b"fo"):
            try:
                face = [_corner(word, len(places)) for word in words[1:]]
            except ValueError:
                raise UsageError(f"{name}, line {number}: no face: {_shown(line)}") from None
            corners.extend(face)
            counts.append(len(face))
    if not counts:
        raise UsageError(f"{name} holds no face; a mesh is needed")
    return polygon_mesh(
        _vertices(places, name), np.array(corners, np.int64), np.array(counts), name
    )


def _corner(word: bytes, seen: int) -> int:
    """Returns the vertex of a corner, counted from 0, where `seen` vertices stand before it."""
    index = int(word.partition(b"/")[0])
    if index == 0 or abs(index) > MAX_INDEX:
        raise ValueError
    return index - 1 if index > 0 else seen + index


def _vertices(places: list[bytes], name: str) -> np.ndarray:
    widths = {len(line.split()) for line in places}
    numbers = parse_numbers(b"\n".join(places)) if len(widths) == 1 else None
    if numbers is not None and min(widths) >= 3:
        return numbers.reshape(len(places), -1)[:, :3]
    rows = []
    for line in places:
        row = parse_numbers(line)
        if row is None or len(row) < 3:
            raise UsageError(f"{name}: no vertex (v x y z): {_shown(b'v ' + line.strip())}")
        rows.append(row[:3])
    return np.array(rows, np.float64).reshape(-1, 3)


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("latin-1"))
