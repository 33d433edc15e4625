"""Parts that several kinds of furniture share: legs, backs, drawers, cushions, things on top."""

import itertools

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.standin.solids import beam, box, loft, move, prism, ring, superellipse, turn


def cushion(rng: np.random.Generator, center, size) -> Mesh:
    """A box, or a block with round edges."""
    if rng.random() < 0.5:
        return box(center, size)
    x, y, z = center
    outline = superellipse(20, size[0], size[1], rng.choice([4, 7, 12]))
    rounding = rng.uniform(0.05, 0.25)
    heights = np.array([-0.5, rounding - 0.5, 0.5 - rounding, 0.5]) * size[2] + z
    scales = (1 - rounding / 3, 1, 1, 1 - rounding / 3)
    return loft([ring(outline, h, (x, y), s) for h, s in zip(heights, scales)])


def legs(rng: np.random.Generator, width, depth, height, style: str) -> list[Mesh]:
    """Four legs at the corners, or two panels."""
    thick = rng.uniform(0.025, 0.09)
    x, y = width / 2 - thick / 2, depth / 2 - thick / 2
    if style == "panel":
        return [box((s * x, 0, height / 2), (thick, depth, height)) for s in (-1, 1)]
    splay = rng.uniform(0.05, 0.2) * height if style == "splayed" else 0.0
    end = {"tapered": 0.45, "splayed": 0.7, "block": 1.5}.get(style, 1.0)
    sides = 10 if style in ("round", "splayed") else 4
    thick = thick * 1.6 if style == "block" else thick
    corners = [(sx * x, sy * y, sx, sy) for sx in (-1, 1) for sy in (-1, 1)]
    return [
        beam((cx, cy, height), (cx + sx * splay, cy + sy * splay, 0), thick, thick * end, sides)
        for cx, cy, sx, sy in corners
    ]


def supports(rng: np.random.Generator, style: str, width, depth, height) -> list[Mesh]:
    """What carries a seat or a top, by style; the styles of `legs` and five more."""
    thick = rng.uniform(0.02, 0.06)
    if style == "pedestal":
        radius = rng.uniform(0.05, 0.18) * min(width, depth) + 0.02
        foot = rng.uniform(0.3, 0.8) * min(width, depth)
        is_round = rng.random() < 0.5
        center, wide, taper = (0, 0, 0.02), 2 * radius, rng.uniform(0.6, 1.4)
        base = prism(center, foot, foot, 0.04, 20) if is_round else box(center, (foot, foot, 0.04))
        return [base, prism((0, 0, height / 2), wide, wide, height, 14, 2, taper)]
    if style == "star":
        arms = int(rng.integers(4, 6))
        reach, low = 0.55 * width, rng.uniform(0.04, 0.1)
        angles = 2 * np.pi * np.arange(arms) / arms + rng.uniform(0, 1)
        ends = [(reach * np.cos(angle), reach * np.sin(angle)) for angle in angles]
        parts = [beam((0, 0, low + 0.03), (x, y, low), 0.045, 0.03) for x, y in ends]
        parts += [prism((x, y, low / 2), 0.05, 0.05, low, 8) for x, y in ends]
        return [*parts, beam((0, 0, low), (0, 0, height), 0.06, sides=10)]
    if style == "sled":
        x, y = width / 2 - thick, depth / 2 - thick
        parts = []
        for sx in (-x, x):
            parts += [beam((sx, sy, 0), (sx, sy, height), thick) for sy in (-y, y)]
            parts.append(beam((sx, -y, thick / 2), (sx, y, thick / 2), thick))
        return parts
    if style == "trestle":
        x = width * rng.uniform(0.3, 0.42)
        parts = [beam((-x, 0, height * 0.4), (x, 0, height * 0.4), thick)]
        for sx in (-x, x):
            parts.append(box((sx, 0, height / 2), (thick * 1.6, depth * 0.2, height)))
            parts.append(box((sx, 0, thick), (thick * 1.6, depth * 0.9, thick * 2)))
        return parts
    if style == "cross":
        corners = [(sx * width / 2, sy * depth / 2) for sx in (-1, 1) for sy in (-1, 1)]
        return [beam((x, y, 0), (-x, y, height), thick) for x, y in corners]
    parts = legs(rng, width, depth, height, style)
    if style in ("square", "round") and rng.random() < 0.3:  # stretchers
        z = height * rng.uniform(0.15, 0.5)
        parts += [box((s * width * 0.47, 0, z), (0.02, depth * 0.95, 0.03)) for s in (-1, 1)]
        parts.append(box((0, 0, z), (width * 0.95, 0.02, 0.03)))
    return parts


