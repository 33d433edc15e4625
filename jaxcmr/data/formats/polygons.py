"""Cuts the polygons of a mesh into triangles, concave ones too."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later

mapbox_earcut = Later("mapbox_earcut")
FANS = 8  # corners that are tried, all polygons at once, before one polygon after another
BLOCK = 1 << 18  # corners that are looked at together
FLAT = 1e-10  # areas are compared to this, where a polygon's largest extent is 1
CROSSING = 1e-6  # a difference of areas that rounding does not explain
STEEP = 0.05  # the least part of a normal along an axis to look along
BENT = 1e-3  # how far a polygon may leave its plane and still be called flat
MAX_WORK = 300_000_000  # corners squared, summed: about ten seconds


def polygon_mesh(vertices: np.ndarray, corners: np.ndarray, counts: np.ndarray, name: str) -> Mesh:
    """Makes a mesh of polygons, which follow each other in `corners`.

    A polygon becomes the fan around its first corner that covers it (of a convex one, every corner
    does), else it is cut by ears in its plane (Newell's normal). The winding is kept; faces with
    fewer than three different corners are dropped.

    Args:
        vertices: `[V, 3]` float64.
        corners: `[S]` int64, into the vertices.
        counts: `[F]` int64, the number of corners of each polygon; S is their sum.

    Raises:
        UsageError: a corner is no vertex, a flat polygon crosses itself, or has too many corners.
    """
    if len(corners) and not 0 <= corners.min() <= corners.max() < len(vertices):
        wrong = corners.min() if corners.min() < 0 else corners.max()
        raise UsageError(
            f"{name} has a face of vertices that it lacks ({wrong} of {len(vertices)}, counted "
            "from 0); save the mesh again"
        )
    starts = np.cumsum(counts) - counts
    triangles, faces = [], []
    by_size = np.argsort(counts, kind="stable")
    sizes, begins = np.unique(counts[by_size], return_index=True)
    for size, chosen in zip(sizes, np.split(by_size, begins[1:])):
        if size < 3:
            continue
        for rows in np.array_split(chosen, len(chosen) * int(size) // BLOCK + 1):
            polygons = corners[starts[rows, None] + np.arange(size)]
            cut, owner = _cut(vertices, polygons, rows, name)
            triangles.append(cut)
            faces.append(rows[owner])
    if not triangles:
        return Mesh(vertices, np.zeros((0, 3), np.int64))
    # In the order of the file, as if each polygon had been cut in its turn.
    order = np.argsort(np.concatenate(faces), kind="stable")
    found = np.concatenate(triangles)[order]
    a, b, c = found.T
    return Mesh(vertices, found[(a != b) & (b != c) & (c != a)])


def _cut(vertices, polygons: np.ndarray, rows: np.ndarray, name: str):
    """Cuts polygons `[n, k]`: returns triangles `[T, 3]` and the polygon of each, `[T]`."""
    count, size = polygons.shape
    if size == 3:
        return polygons, np.arange(count)
    left = np.arange(count)
    triangles, owner = [], []
    for corner in range(min(size, FANS)):
        turned = np.roll(polygons[left], -corner, 1)
        covers = _fan_covers(_scaled(vertices[turned]))
        triangles.append(fans(turned[covers]))
        owner.append(np.repeat(left[covers], size - 2))
        left = left[~covers]
        if not len(left):
            break
    if len(left) * int(size) ** 2 > MAX_WORK:
        raise UsageError(
            f"{name} has concave polygons of {size} corners, too many to cut; triangulate the mesh"
        )
    if len(left):
        local, which, crossed = _ears(_scaled(vertices[polygons[left]]))
        if crossed.any():
            raise UsageError(
                f"{name}: face {rows[left[np.argmax(crossed)]] + 1} crosses itself; repair or "
                "triangulate the mesh"
            )
        triangles.append(np.take_along_axis(polygons[left[which]], local, 1))
        owner.append(left[which])
    return np.concatenate(triangles), np.concatenate(owner)


def fans(polygons: np.ndarray) -> np.ndarray:
    """Returns the triangles `[n (k - 2), 3]` around the first corner of polygons `[n, k]`."""
    first = np.broadcast_to(polygons[:, :1], polygons[:, 2:].shape)
    return np.stack([first, polygons[:, 1:-1], polygons[:, 2:]], -1).reshape(-1, 3)


def _fan_covers(places: np.ndarray) -> np.ndarray:
    """Tells which polygons `[n, k, 3]`, scaled, the fan around their first corner covers: `[n]`.

    It does where none of its triangles is turned over, seen along the polygon's normal.
    """
    cross = np.cross(places[:, 1:-1], places[:, 2:])  # twice the areas of the fan's triangles
    normal = cross.sum(1)
    length = np.linalg.norm(normal, axis=-1)
    unit = normal / np.maximum(length, FLAT)[:, None]
    forward = (np.einsum("nkx,nx->nk", cross, unit) >= -FLAT).all(1) & (length > FLAT)
    without_area = np.linalg.norm(cross, axis=-1).sum(1) <= FLAT
    # Coordinates that are not finite are refused when the mesh is normalized.
    return forward | without_area | ~np.isfinite(places).all((1, 2))


def _scaled(places: np.ndarray) -> np.ndarray:
    """Moves polygons `[n, k, 3]` so that they begin at 0, and scales their extents to 1."""
    # Halves before the difference: coordinates near the largest float must not overflow.
    with np.errstate(invalid="ignore", over="ignore"):
        moved = places / 2 - places[:, :1] / 2
        extent = np.abs(moved).max(axis=(1, 2), keepdims=True)
        return np.divide(moved, extent, out=np.zeros_like(moved), where=extent > 0)


def _ears(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts polygons `[n, k, 3]` by ears, each in a plane of its own.

    Returns:
        Triangles `[T, 3]` of corners from 0 to k - 1; the polygon of each, `[T]`; and `[n]`, which
        polygons are flat and cross themselves. Others may do so in their plane alone, and become a
        fan.
    """
    count, size, _ = places.shape
    centered = places - places.mean(1, keepdims=True)
    normal = np.cross(places[:, 1:-1], places[:, 2:]).sum(1)
    void = np.linalg.norm(normal, axis=1) <= FLAT  # loops that cancel: the plane of least squares
    normal[void] = np.linalg.svd(centered[void], full_matrices=False)[2][:, 2]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    order = np.argsort(-np.abs(normal), 1)
    triangles, owner = [], []
    left = np.arange(count)
    # Seen along an axis nothing is rounded. What is not quite flat may cross itself along one.
    for axis in order.T:
        tried = left[np.abs(normal[left, axis[left]]) > STEEP]
        cut, which, sound = _ears_along(places[tried], axis[tried])
        triangles.append(cut[sound[which]])
        owner.append(tried[which[sound[which]]])
        left = np.setdiff1d(left, tried[sound])
    bent = np.abs(np.einsum("nki,ni->nk", centered, normal)).max(1) >= BENT
    whole = left[bent[left]]
    triangles.append(fans(np.tile(np.arange(size), (len(whole), 1))))
    owner.append(np.repeat(whole, size - 2))
    crossed = np.isin(np.arange(count), left) & ~bent
    return np.concatenate(triangles), np.concatenate(owner), crossed


def _ears_along(places: np.ndarray, axis: np.ndarray):
    """Cuts as `_ears`, but along one axis `[n]`; tells `[n]` whose triangles fill the polygon."""
    columns = np.stack([(axis + 1) % 3, (axis + 2) % 3], 1)
    flat = np.take_along_axis(places, columns[:, None], 2)
    ends = np.array([places.shape[1]], np.uint32)
    cuts = [mapbox_earcut.triangulate_float64(polygon, ends).reshape(-1, 3) for polygon in flat]
    which = np.repeat(np.arange(len(cuts)), np.array([len(cut) for cut in cuts], np.int64))
    cut = np.concatenate([np.zeros((0, 3)), *cuts]).astype(np.int64)
    area, ears = _doubled_areas(flat), _doubled_areas(flat[which[:, None], cut])
    covered = np.bincount(which, np.abs(ears), len(cuts))
    over = np.bincount(which, ears, len(cuts)) * area < 0
    cut[over[which]] = cut[over[which]][:, ::-1]
    return cut, which, np.abs(covered - np.abs(area)) <= CROSSING


def _doubled_areas(polygons: np.ndarray) -> np.ndarray:
    """Returns twice the signed areas `[n]` of polygons `[n, k, 2]`."""
    x, y = np.moveaxis(polygons, -1, 0)
    return (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)


def strip_triangles(corners: np.ndarray) -> np.ndarray:
    """Returns the triangles `[T, 3]` of strips `[S]`, which end at a corner of -1.

    Corners k, k + 1 and k + 2 of a strip are a triangle; every other one is turned, so that all
    face the same way.
    """
    steps = np.arange(len(corners))
    begins = np.maximum.accumulate(np.where(np.r_[True, corners[:-1] < 0], steps, 0))
    found = np.stack([corners[:-2], corners[1:-1], corners[2:]], 1)
    odd = (steps - begins)[:-2] % 2 == 1
    found[odd] = found[odd][:, [1, 0, 2]]
    return found[(found >= 0).all(1)]
