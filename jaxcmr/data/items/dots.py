"""Draws clouds as dots in a millisecond, for small pictures.

At their size normals, which `render.render_points` estimates for its shading, are noise.
"""

import numpy as np

from jaxcmr.data.items.geometry import normalize
from jaxcmr.data.items.render import camera_ring

CAMERA = camera_ring(12, 25.0)[1]  # from the front, a little to the side
DARK, LIGHT, BACKGROUND = 30, 225, 255  # the nearest point, the farthest, and none
RADII = (2, 8)  # of a dot, in half pixels


def draw_dots(points: np.ndarray, size: int) -> np.ndarray:
    """Draws a cloud `[P, 3]` (z up), the nearer the darker: `[size, size]` uint8.

    The dots are as large as nearly close the surface of an object that fills its bounding box.

    Raises:
        UsageError: a coordinate is not finite, or all points coincide.
    """
    across, up, near = (normalize(np.asarray(points, np.float64), "the cloud") @ CAMERA.T).T
    fine = 2 * size  # averaged down: smooth edges
    half = max(np.abs(across).max(), np.abs(up).max())
    box = np.ptp(across) * np.ptp(up) * (fine / (2 * half)) ** 2
    radius = int(np.clip(1.35 * np.sqrt(box / (np.pi * len(points))), *RADII))
    down, right = (grid.ravel() for grid in np.mgrid[-radius : radius + 1, -radius : radius + 1])
    inside = down**2 + right**2 <= radius**2
    place = lambda x: np.round((x / half + 1) / 2 * (fine - 2 * radius - 1)).astype(int) + radius
    order = np.argsort(near)  # of the pixels that are written twice, the last one stays
    rows = place(-up)[order, None] + down[inside]
    columns = place(across)[order, None] + right[inside]
    depth = (near - near.min()) / max(np.ptp(near), 1e-9)
    canvas = np.full((fine, fine), BACKGROUND, np.uint16)
    canvas[rows, columns] = (LIGHT + (DARK - LIGHT) * depth)[order, None]
    quarters = canvas[::2, ::2] + canvas[1::2, ::2] + canvas[::2, 1::2] + canvas[1::2, 1::2]
    return (quarters // 4).astype(np.uint8)
