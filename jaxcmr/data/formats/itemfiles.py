"""Reads one item of a person's own files: a picture, a cloud, the surface of a mesh."""

from pathlib import Path

import numpy as np
from absl import logging

from jaxcmr.data import cache
from jaxcmr.data.formats import pictures
from jaxcmr.data.formats.gltf import buffer_files
from jaxcmr.data.formats.gltfscene import load_gltf
from jaxcmr.data.formats.obj import parse_obj
from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.formats.pcd import parse_pcd
from jaxcmr.data.formats.ply import parse_ply_mesh, parse_ply_points, parse_ply_shape
from jaxcmr.data.formats.stl import parse_stl
from jaxcmr.data.items.geometry import Mesh, normalize, normalize_mesh, sample_surface
from jaxcmr.errors import UsageError, reading
from jaxcmr.storage.files import MAX_BYTES, read_bytes

VERSION = 6  # part of the cache key; raise it when the same file gives another array
CLOUDS = (".npy", ".ply", ".pcd")
_MESHES = {".off": parse_off, ".obj": parse_obj, ".ply": parse_ply_mesh, ".stl": parse_stl}
MESHES = (*_MESHES, ".glb", ".gltf")


def read_picture(path: Path, size: int, channels: int) -> np.ndarray:
    """Reads a picture as `[size, size, channels]` uint8: fitted in, centered on white."""
    _check_suffix(path, pictures.SUFFIXES)
    return pictures.read_image(path, size, channels)


def read_cloud(path: Path, count: int, seed: int) -> np.ndarray:
    """Reads a cloud (`.npy`, `.ply`, `.pcd`) as `[count, 3]` float32 in the unit sphere.

    The file's axes are kept: z must be up.
    """
    _check_suffix(path, CLOUDS)
    return draw_points(load_cloud(path), count, seed, str(path))


def load_cloud(path: Path) -> np.ndarray:
    """Reads the points `[N, 3]` float64 of a file whose name ends in one of `CLOUDS`.

    Raises:
        UsageError: the file cannot be read, is damaged, or holds no point.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return read_array(path)
    parse = parse_pcd if suffix == ".pcd" else parse_ply_points
    return parse(read_bytes(path), str(path))


def draw_points(cloud: np.ndarray, count: int, seed: int, name: str) -> np.ndarray:
    """Draws `[count, 3]` float32 of a cloud `[N, 3]`, which is brought into the unit sphere."""
    points = normalize(cloud, name)
    rows = np.random.default_rng(seed).permutation(len(points))
    return points[np.resize(rows, count)].astype(np.float32)


def read_array(path: Path) -> np.ndarray:
    """Reads the places `[N, 3]` float64 of a `.npy` file.

    It holds numbers `[N, 3 or more]`, of which the first three columns are x, y and z, or a table
    with fields of these names.

    Raises:
        UsageError: the file cannot be read, or either axis may be that of the points.
    """
    with reading(path, "save plain numbers"):  # numpy evaluates the header: anything may come
        # Mapped: a header that announces too much costs nothing.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is no .npy file")
    return places(array, str(path))


def places(array: np.ndarray, name: str) -> np.ndarray:
    """Returns the places `[N, 3]` float64 that an array holds; as `read_array`."""
    if array.dtype.names:
        return _table(array, name)
    shape = list(array.shape)
    if array.ndim != 2 or shape[1] < 3 or not shape[0] or array.dtype.kind not in "fiu":
        raise UsageError(f"{name} holds {array.dtype} {shape}, not numbers [N, 3]")
    if shape[0] <= shape[1] and shape not in ([1, 3], [2, 3]):
        raise UsageError(
            f"{name} has the shape {shape}, which can mean {shape[0]} points or {shape[1]} points "
            "with their axes first; save it as [N, 3], with more points than columns (array.T "
            "turns it)"
        )
    if shape[1] > 3:
        logging.log_first_n(
            logging.INFO, "%s has %d columns: the first three are taken as x, y and z (said once)",
            1, name, shape[1],
        )  # fmt: skip
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return array[:, :3].astype(np.float64)


def _table(array: np.ndarray, name: str) -> np.ndarray:
    """Returns the fields x, y and z of a structured array."""
    names = array.dtype.names
    if any(axis not in names or array.dtype[axis].kind not in "fiu" for axis in "xyz"):
        raise UsageError(f"{name} needs numbers in the fields x, y and z, but has {names}")
    if not array.size:
        raise UsageError(f"{name} holds no point")
    with np.errstate(invalid="ignore"):
        return np.stack([array[axis].reshape(-1).astype(np.float64) for axis in "xyz"], 1)


def read_surface(path: Path, count: int, seed: int) -> np.ndarray:
    """Reads a mesh as `[count, 3]` float32 points drawn from its surface, in the unit sphere.

    z is up: glTF is turned, the axes of the other formats are kept.
    """
    _check_suffix(path, MESHES)
    return draw_surface(load_mesh(path), count, seed, str(path))


def draw_surface(mesh: Mesh, count: int, seed: int, name: str) -> np.ndarray:
    """Draws `[count, 3]` float32 of a mesh's surface, which is brought into the unit sphere."""
    rng = np.random.default_rng(seed)
    return sample_surface(normalize_mesh(mesh, name), count, rng, name)


def load_mesh(path: Path) -> Mesh:
    """Reads the triangles of a mesh file whose name ends in one of `MESHES`, in any case.

    glTF is turned to z up; the other formats have no up axis, and are taken as they are.

    Raises:
        UsageError: the file cannot be read, is damaged, or holds no face.
    """
    data, suffix = read_bytes(path), path.suffix.lower()
    return _MESHES[suffix](data, str(path)) if suffix in _MESHES else load_gltf(path, data)


def load_shape(path: Path) -> Mesh | np.ndarray:
    """Reads a mesh as `load_mesh`, or a cloud as `load_cloud`; a `.ply` is a mesh if it has faces.

    Raises:
        UsageError: as these.
    """
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return parse_ply_shape(read_bytes(path), str(path))
    return load_mesh(path) if suffix in MESHES else load_cloud(path)


def stamps(path: Path) -> list[tuple[int, int, int]]:
    """Returns the stamps (`cache.stamp`) of a file and of the buffers it names."""
    beside = buffer_files(path) if path.suffix.lower() == ".gltf" else []
    return [cache.stamp(file) for file in (path, *beside) if file.is_file()]


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        columns = {"image": pictures.SUFFIXES, "points": CLOUDS, "mesh": MESHES}
        fit = [repr(column) for column, endings in columns.items() if suffix in endings]
        hint = f", or stand in the column {' or '.join(fit)}" if fit else ""
        raise UsageError(f"{path} must end in one of {', '.join(suffixes)}{hint}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB")
