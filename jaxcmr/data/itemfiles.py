"""Reads one item of a person's own files: a picture, a cloud, the surface of a mesh."""

from pathlib import Path

import numpy as np

from jaxcmr import numpyfiles
from jaxcmr.data import pictures
from jaxcmr.data.geometry import Mesh, normalize, normalize_mesh, sample_surface
from jaxcmr.data.off import parse_off
from jaxcmr.errors import UsageError

VERSION = 2  # part of the cache key; raise it when the same file gives another array
MESHES = (".off", ".obj", ".ply", ".stl", ".glb")
CLOUDS = (".npy", ".ply", ".pcd")
MAX_BYTES = 1 << 30


def read_picture(path: Path, size: int, channels: int) -> np.ndarray:
    """Reads a picture as `[size, size, channels]` uint8: fitted in, centered on white."""
    _check_suffix(path, pictures.SUFFIXES)
    return pictures.read_image(path, size, channels)


def read_cloud(path: Path, count: int, seed: int) -> np.ndarray:
    """Reads a cloud (`.npy [N, 3]`, `.ply`, `.pcd`) as `[count, 3]` float32 in the unit sphere."""
    _check_suffix(path, CLOUDS)
    if path.suffix.lower() == ".npy":
        cloud = numpyfiles.read_npy(path)
    else:
        from jaxcmr.data.shapefiles import load_points

        cloud = load_points(path)
    if cloud.ndim != 2 or cloud.shape[1] < 3 or not len(cloud) or cloud.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds {cloud.dtype} {list(cloud.shape)}, not numbers [N, 3]")
    points = normalize(cloud[:, :3].astype(np.float64), str(path))
    rows = np.random.default_rng(seed).permutation(len(points))
    return points[np.resize(rows, count)].astype(np.float32)


def read_surface(path: Path, count: int, seed: int) -> np.ndarray:
    """Reads a mesh as `[count, 3]` float32 points drawn from its surface, in the unit sphere."""
    from jaxcmr.data.shapefiles import load_mesh

    _check_suffix(path, MESHES)
    mesh: Mesh = (
        parse_off(_bytes(path), str(path)) if path.suffix.lower() == ".off" else load_mesh(path)
    )
    rng = np.random.default_rng(seed)
    return sample_surface(normalize_mesh(mesh, str(path)), count, rng, str(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} must end in one of {', '.join(suffixes)}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB")
