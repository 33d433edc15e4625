"""A model whose embeddings are colors: red, green and blue are its axes."""

import types
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxcmr.data.formats.itemfiles import read_picture
from jaxcmr.errors import UsageError

AXES = ("red", "green", "blue")


class Recipe(NamedTuple):
    kind: str
    files: tuple[str, ...]
    further: tuple[str, ...] = ()


class Rows(NamedTuple):
    items: np.ndarray
    known: np.ndarray


class Colors:
    """Pictures `[8, 8, 3]` are their mean color, texts the colors that they name."""

    size = 3
    modalities = ("image", "text")

    def __init__(self, fingerprint: str = "c0ffee"):
        self.fingerprint = fingerprint
        self.read: list = []  # what was read, in this order
        recipes = {"image": Recipe("image", (".png", ".jpg")), "text": Recipe("text", (".txt",))}
        self.preparation = types.SimpleNamespace(recipes=recipes, rows=self._rows)

    def _rows(self, modality: str, raws: list) -> Rows:
        if modality == "image":
            pictures = [read_picture(Path(raw), 8, 3) for raw in raws]
            self.read += raws
            return Rows(np.stack(pictures), np.ones(len(raws), bool))
        self.read += raws
        if any("unreadable" in raw for raw in raws):
            raise UsageError(f"{raws} cannot be read")
        items = np.array([[raw.split().count(axis) for axis in AXES] for raw in raws], np.float32)
        return Rows(items, items.any(1))

    def embed(self, **raws: list) -> np.ndarray:
        ((modality, found),) = raws.items()
        items, known = self._rows(modality, found)
        return self.embed_rows(modality, items) * known[:, None]

    def embed_rows(self, modality: str, items: np.ndarray) -> np.ndarray:
        if modality == "image":
            items = items.mean((1, 2), np.float32)
        # Without a color it points somewhere, as a network's embeddings do.
        rows = np.where(items.any(1, keepdims=True), items, 1)
        return np.float32(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def paint(path: Path, color: str, size: int = 8) -> Path:
    """Writes a picture of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), color).save(path)
    return path
