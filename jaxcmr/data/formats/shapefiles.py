"""Mesh files of all formats, by the ending of their names."""

from collections.abc import Callable
from pathlib import Path

from jaxcmr.data.formats.gltfscene import load_gltf
from jaxcmr.data.formats.obj import parse_obj
from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.formats.ply import parse_ply_mesh
from jaxcmr.data.formats.stl import parse_stl
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError

_PARSERS: dict[str, Callable[[bytes, str], Mesh]] = {
    ".off": parse_off,
    ".obj": parse_obj,
    ".ply": parse_ply_mesh,
    ".stl": parse_stl,
}
MESHES = (*_PARSERS, ".glb", ".gltf")


def load_mesh(path: Path) -> Mesh:
    """Reads the triangles of a mesh file whose name ends in one of `MESHES`, in any case.

    glTF is turned to z up; the other formats have no up axis, and are taken as they are.

    Raises:
        UsageError: the file cannot be read, is damaged, or holds no face.
    """
    data = read_bytes(path)
    suffix = path.suffix.lower()
    if suffix in _PARSERS:
        return _PARSERS[suffix](data, str(path))
    return load_gltf(path, data)


def read_bytes(path: Path) -> bytes:
    """Reads a file whole.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
