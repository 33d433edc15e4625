"""Makes the clouds of 3D MNIST from pictures of digits.

Source: de la Iglesia Castro, 3D MNIST. The voxel features of its 1000 test digits come out as he
published them, every count the same.
"""

from collections.abc import Sequence

import numpy as np

from jaxcmr.errors import UsageError

_QUARTER = np.deg2rad(90)
# cos(90 degrees) is 6e-17, not 0: kept, because it decides ties in the author's voxel grid.
_COS, _SIN = np.cos(_QUARTER), np.sin(_QUARTER)


def _template() -> tuple[np.ndarray, np.ndarray]:
    """The points of one pixel's box 1 x 1 x 6 (row, column, z) around 0, and the face each lies on.

    Faces: 0 front, 1 back (5 x 5 points each); 2 up, 3 down, 4 left, 5 right (5 x 30 points).
    """
    five, thirty = np.linspace(-0.5, 0.5, 5), np.linspace(-3, 3, 30)
    a, b = (grid.ravel() for grid in np.meshgrid(five, five, indexing="ij"))
    z, u = (grid.ravel() for grid in np.meshgrid(thirty, five, indexing="ij"))
    front, side = np.full(len(a), 3.0), np.full(len(z), 0.5)
    ends = [(a, b, front), (a, b, -front)]
    sides = [(-side, u, z), (side, u, z), (u, -side, z), (u, side, z)]
    points = np.concatenate([np.stack(face, 1) for face in ends + sides])
    return points, np.repeat(np.arange(6), [25, 25, 150, 150, 150, 150])


_POINTS, _FACE = _template()


def digit_cloud(image: np.ndarray) -> np.ndarray:
    """Makes the cloud `[N, 3]` float64 of a digit's picture `[H, W]`; N is 9,000 to 39,000.

    The picture is padded to 30 x 30; every pixel above zero is a box 1 x 1 x 6 in (row, column, z)
    with 5 x 5 points on front and back, and 5 x 30 on a side whose neighbor pixel is zero. Scaled
    so that the longest axis is 1, mean subtracted, turned by 90 degrees about the second axis.

    Raises:
        UsageError: no pixel is above zero.
    """
    solid = np.pad(image, 1) > 0
    row, column = np.nonzero(solid)
    if not len(row):
        raise UsageError("a digit's picture is all zero, so it has no cloud; remove it")
    neighbors = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    open_side = np.stack([~solid[r, c] for r, c in neighbors], 1)
    shown = np.concatenate([np.ones((len(row), 2), bool), open_side], 1)[:, _FACE]
    center = np.stack([row, column, 0 * row], 1)[:, None]
    x, y, z = framed((_POINTS + center)[shown]).T
    return np.stack([x * _COS + z * _SIN, y, z * _COS - x * _SIN], 1)


def framed(points: np.ndarray) -> np.ndarray:
    """Scales points `[N, 3]` so that the longest axis is 1, and subtracts their mean."""
    # To the last bit as the author: points lie on walls of the voxel grid, and rounding says where
    # they are counted. So the least coordinate of the longest axis is taken off all three.
    longest = np.argmax(np.ptp(points, 0))
    points = (points - points[:, longest].min()) / np.ptp(points[:, longest])
    return points - points.mean(0)


def draw_points(cloud: np.ndarray, count: int, seed: Sequence[int]) -> np.ndarray:
    """Draws `[count, 3]` float32 of a cloud; none twice where it has so many points."""
    rng = np.random.default_rng(seed)
    return cloud[rng.choice(len(cloud), count, replace=len(cloud) < count)].astype(np.float32)
