"""Bathtubs, monitors and toilets: one function a class, `(rng) -> Mesh`."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.standin import furniture_parts as part
from jaxcmr.data.standin.solids import bowl, box, loft, merge, move, prism, ring, superellipse, turn


def bathtub(rng: np.random.Generator) -> Mesh:
    """A vessel: oval or boxed in, on feet or on the floor, with or without tap and wall."""
    length, width = rng.uniform(1.2, 1.9), rng.uniform(0.62, 1.0)
    if rng.random() < 0.12:
        length = width = rng.uniform(1.1, 1.6)
    height, wall = rng.uniform(0.38, 0.68), rng.uniform(0.03, 0.09)
    outline = superellipse(28, length, width, rng.choice([2, 2.5, 4, 8, 14]))
    floor, narrow = rng.uniform(0.06, 0.25) * height, rng.uniform(0.6, 0.95)
    inner = 1 - 2 * wall / width
    slope = rng.uniform(-0.08, 0.08) * length
    lift = rng.uniform(0.06, 0.16) if rng.random() < 0.35 else 0.0
    profile = [
        (narrow, lift, slope, 0), (0.5 + narrow / 2, lift + height * 0.4, slope / 2, 0),
        (1, lift + height, 0, 0), (inner, lift + height, 0, 0),
        (inner * (0.5 + narrow / 2), lift + height * 0.5, slope / 2, 0),
        (inner * narrow * 0.8, lift + floor, slope, 0),
    ]  # fmt: skip
    parts = [bowl(outline, profile)]
    if lift:
        parts += part.legs(rng, length * 0.7, width * 0.6, lift + 0.1, "block")
    elif rng.random() < 0.5:  # an apron: the tub sits in a frame
        frame = superellipse(28, length * 1.04, width * 1.06, 20)
        rings = [ring(frame, 0), ring(frame, height), ring(outline, height)]
        parts.append(loft(rings, bottom=False, top=False))
    if rng.random() < 0.6:
        parts += part.tap(rng, (rng.choice([-1, 1]) * length * 0.44, 0.0, lift + height))
    if rng.random() < 0.15:
        parts.append(box((0, width * 0.53, 0.5 * (height + 0.5)), (length, 0.04, height + 0.5)))
    if rng.random() < 0.2:
        parts.append(box((0, -width * 0.7, 0.08), (length * 0.5, 0.25, 0.16)))
    return merge(parts)


def monitor(rng: np.random.Generator) -> Mesh:
    """A flat or tube screen on a foot; sometimes two, sometimes with a keyboard or speakers."""
    width = rng.uniform(0.35, 1.0)
    height = width * rng.uniform(0.5, 0.85)
    thick, rise = rng.uniform(0.02, 0.09), rng.uniform(0.03, 0.2)
    z = rise + height / 2
    parts = [box((0, 0, z), (width, thick, height))]
    if rng.random() < 0.6:
        bezel = rng.uniform(0.015, 0.05)
        x, up = (width - bezel) / 2, (height - bezel) / 2
        for side in (-1, 1):
            parts.append(box((side * x, -thick / 2, z), (bezel, 0.02, height)))
            parts.append(box((0, -thick / 2, z + side * up), (width, 0.02, bezel)))
    if rng.random() < 0.3:  # tube
        deep, small = rng.uniform(0.2, 0.45), rng.uniform(0.4, 0.8)
        outline = superellipse(16, width * 0.95, height * 0.95, 8)
        tube = loft([ring(outline, 0), ring(outline, deep, (0, 0), small)])
        parts.append(move(turn(tube, -np.pi / 2, 0), (0, thick / 2, z)))
        parts.append(box((0, deep * 0.5, rise * 0.5), (width * 0.5, deep * 0.6, rise)))
    elif rng.random() < 0.9:
        parts += part.screen_foot(rng, width, rise, z)
    body = turn(merge(parts), rng.uniform(-0.25, 0.1), 0, (0, 0, rise))
    parts = [body]
    if rng.random() < 0.12:
        beside = lambda side: move(body, (side * width * 0.52, 0, 0))
        parts = [turn(beside(side), side * rng.uniform(-0.3, 0.1)) for side in (-1, 1)]
    if rng.random() < 0.2:
        parts.append(box((0, -0.3, 0.01), (width * 0.8, 0.15, 0.025)))
    if rng.random() < 0.15:
        x = width / 2 + 0.08
        parts += [box((side * x, 0, 0.12), (0.09, 0.1, 0.24)) for side in (-1, 1)]
    return merge(parts)


def toilet(rng: np.random.Generator) -> Mesh:
    """A bowl on a foot with seat, lid and tank; the lid up or down, at times no tank."""
    width, length = rng.uniform(0.33, 0.48), rng.uniform(0.42, 0.62)
    height = rng.uniform(0.34, 0.48)
    exponent = rng.choice([2, 2.3, 3, 5])
    outline = superellipse(24, width, length, exponent)
    foot, back = rng.uniform(0.4, 0.95), rng.uniform(0, 0.12)
    lift = rng.uniform(0.05, 0.15) if rng.random() < 0.15 else 0.0
    waist = foot * rng.uniform(0.7, 1.0)
    outside = [(foot, lift, 0, back), (waist, height * 0.4, 0, back), (1, height, 0, 0)]
    inside = [(0.78, height, 0, 0), (0.55, height * 0.6, 0, 0), (0.2, height * 0.45, 0, 0)]
    parts = [bowl(outline, outside + inside)]
    lid = 0.03
    hinge = (0.0, length / 2 - 0.02, height + 0.02)
    if rng.random() < 0.75:  # the seat: a flat ring
        top = height + lid
        rim = [(1.03, height), (1.03, top), (0.7, top), (0.7, height)]
        parts.append(loft([ring(outline, z, scale=scale) for scale, z in rim], False, False))
    if rng.random() < 0.85:
        cover = prism((0, 0, height + lid * 1.5), width * 1.04, length * 1.04, lid, 24, exponent)
        parts.append(turn(cover, -rng.uniform(1.4, 1.8) if rng.random() < 0.5 else 0.0, 0, hinge))
    if rng.random() < 0.82:
        parts += part.tank(rng, width, length, height)
    if rng.random() < 0.25:
        parts.append(box((0, length * 0.35, height * 0.5), (width * 0.6, length * 0.5, height)))
    return merge(parts)
