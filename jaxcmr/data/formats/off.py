"""Reads meshes in the Object File Format (`.off`), as ModelNet and Geomview have them."""

import re

import numpy as np

from jaxcmr.data.formats.polygons import polygon_mesh
from jaxcmr.data.formats.textfiles import parse_numbers
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError

VERSION = 3  # part of cache keys; raise it when the same file gives another mesh
Line = tuple[int, str]  # its number in the file, from 1, and its text without comment
# ST, C, N: a vertex has texture coordinates, a color, a normal behind its place; 4: a weight.
_KEYWORD = re.compile(r"((?:ST|C|N|4)*)OFF")  # MeshLab has them in another order than Geomview
_BINARY = re.compile(rb"((?:ST|C|N|4)*)OFF[ \t]+BINARY[ \t\r]*\n")
# The whole head of a file without comments, up to the first vertex.
_PLAIN = re.compile(r"\s*(?:ST|C|N)*OFF\s*(\d{1,11})[ \t]+(\d{1,11})(?:[ \t]+\d+)?[ \t]*\n")


def parse_off(data: bytes, name: str) -> Mesh:
    """Parses the bytes of an `.off` file; `name` is for messages.

    Accepted beyond the plain format: `COFF`, `NOFF`, `STOFF`, `4OFF` and their mixtures, Geomview's
    `OFF BINARY`, a header glued to the counts (`OFF490 518 0`, as in ModelNet40), comments and
    empty lines anywhere, colors behind a vertex or a face. Polygons are cut into triangles (see
    `polygon_mesh`); faces with fewer than three different corners are dropped. Vertices that no
    face refers to are kept: `normalize_mesh` drops them.

    Raises:
        UsageError: the file is malformed or cut off; names the file and the line.
    """
    binary = _BINARY.match(data)
    if binary:
        return _binary_mesh(data[binary.end() :], binary[1].decode(), name)
    text = _text(data, name)
    return _plain_mesh(text, name) or _mesh(text, name)


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            line = data[: error.start].count(b"\n") + 1
            raise UsageError(f"{name}, line {line}: not text; get the file again") from None
        text = data.decode("latin-1")  # a name in a comment
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _plain_mesh(text: str, name: str) -> Mesh | None:
    """Parses a file of places and of faces of one size at once, ten times as fast.

    None if it has anything else: the slow way says in which line.
    """
    head = _PLAIN.match(text)
    if not head:
        return None
    vertex_count, face_count = int(head[1]), int(head[2])
    if 2 * (3 * vertex_count + face_count) > len(text):
        return None
    numbers = parse_numbers(text[head.end() :])
    if numbers is None or len(numbers) <= 3 * vertex_count or not np.isfinite(numbers).all():
        return None
    vertices, faces = np.split(numbers, [3 * vertex_count])
    size = int(faces[0])
    if size < 1 or len(faces) != face_count * (size + 1):
        return None
    faces = faces.reshape(face_count, size + 1)
    given = faces[:, 1:].reshape(-1)
    if (faces[:, 0] != size).any() or given.min() < 0 or given.max() >= vertex_count:
        return None
    corners = given.astype(np.int64)
    if (corners != given).any():
        return None
    return polygon_mesh(vertices.reshape(-1, 3), corners, np.full(face_count, size), name)


def _mesh(text: str, name: str) -> Mesh:
    """Parses line by line, and says which one is wrong."""
    stripped = ((n, line.partition("#")[0].strip()) for n, line in enumerate(text.split("\n"), 1))
    lines = [(number, line) for number, line in stripped if line]
    keyword, (vertex_count, face_count), lines = _header(lines, name)
    if len(lines) < vertex_count + face_count:
        raise UsageError(
            f"{name} is cut off: its header announces {vertex_count} vertices and {face_count} "
            f"faces, but only {len(lines)} lines follow; get the file again"
        )
    vertices = _vertices(lines[:vertex_count], 4 if "4" in keyword else 3, name)
    faces = lines[vertex_count : vertex_count + face_count]
    corners, counts = _faces(faces, vertex_count, name)
    return polygon_mesh(vertices, corners, counts, name)


