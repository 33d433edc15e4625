"""Parametric furniture of the ten ModelNet10 classes, of random style and proportions.

Neighboring classes share parts and proportions on purpose (a one-column dresser and a night stand,
a desk and a table with drawers, a one-seat sofa and a chair with arms), as in the real collection.
"""

import numpy as np

from jaxcmr.data.furniture_fittings import bathtub, monitor, toilet
from jaxcmr.data.furniture_seats import bed, chair, sofa
from jaxcmr.data.furniture_tops import desk, dresser, night_stand, table
from jaxcmr.data.geometry import Mesh
from jaxcmr.data.solids import turn

# Alphabetical: the canonical order of the labels.
MAKERS = {
    "bathtub": bathtub, "bed": bed, "chair": chair, "desk": desk, "dresser": dresser,
    "monitor": monitor, "night_stand": night_stand, "sofa": sofa, "table": table, "toilet": toilet,
}  # fmt: skip


def make(class_name: str, rng: np.random.Generator) -> Mesh:
    """Builds one object of a class, stretched and turned a little as collected models are."""
    mesh = MAKERS[class_name](rng)
    stretched = mesh._replace(vertices=mesh.vertices * rng.uniform(0.8, 1.25, 3))
    return turn(stretched, np.deg2rad(rng.normal(0, 12)))
