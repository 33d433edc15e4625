"""Renders shaded views of meshes and of point clouds, without a display, GPU or graphics driver.

Meshes are ray-cast with Embree (exact visibility, no OpenGL, hence no system library to miss);
clouds are drawn as small discs that lie in the surface. Both share camera and shading.
"""

import numpy as np

from jaxcmr.data.items.geometry import Mesh, face_areas
from jaxcmr.packages import Later

spatial = Later("scipy.spatial")
rtcore_scene, mesh_construction = Later("embreex.rtcore_scene"), Later("embreex.mesh_construction")
BACKGROUND = 1.0
BORDER = 1.04  # the picture is that much wider than the widest view of the object
# In the camera's frame (right, up, towards the viewer): over the left shoulder of the viewer.
LIGHT = np.array([-0.45, 0.6, 0.66]) / np.linalg.norm([-0.45, 0.6, 0.66])
NEIGHBORS = 16
MAX_SPLAT = 6  # pixels; bounds the work where a cloud has a few far points


def camera_ring(views: int, elevation: float = 30.0) -> np.ndarray:
    """Returns the rotations `[views, 3, 3]` of cameras that look at the origin.

    Rows are the camera's right, its up, and the direction towards the camera. Azimuths are
    `360 / views` degrees apart, the first camera stands on the -y axis; `elevation` in degrees.
    """
    azimuth = 2 * np.pi * np.arange(views) / views - np.pi / 2
    tilt = np.deg2rad(elevation)
    zero = np.zeros(views)
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), zero], -1)
    toward = np.stack(
        [np.cos(azimuth) * np.cos(tilt), np.sin(azimuth) * np.cos(tilt), zero + np.sin(tilt)], -1
    )
    return np.stack([right, np.cross(toward, right), toward], 1)


def lambert(normals: np.ndarray) -> np.ndarray:
    """Returns brightness in [0, 1] from unit normals `[..., 3]` in the camera's frame.

    Two-sided Lambert shading, because the faces of CAD models have no reliable orientation:
    `0.22 + 0.73 max(n.l, 0)`, n turned towards the viewer.
    """
    facing = np.where(normals[..., 2:] < 0, -normals, normals)
    return (0.22 + 0.73 * np.maximum(facing @ LIGHT, 0)).astype(np.float32)


def fade(depth: np.ndarray) -> np.ndarray:
    """Returns the factor that darkens what is farther: `0.9 + 0.1 depth`, depth in [-1, 1]."""
    return 0.9 + 0.1 * np.clip(depth, -1, 1)


