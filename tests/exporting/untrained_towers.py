"""Models of many modalities that nobody has trained, one for each kind of tower."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcmr import methods
from jaxcmr.config import default, encoder, method
from jaxcmr.data.items.standardize import Standard
from jaxcmr.data.items.texts import Tfidf
from jaxcmr.data.preparation import Preparation
from jaxcmr.data.preparation.objects import ObjectFaces
from jaxcmr.data.preparation.pictures import Picture, Views
from jaxcmr.data.preparation.shapes import Cloud
from jaxcmr.data.preparation.vectors import Given, Text
from jaxcmr.model import Model
from jaxcmr.train.step import method_numbers

SIZE, CLASSES = 6, ("cup", "lamp", "chair")
WORDS = ("blue", "chair", "cup", "lamp", "lamps", "red", "杯", "杯子")
STANDARD = Standard(np.linspace(0.0, 0.2, len(WORDS)), 0.25)
BYTES = np.dtype(np.uint8)
TOWERS = {
    "cloud": (encoder("triplane_cnn", cells=12, width=8), Cloud(points=48, seed=3)),
    "graph": (encoder("dgcnn", k=4, widths=(8, 8)), Given(kind="cloud", shape=(32, 3))),
    "image": (encoder("compact_cnn", width=8), Picture(shape=(16, 12, 3), dtype=BYTES)),
    "mesh": (encoder("meshnet", kernels=8), ObjectFaces(points=8, seed=0, faces=20)),
    "photo": (encoder("resnet18", width=8), Picture(shape=(32, 32, 1), dtype=BYTES)),
    "points": (encoder("pointnet", widths=(8, 16), transforms=True), Cloud(points=40, seed=0)),
    "text": (
        encoder("fc", hidden=(64, 300)),
        Text(tfidf=Tfidf(WORDS, np.linspace(1, 2, len(WORDS))), standard=STANDARD),
    ),
    "views": (
        encoder("mnist_cnn", views=2, channels=(4, 8), hidden=(16,)),
        Views(shape=(3, 16, 16, 1), dtype=BYTES),
    ),
}


def model(*modalities: str, members: int = 2, name: str = "ce", dtype: str = "float32") -> Model:
    """Returns a model with the `TOWERS` of these modalities, by the method `name`."""
    config = default().unlock()
    config.data.modalities = modalities
    config.encoders.embedding_size, config.train.compute_dtype = SIZE, dtype
    config.method = method(name)
    for one in modalities:
        config.encoders[one] = TOWERS[one][0]
    built, recipes = methods.build(config), {one: TOWERS[one][1] for one in modalities}
    inputs = {one: rows(one, 2) for one in modalities}
    of_one = jax.eval_shape(lambda: built.init(jax.random.key(0), inputs, len(CLASSES)))
    return Model(
        workdir=Path("nowhere"),
        config=config,
        method=built,
        numbers=method_numbers(config.method),
        variables=_drawn(of_one, members),
        preparation=Preparation(CLASSES, recipes),
        fingerprint="0123456789abcdef",
    )


def _drawn(shapes: Any, members: int) -> Any:
    """Returns variables of noise, stacked over members, in which activations keep their scale."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        shape = (members, *leaf.shape)
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        return rng.normal(0, max(math.prod(leaf.shape[:-1]), 1) ** -0.5, shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def rows(modality: str, count: int) -> np.ndarray | dict[str, np.ndarray]:
    """Returns prepared rows of noise."""
    recipe, rng = TOWERS[modality][1], np.random.default_rng(count)
    if modality != "mesh":
        noise = rng.integers(0, 256, (count, *recipe.shape), np.uint8)
        return noise if recipe.dtype == BYTES else (noise / 128 - 1).astype(np.float32)
    made = {name: rng.normal(size=(count, *shape)) for name, shape in recipe.shape.items()}
    made["neighbors"] = rng.integers(0, 20, (count, 20, 3))
    made["mask"] = np.arange(20)[None] < rng.integers(5, 20, (count, 1))
    return {name: array.astype(recipe.dtype[name]) for name, array in made.items()}
