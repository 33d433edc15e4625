"""A shop with a model whose embeddings are known by hand: red, green and blue are the axes."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from jaxcmr.data.items.texts import Tfidf
from jaxcmr.data.preparation import Preparation
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.vectors import Given, Text
from jaxcmr.index import Index
from jaxcmr.serving.answers import Answers
from jaxcmr.serving.app import build
from jaxcmr.serving.current import Current
from jaxcmr.serving.limits import Limits

COLORS = ("red", "green", "blue")


class ColorModel:
    """Has the face of a `Model`: pictures point to their mean color, texts to the named colors."""

    def __init__(self, workdir: Path):
        self.workdir, self.fingerprint, self.size = workdir, "c0ffee", 3
        self.class_names = COLORS
        self.preparation = Preparation(
            COLORS,
            {
                "image": Picture(shape=(8, 8, 3), dtype=np.dtype(np.uint8)),
                "text": Text(tfidf=Tfidf(COLORS, np.ones(3))),
                "features": Given(kind="vector", shape=(3,)),
            },
        )
        self.modalities = tuple(self.preparation.recipes)
        self.sizes = []  # of the calls

    def embed_rows(self, modality: str, rows: np.ndarray) -> np.ndarray:
        self.sizes.append(len(rows))
        rows = rows.astype(np.float32)
        rows = rows.mean((1, 2)) if modality == "image" else rows
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def picture(color: str, size: tuple[int, int] = (8, 8), format: str = "PNG") -> bytes:
    """Returns the file of a picture in one color."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, format)
    return file.getvalue()


def file(data: bytes, **more) -> dict:
    """Returns an item that is a file."""
    return {"file": {"modality": "image", "data": base64.b64encode(data).decode(), **more}}


def index_of(folder: Path, names=COLORS) -> Index:
    """Returns a picture and a text of each color, with a price; sources lie in the folder."""
    index = Index(3, "c0ffee")
    rows = np.eye(3)[[COLORS.index(name) for name in names]]
    metadata = {"price": list(range(1, 1 + len(names)))}
    for name in names:
        (folder / f"{name}.png").write_bytes(picture({"green": "#00ff00"}.get(name, name)))
    sources = [str(folder / f"{name}.png") for name in names]
    index.add(rows, modality="image", ids=list(names), metadata=metadata, sources=sources)
    texts = [f"a {name} mug" for name in names]
    index.add(rows, modality="text", ids=list(names), metadata=metadata, sources=texts)
    return index


def opened(folder: Path, limits: Limits | None = None, hosts=("127.0.0.1", "localhost")):
    """Saves an index in a folder and returns `(application, answers)` that serve it."""
    limits = limits or Limits()
    index_of(folder).save(folder / "shop.index")
    model = ColorModel(folder)
    answers = Answers(model, Current(model, folder / "shop.index"), limits, threads=2)
    return build(answers, limits, hosts), answers
