"""The solids that the procedural furniture is made of; lengths in metres, z up, front at -y."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh

_BOX_CORNERS = np.array(
    [[x, y, z] for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)], np.float64
)
_BOX_FACES = np.array(
    [
        [0, 2, 3], [0, 3, 1], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4],
        [2, 6, 7], [2, 7, 3], [0, 4, 6], [0, 6, 2], [1, 3, 7], [1, 7, 5],
    ]
)  # fmt: skip


def box(center, size) -> Mesh:
    """An axis-aligned box from its center and its three edge lengths."""
    return Mesh(_BOX_CORNERS * np.asarray(size) + np.asarray(center), _BOX_FACES)


def superellipse(sides: int, width: float, depth: float, exponent: float = 2.0) -> np.ndarray:
    """A closed outline `[sides, 2]`: `|2x/width|^e + |2y/depth|^e = 1`; e = 2 is an ellipse.

    Larger exponents approach a rectangle with rounded corners.
    """
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    outline = np.stack([np.cos(angle), np.sin(angle)], -1)
    outline = np.sign(outline) * np.abs(outline) ** (2.0 / exponent)
    return outline * [width / 2, depth / 2]


def loft(rings, bottom: bool = True, top: bool = True) -> Mesh:
    """Joins outlines `[R, n, 3]` into a tube; `bottom` and `top` close its ends with a fan."""
    rings = np.asarray(rings, np.float64)
    count, sides = rings.shape[:2]
    start = (np.arange(count - 1) * sides)[:, None]
    this = start + np.arange(sides)
    following = start + np.roll(np.arange(sides), -1)
    lower = np.stack([this, following, following + sides], -1).reshape(-1, 3)
    upper = np.stack([this, following + sides, this + sides], -1).reshape(-1, 3)
    middle = np.arange(1, sides - 1)
    fan = np.stack([0 * middle, middle, middle + 1], -1)
    ends = [fan[:, ::-1]] * bottom + [fan + (count - 1) * sides] * top
    return Mesh(rings.reshape(-1, 3), np.concatenate([lower, upper, *ends]))


def ring(outline: np.ndarray, z: float, center=(0.0, 0.0), scale: float = 1.0) -> np.ndarray:
    """Lifts an outline `[n, 2]` to `[n, 3]`: scaled, moved to `center`, at height `z`."""
    flat = outline * scale + np.asarray(center)
    return np.concatenate([flat, np.full((len(flat), 1), z)], 1)


def prism(center, width, depth, height, sides=16, exponent=2.0, taper=1.0) -> Mesh:
    """An upright tube around `center`; its top outline is `taper` times its bottom outline."""
    x, y, z = center
    outline, half = superellipse(sides, width, depth, exponent), height / 2
    return loft([ring(outline, z - half, (x, y)), ring(outline, z + half, (x, y), taper)])


def beam(start, end, thickness: float, end_thickness: float | None = None, sides: int = 4) -> Mesh:
    """A straight bar between two points, with a regular section of `sides` corners."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    end_thickness = thickness if end_thickness is None else end_thickness
    axis = (end - start) / max(np.linalg.norm(end - start), 1e-9)
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    side = np.cross(helper, axis)
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    section = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
    # The section's corners lie on a circle; sqrt(1/2) makes a square one `thickness` wide.
    radius = np.sqrt(0.5) if sides == 4 else 0.5
    return loft([start + radius * thickness * section, end + radius * end_thickness * section])


def bowl(outline: np.ndarray, profile) -> Mesh:
    """An open vessel: `profile` rows are (scale of the outline, z, shift in x, shift in y).

    The rows run up the outside, over the rim and down the inside; both ends are closed.
    """
    return loft([ring(outline, z, (dx, dy), scale) for scale, z, dx, dy in profile])


def turn(mesh: Mesh, angle: float, axis: int = 2, about=(0.0, 0.0, 0.0)) -> Mesh:
    """Rotates by `angle` (radians) about an axis (0 x, 1 y, 2 z) through the point `about`."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = np.cos(angle)
    rotation[i, j], rotation[j, i] = -np.sin(angle), np.sin(angle)
    about = np.asarray(about)
    return Mesh((mesh.vertices - about) @ rotation.T + about, mesh.faces)


def move(mesh: Mesh, offset) -> Mesh:
    """Shifts a mesh."""
    return Mesh(mesh.vertices + np.asarray(offset), mesh.faces)


def merge(parts: list[Mesh]) -> Mesh:
    """Puts meshes together into one, without joining their surfaces."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts)]),
    )
