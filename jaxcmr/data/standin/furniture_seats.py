"""Beds, chairs and sofas: one function a class, `(rng) -> Mesh`."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.standin import furniture_parts as part
from jaxcmr.data.standin.solids import box, merge, move, prism, turn


def bed(rng: np.random.Generator) -> Mesh:
    """A mattress on a frame, with head board, pillows, and sometimes foot board or canopy."""
    length, width = rng.uniform(1.8, 2.2), rng.uniform(0.8, 2.0)
    base, mattress = rng.uniform(0.15, 0.4), rng.uniform(0.12, 0.3)
    top = base + mattress
    parts = []
    if rng.random() < 0.6:
        parts += part.legs(rng, width, length, base, rng.choice(["square", "round", "block"]))
        parts.append(box((0, 0, base * 0.75), (width, length, base * 0.5)))
    else:
        parts.append(box((0, 0, base / 2), (width * 0.98, length * 0.98, base)))
    size = (width * 0.97, length * 0.97, mattress)
    parts.append(part.cushion(rng, (0, 0, base + mattress / 2), size))
    head = top + rng.uniform(0.15, 0.8)
    if rng.random() < 0.9:
        parts += part.back_panel(rng, width * rng.uniform(1, 1.1), length / 2 + 0.03, 0.05, head)
    if rng.random() < 0.4:
        foot = top + rng.uniform(-0.05, 0.35)
        parts += part.back_panel(rng, width, -length / 2 - 0.03, 0.05, foot)
    pillows = int(rng.integers(0, 3)) if width > 1.2 else int(rng.integers(0, 2))
    for k in range(pillows):
        x = (k - (pillows - 1) / 2) * width / max(pillows, 1)
        size = (width / max(pillows, 1) * 0.8, rng.uniform(0.3, 0.45), rng.uniform(0.08, 0.16))
        parts.append(part.cushion(rng, (x, length * 0.37, top + size[2] / 2), size))
    if rng.random() < 0.12:
        tall = rng.uniform(1.7, 2.2)
        parts += part.legs(rng, width, length, tall, "square")
        parts.append(box((0, 0, tall), (width, length, 0.05)))
    if rng.random() < 0.12:  # bunk
        parts += [move(mesh, (0, 0, 0.9 + top)) for mesh in parts[:6]]
    if rng.random() < 0.2:
        x = rng.choice([-1, 1]) * (width / 2 + 0.3)
        parts.append(box((x, length * 0.35, 0.25), (0.45, 0.4, 0.5)))
    if rng.random() < 0.3:
        parts.append(box((0, -length * 0.2, top * 0.55), (width * 1.03, length * 0.5, top * 0.92)))
    return merge(parts)


def chair(rng: np.random.Generator) -> Mesh:
    """A seat with a back: four legs, sled or star base; with or without arms."""
    width, depth = rng.uniform(0.38, 0.7), rng.uniform(0.38, 0.65)
    seat, thick = rng.uniform(0.35, 0.55), rng.uniform(0.03, 0.14)
    back = rng.uniform(0.3, 0.75)
    style = rng.choice(["square", "round", "splayed", "sled", "star", "panel", "tapered"])
    parts = part.supports(rng, style, width, depth, seat)
    if rng.random() < 0.3:
        parts.append(prism((0, 0, seat), width, depth, thick, 20, rng.choice([2, 3, 6])))
    else:
        parts.append(part.cushion(rng, (0, 0, seat), (width, depth, thick)))
    lean = rng.uniform(-0.35, 0.02)
    wide, thin = width * rng.uniform(0.75, 1.05), rng.uniform(0.02, 0.09)
    low = seat + rng.uniform(-0.02, 0.1)
    rest = merge(part.back_panel(rng, wide, depth / 2, thin, seat + back, low))
    parts.append(turn(rest, lean, 0, (0, depth / 2, seat)))
    if rng.random() < 0.4:
        parts += part.arms(rng, width, depth, seat, rng.uniform(0.15, 0.3))
    return merge(parts)


def sofa(rng: np.random.Generator) -> Mesh:
    """One to four seats between arms, with a chaise or an ottoman at times."""
    seats = int(rng.choice([1, 2, 2, 3, 3, 4]))
    width, depth = seats * rng.uniform(0.5, 0.75), rng.uniform(0.65, 1.0)
    seat, back = rng.uniform(0.3, 0.48), rng.uniform(0.25, 0.6)
    arm = rng.uniform(0.06, 0.28)
    lift = rng.uniform(0.04, 0.18) if rng.random() < 0.6 else 0.0
    total = width + 2 * arm
    parts = []
    if lift:
        style = rng.choice(["square", "round", "block"])
        parts += part.legs(rng, total * 0.95, depth * 0.95, lift, style)
    size = (total, depth, seat * 0.7 - lift + 0.02)
    parts.append(box((0, 0, (lift + seat * 0.7) / 2 + lift / 2), size))
    thick = rng.uniform(0.12, 0.3)
    center, size = (0, depth / 2 - thick / 2, (seat + back + lift) / 2), seat + back - lift
    rest = part.cushion(rng, center, (total, thick, size))
    parts.append(turn(rest, rng.uniform(-0.25, 0), 0, (0, depth / 2, seat)))
    for k in range(seats):
        x = (k - (seats - 1) / 2) * width / seats
        size = (width / seats * 0.97, depth - thick, rng.uniform(0.1, 0.2))
        parts.append(part.cushion(rng, (x, -thick / 2, seat * 0.7 + size[2] / 2), size))
        if rng.random() < 0.5:
            center = (x, depth / 2 - thick - 0.08, seat + back * 0.45)
            parts.append(part.cushion(rng, center, (width / seats * 0.9, 0.16, back * 0.8)))
    rise = seat + rng.uniform(0.0, 0.28)
    if rng.random() < 0.85:
        for side in (-1, 1):
            center = (side * (total - arm) / 2, 0, (rise + lift) / 2)
            parts.append(part.cushion(rng, center, (arm, depth, rise - lift)))
    if rng.random() < 0.2 and seats > 1:
        side, reach = rng.choice([-1, 1]), rng.uniform(0.5, 1.0)
        center = (side * (total / 2 - 0.35), -depth / 2 - reach / 2, seat / 2)
        parts.append(box(center, (0.7, reach, seat)))
    if rng.random() < 0.1:
        parts.append(part.cushion(rng, (0, -depth * 1.1, seat / 2), (0.6, 0.5, seat)))
    return merge(parts)
