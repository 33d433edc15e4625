"""Desks, dressers, night stands and tables: one function a class, `(rng) -> Mesh`."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.standin import furniture_parts as part
from jaxcmr.data.standin.solids import box, merge, move, prism


def desk(rng: np.random.Generator) -> Mesh:
    """A work top with pedestals, panels, hutch or return, and things on it."""
    width, depth, height = rng.uniform(0.9, 2.0), rng.uniform(0.45, 0.9), rng.uniform(0.65, 0.85)
    thick = rng.uniform(0.02, 0.07)
    under = height - thick
    parts = [box((0, 0, height - thick / 2), (width, depth, thick))]
    left, right = rng.random() < 0.55, rng.random() < 0.45
    for side, has in ((-1, left), (1, right)):
        if has:
            wide = rng.uniform(0.25, 0.45)
            tall = under * rng.uniform(0.55, 1.0)
            x = side * (width / 2 - wide / 2 - 0.02)
            z = under - tall / 2
            parts.append(box((x, 0, z), (wide, depth * 0.92, tall)))
            rows = int(rng.integers(1, 5))
            parts += part.drawers(rng, (x, -depth * 0.46, z), wide, tall, rows, 1)
            if tall < under * 0.9 and rng.random() < 0.7:
                legs = part.legs(rng, wide, depth * 0.9, under, "square")
                parts += [move(leg, (x, 0, 0)) for leg in legs]
    if not (left and right):
        style = rng.choice(["square", "panel", "sled", "round", "trestle", "panel"])
        parts += part.supports(rng, style, width * 0.97, depth * 0.95, under)
    if rng.random() < 0.55:
        drop = rng.uniform(0.3, 0.95) * under
        parts.append(box((0, depth * 0.42, under - drop / 2), (width * 0.95, 0.02, drop)))
    if rng.random() < 0.3:  # return: an L shape
        side, reach = rng.choice([-1, 1]), rng.uniform(0.5, 1.1)
        x, y = side * (width / 2 - 0.25), -depth / 2 - reach / 2
        parts.append(box((x, y, height - thick / 2), (0.5, reach, thick)))
        parts.append(box((x, y - reach / 2 + 0.02, under / 2), (0.5, 0.03, under)))
    if rng.random() < 0.3:
        base, tall = (0, depth * 0.35, height), rng.uniform(0.3, 0.8)
        parts += part.shelf(rng, base, width, depth * 0.3, tall)
    if rng.random() < 0.25:
        parts.append(box((0, -depth * 0.4, under - 0.1), (width * 0.4, depth * 0.5, 0.02)))
    return merge(parts + part.clutter(rng, width, depth, height, rng.integers(0, 4)))


def dresser(rng: np.random.Generator) -> Mesh:
    """A chest of drawers or doors, sometimes with a mirror."""
    width, depth, height = rng.uniform(0.55, 1.8), rng.uniform(0.35, 0.6), rng.uniform(0.6, 1.35)
    rows = int(rng.integers(2, 7))
    columns = 1 if width < 0.8 else int(rng.integers(1, 4))
    parts = part.cabinet(rng, width, depth, height, rows, columns)
    if rng.random() < 0.22:
        tall, wide = rng.uniform(0.4, 0.9), width * rng.uniform(0.4, 0.9)
        parts.append(box((0, depth * 0.42, height + tall / 2), (wide, 0.04, tall)))
    return merge(parts + part.clutter(rng, width, depth, height, rng.integers(0, 2)))


def night_stand(rng: np.random.Generator) -> Mesh:
    """A small cabinet or a legged box with a drawer and a shelf, sometimes with a lamp."""
    width, depth, height = rng.uniform(0.36, 0.75), rng.uniform(0.3, 0.55), rng.uniform(0.4, 0.8)
    if rng.random() < 0.5:
        parts = part.cabinet(rng, width, depth, height, int(rng.integers(1, 4)), 1)
    else:
        box_height = height * rng.uniform(0.2, 0.5)
        z = height - box_height / 2
        parts = [box((0, 0, z), (width, depth, box_height))]
        rows = int(rng.integers(1, 3))
        parts += part.drawers(rng, (0, -depth / 2, z), width, box_height, rows, 1)
        style = rng.choice(["square", "tapered", "round", "panel"])
        parts += part.legs(rng, width * 0.97, depth * 0.97, height - box_height, style)
        if rng.random() < 0.6:
            z = height * rng.uniform(0.1, 0.3)
            parts.append(box((0, 0, z), (width * 0.92, depth * 0.92, 0.02)))
    if rng.random() < 0.3:
        parts += part.lamp(rng, (rng.uniform(-0.1, 0.1) * width, 0.0, height))
    return merge(parts + part.clutter(rng, width, depth, height, rng.integers(0, 2)))


def table(rng: np.random.Generator) -> Mesh:
    """A top of any outline on legs or pedestals, with a shelf or drawers at times."""
    width, depth, height = rng.uniform(0.6, 2.2), rng.uniform(0.5, 1.2), rng.uniform(0.35, 1.0)
    thick = rng.uniform(0.02, 0.09)
    if rng.random() < 0.25:
        depth = width
    under = height - thick
    shape = rng.choice(["box", "box", "round", "oblong"])
    if shape == "box":
        parts = [box((0, 0, height - thick / 2), (width, depth, thick))]
        reach = rng.uniform(0.75, 0.98)
    else:
        exponent = 2.0 if shape == "round" else rng.uniform(2.5, 6)
        parts = [prism((0, 0, height - thick / 2), width, depth, thick, 28, exponent)]
        reach = rng.uniform(0.45, 0.68)
    styles = "square round tapered splayed pedestal pedestal trestle sled panel cross"
    style, wide, deep = rng.choice(styles.split()), width * reach, depth * reach
    parts += part.supports(rng, style, wide, deep, under)
    if rng.random() < 0.4:
        apron = rng.uniform(0.05, 0.16)
        z = under - apron / 2
        parts.append(box((0, 0, z), (wide, deep, apron)))
        if rng.random() < 0.35:
            columns = int(rng.integers(1, 4))
            parts += part.drawers(rng, (0, -deep / 2, z), wide, apron, 1, columns)
    if rng.random() < 0.25:
        parts.append(box((0, 0, under * rng.uniform(0.15, 0.45)), (wide, deep, 0.02)))
    return merge(parts + part.clutter(rng, wide, deep, height, rng.choice([0, 0, 1, 3])))
