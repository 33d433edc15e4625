"""A small paired data set of vectors, and configs that fit it."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from jaxcmr.config import default, encoder, method
from jaxcmr.train import stages
from jaxcmr.train.trainer import Trainer
from jaxcmr.types import Dataset

CLASSES = 4
RONO = {
    "tau1": 0.05,
    "tau2": 0.05,
    "margin": 0.3,
    "warmup_epochs": 2,
    "crc_scale": 5.0,
    "pair_temperature": 0.22,
    "crc_weight": 1.0,
    "pair_weight": 1.0,
}


def dataset(rows: int = 48, seed: int = 0, noise: float = 0.25) -> Dataset:
    """Two modalities, each a noisy linear view of the class; a quarter of the labels wrong."""
    rng = np.random.default_rng(seed)
    world = np.random.default_rng(99)
    truth = np.arange(rows, dtype=np.int32) % CLASSES
    codes = np.eye(CLASSES)[truth] + 0.3 * rng.normal(size=(rows, CLASSES))
    inputs = {
        "image": (codes @ world.normal(size=(CLASSES, 12))).astype(np.float32),
        "text": (codes @ world.normal(size=(CLASSES, 9))).astype(np.float32),
    }
    labels = truth.copy()
    wrong = rng.permutation(rows)[: round(noise * rows)]
    labels[wrong] = (labels[wrong] + 1) % CLASSES
    ids = np.array([f"row{i}" for i in range(rows)])
    names = tuple("abcd")
    return Dataset(inputs, labels, truth, ids, names, {"source": "files", "name": "tiny"})


def held_out() -> Dataset:
    """Twenty other rows, to validate on."""
    return dataset(rows=20, seed=1)


def trainer(
    config: ConfigDict,
    folder: Path = Path("nowhere"),
    train: Dataset | None = None,
    validation: Dataset | None = None,
) -> Trainer:
    """The trainer of the only stage of a config, on `dataset()` where no other is given."""
    (stage,) = stages.plan(config, folder)
    return Trainer(stage, CLASSES, train or dataset(), validation)


def config(**numbers) -> ConfigDict:
    """RONO on the vectors, a few small epochs."""
    config = default()
    config.data.modalities = ("image", "text")
    config.encoders.embedding_size = 6
    for modality in config.data.modalities:
        options = {"hidden": (8,), "normalize": False}
        config.encoders[modality] = encoder("fc", **options)
    config.method = method("rono", **RONO | numbers)
    config.train.epochs, config.train.batch_size = 4, 10
    config.optimizer.learning_rate = 1e-2
    config.evaluate.batch_size = 7
    return config
