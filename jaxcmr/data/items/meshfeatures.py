"""What an encoder of meshes sees: faces with their centers, corners, normals and neighbors."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh, face_areas

WELD = 1e-6  # vertices closer than this, in the unit sphere, count as one


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
