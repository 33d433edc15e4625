"""Reads meshes in the Object File Format (`.off`), as ModelNet has them."""

import itertools

import numpy as np

from jaxcmr.data.geometry import Mesh
from jaxcmr.errors import UsageError

Line = tuple[int, str]  # its number in the file, from 1, and its text without comment


def parse_off(data: bytes, name: str) -> Mesh:
    """Parses the text of an `.off` file.

    Accepted beyond the format: a header glued to the counts (`OFF490 518 0`, as in ModelNet40),
    comments and empty lines anywhere, colors behind a vertex or a face. Polygons become fans of
    triangles; faces with fewer than three different corners are dropped. Vertices that no face
    refers to are kept: `normalize_mesh` drops them.

    Args:
        data: the bytes of the file.
        name: the file's name, for messages.

    Raises:
        UsageError: the file is malformed or cut off; names the file and the line.
    """
    lines = _content(data, name)
    (vertex_count, face_count), lines = _header(lines, name)
    if len(lines) < vertex_count + face_count:
        raise UsageError(
            f"{name} is cut off: its header announces {vertex_count} vertices and {face_count} "
            f"faces, but only {len(lines)} lines follow; get the file again"
        )
    vertices = _vertices(lines[:vertex_count], name)
    faces = _faces(lines[vertex_count : vertex_count + face_count], vertex_count, name)
    return Mesh(vertices, faces)


def _content(data: bytes, name: str) -> list[Line]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{name}, line {line}: not text; binary .off is not supported") from None
    stripped = ((n, line.partition("#")[0].strip()) for n, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in stripped if line]


def _header(lines: list[Line], name: str) -> tuple[tuple[int, int], list[Line]]:
    """Returns the numbers of vertices and faces, and the lines behind them."""
    if not lines or not lines[0][1].startswith("OFF"):
        found = lines[0][1][:20] if lines else ""
        number = lines[0][0] if lines else 1
        raise UsageError(f"{name}, line {number}: an .off file begins with OFF, not {found!r}")
    number, counts = lines[0][0], lines[0][1][3:].strip()
    rest = lines[1:]
    if not counts:
        if not rest:
            raise UsageError(f"{name} is cut off behind its first line; get the file again")
        (number, counts), rest = rest[0], rest[1:]
    try:
        vertex_count, face_count = (_count(word) for word in counts.split()[:2])
    except ValueError:
        raise UsageError(
            f"{name}, line {number}: expected the numbers of vertices and faces, "
            f"found {counts[:40]!r}"
        ) from None
    return (vertex_count, face_count), rest


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 12):
        raise ValueError
    return int(word)


def _vertices(lines: list[Line], name: str) -> np.ndarray:
    try:
        vertices = np.array([line.split(None, 3)[:3] for _, line in lines], np.float64)
        if vertices.shape != (len(lines), 3):
            vertices = vertices.reshape(len(lines), 3)
    except ValueError:
        vertices = np.array([_vertex(number, line, name) for number, line in lines])
    bad = ~np.isfinite(vertices).all(1)
    if bad.any():
        number, line = lines[int(np.argmax(bad))]
        raise UsageError(f"{name}, line {number}: a coordinate is not finite: {line[:60]!r}")
    return vertices


def _vertex(number: int, line: str, name: str) -> list[float]:
    try:
        x, y, z = (float(word) for word in line.split()[:3])
    except ValueError:
        raise UsageError(f"{name}, line {number}: no vertex (x y z): {line[:60]!r}") from None
    return [x, y, z]


def _faces(lines: list[Line], vertex_count: int, name: str) -> np.ndarray:
    triangles = []
    for number, line in lines:
        words = line.split()
        try:
            corners = [_count(word) for word in words[1 : _count(words[0]) + 1]]
            complete = len(corners) == int(words[0])
        except ValueError:
            complete = False
        if not complete:
            raise UsageError(f"{name}, line {number}: no face (count, corners): {line[:60]!r}")
        if corners and max(corners) >= vertex_count:
            raise UsageError(
                f"{name}, line {number}: a face refers to vertex {max(corners)}, "
                f"but there are {vertex_count}"
            )
        first = corners[0] if corners else 0
        for second, third in itertools.pairwise(corners[1:]):
            if first != second and second != third and third != first:
                triangles.append((first, second, third))
    return np.array(triangles, np.int64).reshape(-1, 3)