def back_panel(rng: np.random.Generator, width, y, thick, top, bottom=0.0) -> list[Mesh]:
    """An upright rest at depth `y` from `bottom` to `top`: solid, framed slats, rungs or round."""
    height, z = top - bottom, (top + bottom) / 2
    style = rng.choice(["solid", "slats", "rungs", "round"])
    if style == "solid":
        return [cushion(rng, (0, y, z), (width, thick, height))]
    if style == "round":
        outline = superellipse(20, width, height, rng.choice([2, 3, 5]))
        disc = turn(loft([ring(outline, -thick / 2), ring(outline, thick / 2)]), np.pi / 2, 0)
        return [move(disc, (0, y, z))]
    bar = rng.uniform(0.02, 0.06)
    posts = [box((s * (width - bar) / 2, y, z), (bar, thick, height)) for s in (-1, 1)]
    posts.append(box((0, y, top - bar), (width, thick, 2 * bar)))
    count = int(rng.integers(2, 7))
    if style == "slats":
        places = (np.arange(count) + 1) / (count + 1) - 0.5
        return posts + [box((p * width, y, z), (bar * 0.7, thick * 0.7, height)) for p in places]
    places = (np.arange(count) + 1) / (count + 1) * height * 0.8 + bottom + height * 0.15
    return posts + [box((0, y, p), (width, thick * 0.7, bar)) for p in places]


def arms(rng: np.random.Generator, width, depth, seat, rise) -> list[Mesh]:
    """A pair of arm rests on posts."""
    thick = rng.uniform(0.03, 0.07)
    parts = []
    for side in (-1, 1):
        x = side * width / 2
        parts.append(box((x, 0, seat + rise), (thick, depth, thick)))
        parts.append(beam((x, -depth * 0.35, seat), (x, -depth * 0.35, seat + rise), thick * 0.8))
        if rng.random() < 0.4:
            parts.append(box((x, 0, seat + rise / 2), (thick * 0.6, depth * 0.9, rise)))
    return parts


def drawers(rng: np.random.Generator, front, width, height, rows: int, columns: int) -> list[Mesh]:
    """Drawer fronts with knobs or bars on a face at `front` (its center), looking to -y."""
    x0, y, z0 = front
    gap, out = rng.uniform(0.006, 0.02), rng.uniform(0.008, 0.03)
    knob = rng.choice(["none", "knob", "bar"])
    parts = []
    cell_w, cell_h = width / columns, height / rows
    grips = {"knob": (0.03, 0.025, 0.03), "bar": (cell_w * 0.4, 0.025, 0.015)}
    for i, j in itertools.product(range(rows), range(columns)):
        x = x0 + (j - (columns - 1) / 2) * cell_w
        z = z0 + (i - (rows - 1) / 2) * cell_h
        parts.append(box((x, y - out / 2, z), (cell_w - 2 * gap, out, cell_h - 2 * gap)))
        if knob in grips:
            parts.append(box((x, y - out - 0.012, z), grips[knob]))
    return parts


def cabinet(rng: np.random.Generator, width, depth, height, rows: int, columns: int) -> list[Mesh]:
    """A body with drawers or doors on a plinth or on legs, with a top that may stand out."""
    lift = rng.choice([0.0, rng.uniform(0.03, 0.08), rng.uniform(0.08, 0.25)])
    body = height - lift
    parts = [box((0, 0, lift + body / 2), (width, depth, body))]
    if lift:
        style = rng.choice(["square", "tapered", "block", "panel"])
        parts += legs(rng, width * 0.96, depth * 0.96, lift, style)
    if rng.random() < 0.2:  # doors
        rows, columns = 1, max(columns, 2)
    front = (0, -depth / 2, lift + body / 2)
    parts += drawers(rng, front, width * 0.96, body * 0.94, rows, columns)
    if rng.random() < 0.5:
        over = rng.uniform(1.02, 1.1)
        parts.append(box((0, 0, height), (width * over, depth * over, rng.uniform(0.02, 0.05))))
    return parts


def shelf(rng: np.random.Generator, base, width, depth, height) -> list[Mesh]:
    """An open shelf that stands on a top at `base`."""
    x, y, z = base
    parts = [box((x + s * width * 0.49, y, z + height / 2), (0.02, depth, height)) for s in (-1, 1)]
    boards = int(rng.integers(1, 4))
    heights = [z + height * (k + 1) / boards for k in range(boards)]
    return parts + [box((x, y, level), (width, depth, 0.02)) for level in heights]


def screen_foot(rng: np.random.Generator, width, rise, middle) -> list[Mesh]:
    """The foot and neck of a flat screen."""
    foot = width * rng.uniform(0.25, 0.65)
    deep = foot * rng.uniform(0.4, 0.9)
    base = box((0, 0.04, 0.01), (foot, deep, 0.02))
    if rng.random() < 0.5:
        base = prism((0, 0.04, 0.01), foot, deep, 0.02, 20, rng.choice([2, 4]))
    neck = rng.uniform(0.03, 0.15) * width + 0.01
    return [base, box((0, 0.05, middle / 2), (neck, 0.03, middle))]


