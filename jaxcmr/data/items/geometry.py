"""Triangle meshes on the host: normalisation, area-weighted sampling, features of their faces."""

from typing import NamedTuple

import numpy as np

from jaxcmr.errors import UsageError

WELD = 1e-6  # vertices closer than this, in the unit sphere, count as one


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
        UsageError: a coordinate is not finite, or all points coincide.
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
    """Draws points `[count, 3]` float32 uniformly from the surface.

    A face is drawn with a probability proportional to its area; inside it, with `r1, r2 ~ U(0,1)`,
    `x = (1 - sqrt(r1)) a + sqrt(r1) (1 - r2) b + sqrt(r1) r2 c` (Osada et al., Shape
    distributions, ACM TOG 2002).

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


def face_features(mesh: Mesh, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Describes `count` faces of a normalized mesh as MeshNet does (Feng et al., AAAI 2019).

    Of a mesh with more faces, `count` are drawn without repetition with chances proportional to
    their areas (MeshNet's authors simplify the meshes instead); one with fewer is padded and
    masked. Faces without area are left out.

    Returns:
        `centers [count, 3]`; `corners [count, 9]`, relative to the center; `normals [count, 3]`,
        unit; `neighbors [count, 3]` int32, the face behind each edge (itself where there is none,
        or where it was not drawn); `mask [count]` bool. Floats are float32, padding is zero.
    """
    normals, areas = face_areas(mesh)
    sound = np.flatnonzero(areas > 0)
    if len(sound) > count:
        # The largest of log u / area: a draw without repetition (Efraimidis and Spirakis, 2006).
        keys = np.log(1 - rng.random(len(sound))) / areas[sound]
        sound = np.sort(sound[np.argpartition(-keys, count)[:count]])
    kept = len(sound)
    triangles = mesh.triangles[sound]
    centers = triangles.mean(1)
    features = {
        "centers": centers,
        "corners": (triangles - centers[:, None]).reshape(-1, 9),
        "normals": normals[sound],
    }
    pad = ((0, count - kept), (0, 0))
    result = {name: np.pad(array, pad).astype(np.float32) for name, array in features.items()}
    neighbors = np.tile(np.arange(count)[:, None], 3)
    neighbors[:kept] = face_neighbors(mesh.vertices, mesh.faces[sound])
    return {**result, "neighbors": neighbors.astype(np.int32), "mask": np.arange(count) < kept}


def face_neighbors(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Returns `[F, 3]`: the face that shares the edge (0, 1), (1, 2), (2, 0) of each face.

    Vertices at one place count as one, because many files repeat them. Itself where no face shares
    the edge; of three or more that share it, the next one in order.
    """
    _, welded = np.unique(np.round(vertices / WELD).astype(np.int64), axis=0, return_inverse=True)
    corners = welded.reshape(-1)[faces]
    edges = np.sort(np.stack([corners, np.roll(corners, -1, 1)], -1), -1).reshape(-1, 2)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort((owner, edges[:, 1], edges[:, 0]))
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    neighbors = owner.copy()
    after, before = order[1:][same], order[:-1][same]
    neighbors[after] = owner[before]
    neighbors[before] = owner[after]
    return neighbors.reshape(-1, 3)