def _header(lines: list[Line], name: str) -> tuple[str, tuple[int, int], list[Line]]:
    """Returns what stands before OFF, the counts of vertices and faces, and the lines behind."""
    (number, first), *rest = lines or [(1, "")]
    keyword = _KEYWORD.match(first)
    if not keyword:
        raise UsageError(f"{name}, line {number}: an .off file begins with OFF, not {first[:20]!r}")
    counts = first[keyword.end() :].strip()
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
    return keyword[1], (vertex_count, face_count), rest


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 12):
        raise ValueError
    return int(word)


def _vertices(lines: list[Line], size: int, name: str) -> np.ndarray:
    """Returns the places `[V, 3]` from the first `size` numbers of each line."""
    rows = np.zeros((len(lines), size))
    for place, (number, line) in enumerate(lines):
        words = line.split()[:size]
        try:
            rows[place] = [float(words[k]) for k in range(size)]
        except (ValueError, IndexError):
            wanted = "x y z w" if size == 4 else "x y z"
            wrong = f"{name}, line {number}: no vertex ({wanted}): {line[:60]!r}"
            raise UsageError(wrong) from None
    vertices = _places(rows)
    bad = ~np.isfinite(vertices).all(1)
    if bad.any():
        number, line = lines[int(np.argmax(bad))]
        raise UsageError(f"{name}, line {number}: a coordinate is not finite: {line[:60]!r}")
    return vertices


def _places(rows: np.ndarray) -> np.ndarray:
    """Returns `x y z`, divided by the weight where there is one."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return rows[:, :3] if rows.shape[1] == 3 else rows[:, :3] / rows[:, 3:4]


def _faces(lines: list[Line], vertex_count: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the corners of all faces in a row, and how many each has."""
    corners: list[int] = []
    counts = []
    for number, line in lines:
        words = line.split()
        try:
            count = _count(words[0])
            face = [_count(words[k + 1]) for k in range(count)]
        except (ValueError, IndexError):
            wrong = f"{name}, line {number}: no face (count, corners): {line[:60]!r}"
            raise UsageError(wrong) from None
        if face and max(face) >= vertex_count:
            raise UsageError(
                f"{name}, line {number}: a face refers to vertex {max(face)}, "
                f"but there are {vertex_count}"
            )
        corners += face
        counts.append(count)
    return np.array(corners, np.int64), np.array(counts, np.int64)


def _binary_mesh(body: bytes, keyword: str, name: str) -> Mesh:
    """Parses Geomview's binary format: big-endian counts, places, and faces with their colors."""
    size = 3 + ("4" in keyword)
    width = size + 2 * ("ST" in keyword) + 4 * ("C" in keyword) + 3 * ("N" in keyword)
    words = np.frombuffer(body[: len(body) // 4 * 4], ">i4")
    cut = UsageError(f"{name} is damaged or cut off; get the file again")
    if len(words) < 3:
        raise cut
    vertex_count, face_count = int(words[0]), int(words[1])
    if min(words[:2]) < 0 or 3 + vertex_count * width + 2 * face_count > len(words):
        raise cut
    place = 3 + vertex_count * width
    rows = np.frombuffer(body, ">f4", vertex_count * width, 12).reshape(vertex_count, width)
    faces = []
    for _ in range(face_count):
        count = int(words[place]) if place < len(words) else -1
        colors = place + 1 + count
        if count < 0 or colors >= len(words) or words[colors] < 0:
            raise cut
        faces.append(words[place + 1 : colors])
        place = colors + 1 + int(words[colors])
    if place > len(words):
        raise cut
    corners = np.concatenate([*faces, np.zeros(0, np.int64)]).astype(np.int64)
    counts = np.array([len(face) for face in faces], np.int64)
    return polygon_mesh(_places(rows[:, :size].astype(np.float64)), corners, counts, name)
