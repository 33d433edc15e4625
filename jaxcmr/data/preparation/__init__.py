"""What preparation learned from the training set: raw items become rows like those trained on.

preparation = preparation.read(workdir)
items, known = preparation.rows("image", ["photo.png", "other.jpg"])
"""

from jaxcmr.data.preparation.recipe import Recipe
from jaxcmr.data.preparation.rows import Preparation, Rows
from jaxcmr.data.preparation.store import FILE, digest, read, write

__all__ = ["FILE", "Preparation", "Recipe", "Rows", "digest", "read", "write"]