def tap(rng: np.random.Generator, place) -> list[Mesh]:
    """A water tap with a spout that points to the middle."""
    x, y, z = place
    tall = rng.uniform(0.08, 0.25)
    return [
        beam((x, y, z), (x, y, z + tall), 0.04, sides=8),
        beam((x, y, z + tall), (x - np.sign(x) * 0.16, y, z + tall * 0.85), 0.03, sides=8),
    ]


def tank(rng: np.random.Generator, width, length, height) -> list[Mesh]:
    """The cistern of a toilet, behind the bowl, with lid and button."""
    wide, deep = width * rng.uniform(0.85, 1.4), rng.uniform(0.14, 0.24)
    tall = rng.uniform(0.25, 0.5)
    y = length / 2 + deep / 2 - 0.03
    low = height * rng.uniform(0.7, 1.05)
    exponent, taper = rng.choice([3, 6, 14]), rng.uniform(1, 1.15)
    body = prism((0, y, low + tall / 2), wide, deep, tall, 20, exponent, taper)
    lid = box((0, y, low + tall), (wide * 1.12, deep * 1.1, 0.03))
    knob = prism((0, y, low + tall + 0.02), 0.05, 0.05, 0.03, 10)
    return [body, lid, *([knob] if rng.random() < 0.6 else [])]


def lamp(rng: np.random.Generator, place) -> list[Mesh]:
    """A table lamp."""
    x, y, z = place
    tall, wide = rng.uniform(0.2, 0.45), rng.uniform(0.14, 0.3)
    return [
        prism((x, y, z + 0.015), wide * 0.6, wide * 0.6, 0.03, 12),
        beam((x, y, z), (x, y, z + tall), 0.025, sides=6),
        prism((x, y, z + tall), wide, wide, tall * 0.45, 14, 2, rng.uniform(0.5, 1)),
    ]


def clutter(rng: np.random.Generator, width, depth, height, count: int) -> list[Mesh]:
    """Things on a top of `width x depth` at `height`: boxes, cups, books, a lamp, a screen."""
    parts = []
    for _ in range(int(count)):
        x, y = rng.uniform(-0.38, 0.38, 2) * (width, depth)
        kind = rng.integers(0, 5)
        if kind == 0:
            size = rng.uniform(0.05, 0.25, 3)
            thing = box((x, y, height + size[2] / 2), size)
            parts.append(turn(thing, rng.uniform(0, 3), 2, (x, y, 0)))
        elif kind == 1:
            r, h = rng.uniform(0.06, 0.16), rng.uniform(0.05, 0.3)
            parts.append(prism((x, y, height + h / 2), r, r, h, 12, 2, rng.uniform(0.6, 1.4)))
        elif kind == 2:
            size = rng.uniform((0.12, 0.15, 0.02), (0.3, 0.35, 0.06))
            parts.append(box((x, y, height + 0.015), size))
        elif kind == 3:
            parts += lamp(rng, (x, y, height))
        else:
            w = rng.uniform(0.25, 0.5)
            parts.append(box((x, y, height + 0.12 + w * 0.3), (w, 0.04, w * 0.6)))
            parts.append(box((x, y + 0.03, height + 0.08), (0.05, 0.03, 0.16)))
            parts.append(box((x, y, height + 0.01), (w * 0.5, 0.15, 0.02)))
    return parts


def company(rng: np.random.Generator, mesh: Mesh) -> list[Mesh]:
    """What stands around a piece of furniture: a rug, a wall, a lamp, a plant or a box."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    (x, y, _), (width, depth, height) = (low + high) / 2, high - low
    floor = low[2]
    kind = rng.integers(0, 4)
    side = rng.choice([-1, 1])
    if kind == 0:
        w, d = (width, depth) * rng.uniform(1.05, 1.5, 2)
        return [box((x + rng.uniform(-0.2, 0.2) * width, y, floor), (w, d, 0.02))]
    if kind == 1:
        w, h = width * rng.uniform(0.8, 1.5), height * rng.uniform(0.7, 1.4)
        return [box((x, high[1] + 0.05, floor + h / 2), (w, 0.04, h))]
    if kind == 2:
        tall = height * rng.uniform(0.6, 1.4)
        place = (x + side * width * rng.uniform(0.6, 0.75), y + rng.uniform(-0.3, 0.3) * depth)
        return [
            prism((*place, floor + 0.02), tall * 0.25, tall * 0.25, 0.04, 12),
            beam((*place, floor), (*place, floor + tall), 0.04, sides=6),
            prism((*place, floor + tall), tall * 0.3, tall * 0.3, tall * 0.2, 12, 2, 0.6),
        ]
    size = rng.uniform(0.2, 0.6) * np.array([width, max(depth, 0.3 * width), height])
    return [box((x + side * (width / 2 + size[0] * 0.7), y, floor + size[2] / 2), size)]
