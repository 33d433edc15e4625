"""The stand-in `procedural10`: furniture of the ten ModelNet10 classes, of random proportions.

Neighboring classes share parts and proportions on purpose (a one-column dresser and a night stand,
a desk and a table with drawers, a one-seat sofa and a chair with arms), as in the real collection.
"""

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.items.objects import Item
from jaxcmr.data.standin import furniture_parts as part
from jaxcmr.data.standin.furniture_fittings import bathtub, monitor, toilet
from jaxcmr.data.standin.furniture_seats import bed, chair, sofa
from jaxcmr.data.standin.furniture_tops import desk, dresser, night_stand, table
from jaxcmr.data.standin.solids import merge, turn

VERSION = 2  # raise it when the same seed gives other meshes
# Alphabetical: the canonical order of the labels.
MAKERS = {
    "bathtub": bathtub, "bed": bed, "chair": chair, "desk": desk, "dresser": dresser,
    "monitor": monitor, "night_stand": night_stand, "sofa": sofa, "table": table, "toilet": toilet,
}  # fmt: skip
CLASS_NAMES = tuple(MAKERS)


def make(class_name: str, rng: np.random.Generator) -> Mesh:
    """Builds one object of a class as collected models come: stretched, turned, in company.

    The axes are stretched by 0.75 to 1.33; the yaw is normal with 20 degrees, every fourth object
    stands at another quarter turn; every third shares its file with a rug, a wall or a neighbor,
    so that the bounding box, hence the scale, is not that of the object alone.
    """
    mesh = MAKERS[class_name](rng)
    mesh = mesh._replace(vertices=mesh.vertices * np.exp(rng.uniform(-0.29, 0.29, 3)))
    if rng.random() < 0.33:
        mesh = merge([mesh, *part.company(rng, mesh)])
    quarter = int(rng.integers(1, 4)) if rng.random() < 0.25 else 0
    return turn(mesh, quarter * np.pi / 2 + np.deg2rad(rng.normal(0, 20)))


def items(split: str, size: int, seed: int) -> list[Item]:
    """Lists `size` objects, balanced over the classes, sorted by class.

    An object's source is (class name, seed words): every object has its own random stream, so the
    first objects of a class are the same whatever the size.
    """
    index = {"train": 0, "test": 1}[split]
    counts = [len(range(k, size, len(CLASS_NAMES))) for k in range(len(CLASS_NAMES))]
    return [
        Item(f"{split}/{name}_{i + 1:04d}", label, (name, (seed, index, label, i)))
        for label, (name, count) in enumerate(zip(CLASS_NAMES, counts))
        for i in range(count)
    ]


def read(item: Item) -> Mesh:
    """Builds the mesh of an item."""
    name, words = item.source
    return make(name, np.random.default_rng(words))