def render_mesh(mesh: Mesh, cameras: np.ndarray, size: int) -> np.ndarray:
    """Ray-casts a mesh that lies in the unit sphere, orthographically: `[V, size, size]` uint8.

    One ray a pixel; a pixel whose neighbors differ gets four more, so that edges are smooth. 255 is
    the background. The cameras `[V, 3, 3]` are those of `camera_ring`.
    """
    scene = rtcore_scene.EmbreeScene()
    mesh_construction.TriangleMesh(scene, np.ascontiguousarray(mesh.triangles, np.float32))
    normals, _ = face_areas(mesh)
    flat = np.einsum("vij,nj->vni", cameras[:, :2], mesh.vertices)
    half = BORDER * float(np.abs(flat).max())

    brightness_of = lambert(normals @ cameras.transpose(0, 2, 1))  # [V, F]
    axes = cameras.astype(np.float32)
    right, up, toward = half * axes[:, 0], half * axes[:, 1], axes[:, 2]

    def trace(view: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        direction = toward[view]
        origins = x[:, None] * right[view] + y[:, None] * up[view] + 2 * direction
        hits = scene.run(origins, -direction, query="INTERSECT", output=1)
        face = hits["primID"]
        brightness = brightness_of[view, face] * fade(2 - hits["tfar"])
        return np.where(face >= 0, brightness, BACKGROUND)

    step = 2.0 / size
    center = ((np.arange(size) + 0.5) * step - 1).astype(np.float32)
    # Only rays inside the object's box in each view.
    low, high = flat.min(1, keepdims=True) / half - step, flat.max(1, keepdims=True) / half + step
    column_in = (center >= low[..., 0]) & (center <= high[..., 0])
    row_in = (-center >= low[..., 1]) & (-center <= high[..., 1])
    view, row, column = np.nonzero(row_in[:, :, None] & column_in[:, None, :])
    image = np.full((len(cameras), size, size), BACKGROUND, np.float32)
    image[view, row, column] = trace(view, center[column], -center[row])
    view, row, column = np.nonzero(_has_edge(image))
    quarter = np.float32(0.25 * step) * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
    if len(view):
        x = center[column][:, None] + quarter[:, 0]
        y = -center[row][:, None] + quarter[:, 1]
        samples = trace(np.repeat(view, 4), x.ravel(), y.ravel()).reshape(-1, 4)
        image[view, row, column] = samples.mean(1)
    return np.round(255 * image).astype(np.uint8)


def _has_edge(image: np.ndarray) -> np.ndarray:
    """True where a pixel of `[V, H, W]` differs from one of its four neighbors."""
    edge = np.zeros(image.shape, bool)
    across = np.abs(np.diff(image, axis=1)) > 0.03
    along = np.abs(np.diff(image, axis=2)) > 0.03
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[:, :, 1:] |= along
    edge[:, :, :-1] |= along
    return edge


def surface_frame(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Estimates the normals `[N, 3]` of a cloud and the radius that closes its surface.

    The normal is the direction of least variance of the nearest neighbors (Hoppe et al.,
    SIGGRAPH 1992), its sign arbitrary, smoothed once over them: the main axis of the mean of
    `n n^T`, which needs no sign. The radius is the median distance to the fifth neighbor.
    """
    count = min(NEIGHBORS, len(points))
    distance, neighbors = spatial.cKDTree(points).query(points, k=count)
    distance, neighbors = distance.reshape(len(points), -1), neighbors.reshape(len(points), -1)
    local = points[neighbors] - points[neighbors].mean(1, keepdims=True)
    _, vectors = np.linalg.eigh(local.transpose(0, 2, 1) @ local)
    normals = vectors[:, :, 0]
    around = normals[neighbors]
    _, vectors = np.linalg.eigh(around.transpose(0, 2, 1) @ around)
    return vectors[:, :, -1], float(np.median(distance[:, min(5, count - 1)]))


def render_points(points: np.ndarray, cameras: np.ndarray, size: int) -> np.ndarray:
    """Draws a cloud `[N, 3]` that lies in the unit sphere as shaded discs with a depth buffer.

    Each point is a disc in its tangent plane (surface splatting: Zwicker et al., SIGGRAPH 2001,
    without the filter), nearest wins. Arguments and result as `render_mesh`.
    """
    points = np.asarray(points, np.float64)
    normals, radius = surface_frame(points)
    half = BORDER * float(np.abs(np.einsum("vij,nj->vni", cameras[:, :2], points)).max())
    # Twice the picture's resolution, averaged down: smooth edges.
    fine = 2 * size
    pixel = 2 * half / fine
    radius = min(max(radius, 1.2 * pixel), MAX_SPLAT * 2 * pixel)
    reach = int(np.ceil(radius / pixel))
    dy, dx = (grid.ravel() for grid in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    near = (np.maximum(np.abs(dx) - 0.5, 0) ** 2 + np.maximum(np.abs(dy) - 0.5, 0) ** 2) * (
        pixel**2
    ) < radius**2
    stamp = np.stack([dx[near], dy[near]])
    points, normals = points.astype(np.float32), normals.astype(np.float32)
    turned = ((points @ c.T, normals @ c.T) for c in cameras.astype(np.float32))
    images = [_splat(p, n, half, radius, fine, stamp) for p, n in turned]
    image = np.stack(images).reshape(len(cameras), size, 2, size, 2).mean((2, 4))
    return np.round(255 * image).astype(np.uint8)


def _splat(points, normals, half: float, radius: float, size: int, stamp) -> np.ndarray:
    """Draws discs (`points`, `normals` in the camera's frame) into `[size, size]` brightness.

    `stamp [2, S]` are the offsets (columns, rows) of the pixels that a disc may cover.
    """
    pixel = np.float32(2 * half / size)
    facing = np.where(normals[:, 2:] < 0, -normals, normals)
    place = np.stack([points[:, 0] + half, half - points[:, 1]]) / pixel
    cell = np.floor(place)
    # From the disc's center to each pixel of the stamp, across and up.
    dx = (cell[0] - place[0] + 0.5)[:, None] * pixel + stamp[0].astype(np.float32) * pixel
    dy = -((cell[1] - place[1] + 0.5)[:, None] * pixel + stamp[1].astype(np.float32) * pixel)
    slope = np.maximum(facing[:, 2:], 0.1)  # a disc seen edge on stays a line, not nothing
    dz = -(facing[:, :1] * dx + facing[:, 1:2] * dy) / slope
    column = cell[0].astype(np.int32)[:, None] + stamp[0].astype(np.int32)
    row = cell[1].astype(np.int32)[:, None] + stamp[1].astype(np.int32)
    keep = (dx * dx + dy * dy + dz * dz <= radius * radius) | (stamp == 0).all(0)
    keep &= (row >= 0) & (row < size) & (column >= 0) & (column < size)
    depth = points[:, 2:] + np.clip(dz, -radius, radius)
    # Depth in the high bits, the point in the low ones: one scatter finds the nearest point.
    front = ((depth + 4) * 2**28).astype(np.int64) * len(points) + np.arange(len(points))[:, None]
    nearest = np.full(size * size, -1)
    np.maximum.at(nearest, (row * size + column)[keep], front[keep])
    image = np.full(size * size, BACKGROUND)
    hit = nearest >= 0
    image[hit] = (lambert(facing) * fade(points[:, 2]))[nearest[hit] % len(points)]
    return image.reshape(size, size)
