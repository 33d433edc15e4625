"""The stand-in `procedural10`: generated furniture of the ten ModelNet10 classes."""

import numpy as np

from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.items.objects import Item
from jaxcmr.data.standin import furniture

VERSION = 2  # raise it when the same seed gives other meshes
CLASS_NAMES = tuple(furniture.MAKERS)


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
    return furniture.make(name, np.random.default_rng(words))
