"""A model of photos and texts that nobody has trained: enough to see how items go through it."""

from pathlib import Path

import jax
import numpy as np

from jaxcmr import methods
from jaxcmr.config import default, encoder, method
from jaxcmr.data.items.texts import Tfidf
from jaxcmr.data.preparation import Preparation
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.vectors import Text
from jaxcmr.model import Model
from jaxcmr.train.step import method_numbers

SIDE, SIZE = 8, 4
CLASSES = ("cup", "lamp", "chair")
WORDS = ("blue", "chair", "cup", "lamp", "red")
RECIPES = {
    "image": Picture(shape=(SIDE, SIDE, 3), dtype=np.dtype(np.uint8)),
    "text": Text(tfidf=Tfidf(WORDS, np.ones(len(WORDS)))),
}


def model(
    members: int = 2, name: str = "ce", seed: int = 0, labels: str = "given", classes: int = 3
) -> Model:
    """Returns a model by the method `name`, of embeddings of `members` times `SIZE` numbers."""
    config = default().unlock()
    config.data.modalities = tuple(RECIPES)
    config.encoders.embedding_size = SIZE
    config.encoders.image = encoder("compact_cnn", head="linear")
    config.encoders.text = encoder("fc", hidden=(6,))
    config.method, config.labels = method(name), labels
    built = methods.build(config)
    inputs = {n: np.zeros((2, *recipe.shape), recipe.dtype) for n, recipe in RECIPES.items()}
    create = lambda key: built.init(key, inputs, classes)
    return Model(
        workdir=Path("nowhere"),
        config=config,
        method=built,
        numbers=method_numbers(config.method),
        variables=jax.vmap(create)(jax.random.split(jax.random.key(seed), members)),
        preparation=Preparation(CLASSES, RECIPES),
        fingerprint=f"{name}-{members}-{seed}",
    )


def photos(count: int, seed: int = 0) -> list[np.ndarray]:
    """Returns pictures `[SIDE, SIDE, 3]` of noise."""
    return list(np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))
