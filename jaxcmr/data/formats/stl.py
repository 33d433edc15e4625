"""Reads meshes of the stereolithography format (`.stl`), ASCII and binary."""

import re

import numpy as np

from jaxcmr.data.formats.textfiles import parse_numbers
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError

HEAD = 84  # bytes of a binary file before its triangles: a free text, and their number
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"\bvertex\s+(\S+\s+\S+\s+\S+)", re.IGNORECASE)
_TEXT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*solid\b.{0,4096}?(facet|endsolid)", re.IGNORECASE | re.DOTALL
)
_LOOP = re.compile(rb"outer\s+loop", re.IGNORECASE)


def parse_stl(data: bytes, name: str) -> Mesh:
    """Parses the triangles of a file; each has vertices of its own.

    A binary file is known by its length: both forms may begin with `solid`.

    Raises:
        UsageError: damaged, cut off, or without a triangle.
    """
    count = int.from_bytes(data[80:HEAD], "little")
    needed = HEAD + count * _TRIANGLE.itemsize
    if len(data) != needed and _TEXT.match(data):
        corners = _ascii(data, name)
    elif len(data) >= max(needed, HEAD):
        corners = np.frombuffer(data, _TRIANGLE, count, HEAD)["corners"]
    else:
        raise UsageError(
            f"{name} is no .stl file or was cut off: it has {len(data)} bytes, but its header "
            f"announces {needed}; get it again"
        )
    if not len(corners):
        raise UsageError(f"{name} holds no face; a mesh is needed")
    with np.errstate(invalid="ignore"):  # a signalling NaN
        vertices = corners.reshape(-1, 3).astype(np.float64)
    return Mesh(vertices, np.arange(len(vertices)).reshape(-1, 3))


def _ascii(data: bytes, name: str) -> np.ndarray:
    lines = _VERTEX.findall(data)
    numbers = parse_numbers(b"\n".join(lines))
    if numbers is None:
        raise UsageError(f"{name} has a line vertex that is not three numbers; save it again")
    if b"endsolid" not in data.lower():
        raise UsageError(f"{name} is cut off: it does not end in 'endsolid'; get it again")
    if len(lines) != 3 * len(_LOOP.findall(data)):
        raise UsageError(f"{name} has facets that are not of three vertices; triangulate the mesh")
    return numbers.reshape(-1, 3, 3)
