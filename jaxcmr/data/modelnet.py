"""ModelNet from files, from its download, or from a stand-in."""

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache, objects, procedural
from jaxcmr.data.objects import Recipe
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


def load_modelnet10(config: ConfigDict) -> Splits:
    """Loads ModelNet10: files under `config.root`, else the download, else the stand-in."""
    recipe = Recipe(
        points=config.points, views=config.views, image_size=config.image_size, seed=config.seed
    )
    if config.fallback != "procedural10":
        raise UsageError(
            f"no ModelNet10 under {cache.data_root(config.root)}; put ModelNet10.zip there, "
            "or allow the stand-in with --config.data.fallback=procedural10"
        )
    logging.warning(
        "STAND-IN DATA: no ModelNet10 under %s and no download: generated furniture (procedural10) "
        "takes its place; scores are NOT comparable with published ones",
        cache.data_root(config.root),
    )
    return _stand_in(config, recipe)


def _stand_in(config: ConfigDict, recipe: Recipe) -> Splits:
    """Generates `procedural10`."""
    key = cache.fingerprint(
        recipe=recipe._asdict(), versions=(objects.VERSION, procedural.VERSION), seed=config.seed
    )
    items = procedural.items("train", config.train_size, config.seed)
    items += procedural.items("test", config.test_size, config.seed)
    name = f"procedural10-{config.train_size}+{config.test_size}-{key}"
    folder = cache.prepared_folder(cache.user_cache()) / name
    arrays = objects.prepare(items, procedural.read, recipe, folder, {"name": "procedural10"})
    splits = {}
    for split, rows in (
        ("train", slice(0, config.train_size)),
        ("test", slice(config.train_size, None)),
    ):
        part = {name: array[rows] for name, array in arrays.items()}
        provenance = {
            "source": "stand-in",
            "name": "procedural10",
            "stands_for": "modelnet10",
            "path": str(folder),
            "key": key,
            "count": len(part["labels"]),
        }
        splits[split] = dataset(part, procedural.CLASS_NAMES, config, provenance)
    return Splits(**splits)


def dataset(arrays, class_names, config: ConfigDict, provenance) -> Dataset:
    """Puts prepared arrays into a `Dataset`: grey or RGB images, the modalities asked for."""
    image = arrays["image"][..., None]
    if config.channels == 3:
        image = np.repeat(image, 3, axis=-1)
    inputs = {"image": image, "points": arrays["points"]}
    return Dataset(
        inputs={name: inputs[name] for name in config.modalities if name in inputs},
        labels=arrays["labels"],
        true_labels=arrays["labels"],
        ids=arrays["ids"],
        class_names=tuple(class_names),
        provenance=provenance,
    )
