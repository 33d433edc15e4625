"""Meshes and clouds in the formats that a library reads: `.obj`, `.ply`, `.stl`, `.glb`."""

from pathlib import Path

import numpy as np
import trimesh

from jaxcmr.data.geometry import Mesh
from jaxcmr.data.ply import parse_ply_mesh
from jaxcmr.errors import UsageError


def load_mesh(path: Path) -> Mesh:
    """Reads the triangles of a mesh file (all parts of a scene, in place) through trimesh."""
    if path.suffix.lower() == ".ply":
        return parse_ply_mesh(path.read_bytes(), str(path))
    loaded = _load(path)
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_mesh()
    faces = getattr(loaded, "faces", None)
    if faces is None or not len(faces):
        raise UsageError(f"{path} holds no face; a mesh is needed")
    vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(faces, np.int64)
    if vertices.shape[1:] != (3,) or faces.shape[1:] != (3,):
        raise UsageError(f"{path} holds no triangles in space; save the mesh again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise UsageError(f"{path} has a face of vertices that it lacks; save the mesh again")
    return Mesh(vertices, faces)


def _load(path: Path):
    try:
        return trimesh.load(path, process=False, skip_materials=True, resolver=None)
    except Exception as error:  # trimesh raises whatever its parsers happen to meet
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise UsageError(f"{path} cannot be read ({reason})") from None
