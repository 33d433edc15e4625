"""Triangle meshes on the host: normalisation, area-weighted sampling, drawing-independent facts."""

from typing import NamedTuple

import numpy as np

from jaxcmr.errors import UsageError


class Mesh(NamedTuple):
    """A triangle soup: `vertices [V, 3]` float64 (z up), `faces [F, 3]` int64 rows of vertices."""

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def triangles(self) -> np.ndarray:
        """The corners of the faces, `[F, 3, 3]`."""
        return self.vertices[self.faces]


def normalize(points: np.ndarray, name: str) -> np.ndarray:
    """Centers `points [..., N, 3]` on their bounding box and scales them into the unit sphere.

    `x' = (x - (max + min) / 2) / max |x - (max + min) / 2|`; doing it twice changes nothing.

    Raises:
        UsageError: a coordinate is not finite, or all points coincide; `name` tells where.
    """
    if not np.isfinite(points).all():
        raise UsageError(f"{name} has coordinates that are not finite; repair or remove the file")
    low, high = points.min(axis=-2, keepdims=True), points.max(axis=-2, keepdims=True)
    # Halves before the sum: coordinates near the largest float must not overflow.
    centered = points - (low / 2 + high / 2)
    extent = np.abs(centered).max(axis=(-2, -1), keepdims=True)
    if not np.isfinite(extent).all() or (extent <= 0).any():
        raise UsageError(f"{name} has no extent (all points coincide); remove the object")
    centered = centered / extent
    return centered / np.linalg.norm(centered, axis=-1).max(axis=-1)[..., None, None]


def normalize_mesh(mesh: Mesh, name: str) -> Mesh:
    """Returns the mesh of the referenced vertices alone, normalized as by `normalize`.

    Raises:
        UsageError: as `normalize`, or the mesh has no face.
    """
    if not len(mesh.faces):
        raise UsageError(f"{name} has no face; remove the object")
    used, faces = np.unique(mesh.faces, return_inverse=True)
    return Mesh(normalize(mesh.vertices[used], name), faces.reshape(-1, 3))


def face_areas(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Returns the unit normals `[F, 3]` (zero for a degenerate face) and the areas `[F]`."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    cross = np.cross(b - a, c - a)
    double = np.linalg.norm(cross, axis=-1)
    normals = np.divide(cross, double[:, None], out=np.zeros_like(cross), where=double[:, None] > 0)
    return normals, double / 2


def sample_surface(
    mesh: Mesh, count: int, rng: np.random.Generator, name: str = "the mesh"
) -> np.ndarray:
    """Draws `count` points uniformly from the surface.

    A face is drawn with a probability proportional to its area; inside it, with `r1, r2 ~ U(0,1)`,
    `x = (1 - sqrt(r1)) a + sqrt(r1) (1 - r2) b + sqrt(r1) r2 c` (Osada et al., Shape
    distributions, ACM TOG 2002).

    Returns:
        `[count, 3]` float32, in the coordinates of the mesh.

    Raises:
        UsageError: the surface has no area.
    """
    _, areas = face_areas(mesh)
    total = areas.sum()
    if not total > 0:
        raise UsageError(f"{name} has faces without area only; remove the object")
    # Stratified over the cumulated area: fewer clumps than independent draws, same distribution.
    positions = (np.arange(count) + rng.random(count)) / count * total
    chosen = np.minimum(np.searchsorted(np.cumsum(areas), positions, "right"), len(areas) - 1)
    a, b, c = np.moveaxis(mesh.triangles[chosen], 1, 0)
    root, r2 = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    points = (1 - root) * a + root * (1 - r2) * b + root * r2 * c
    return rng.permutation(points).astype(np.float32)
