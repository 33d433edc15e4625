"""Meshes and clouds in the formats that a library reads: `.obj`, `.ply`, `.stl`, `.glb`, `.pcd`."""

from pathlib import Path

import numpy as np
import trimesh

from jaxcmr.data.geometry import Mesh
from jaxcmr.errors import UsageError


def load_mesh(path: Path) -> Mesh:
    """Reads the triangles of a mesh file (all parts of a scene, in place) through trimesh."""
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


def load_points(path: Path) -> np.ndarray:
    """Reads the vertices `[N, 3]` of a `.ply` or an ASCII or binary `.pcd`."""
    if path.suffix.lower() == ".pcd":
        return parse_pcd(path.read_bytes(), str(path))
    vertices = getattr(_load(path), "vertices", None)
    if vertices is None or np.ndim(vertices) != 2 or np.shape(vertices)[1] != 3:
        raise UsageError(f"{path} holds no point [N, 3]")
    return np.asarray(vertices, np.float64)


def _load(path: Path):
    try:
        return trimesh.load(path, process=False, skip_materials=True, resolver=None)
    except Exception as error:  # trimesh raises whatever its parsers happen to meet
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise UsageError(f"{path} cannot be read ({reason})") from None


def parse_pcd(data: bytes, name: str) -> np.ndarray:
    """Parses a PCD file (version 0.7, DATA ascii or binary): its fields x, y and z."""
    head, found, body = data.partition(b"\nDATA ")
    kind, _, body = body.partition(b"\n")
    try:
        lines = (line.split() for line in head.decode("ascii").splitlines() if line[:1] != "#")
        header = {words[0]: words[1:] for words in lines if words}
        fields = header["FIELDS"]
        count, kinds = int(header["POINTS"][0]), list(zip(header["TYPE"], header["SIZE"]))
        repeats = [int(word) for word in header.get("COUNT", ["1"] * len(fields))]
        columns = [fields.index(axis) for axis in "xyz"]
        types = {"F": "f", "I": "i", "U": "u"}
        row = np.dtype(
            [
                (f"f{k}", f"<{types[t]}{int(s)}", (c,))
                for k, ((t, s), c) in enumerate(zip(kinds, repeats))
            ]
        )
        if (
            not found
            or not 0 < count <= len(data)
            or set(repeats) != {1}
            or len(kinds) != len(fields)
        ):
            raise ValueError
        if kind.strip() == b"ascii":
            words = [line.split() for line in body.split(b"\n")[:count]]
            points = np.array([[float(line[c]) for c in columns] for line in words])
        elif kind.strip() == b"binary":
            table = np.frombuffer(body, row, count)
            with np.errstate(invalid="ignore"):  # a signalling NaN; `normalize` refuses it
                points = np.concatenate([table[f"f{c}"].astype(np.float64) for c in columns], 1)
        else:
            raise UsageError(
                f"{name}: DATA {kind[:20]!r} is not supported; save it as ascii or binary"
            )
        if points.shape != (count, 3):
            raise ValueError
    except UsageError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError):
        raise UsageError(f"{name} is damaged or cut off; save the .pcd file again") from None
    return points
