"""ModelNet10, ModelNet40 and their stand-in: shapes become clouds, views and mesh features."""

import functools
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from jaxcmr.data import cache
from jaxcmr.data.formats import pictures
from jaxcmr.data.items import objects
from jaxcmr.data.items.objects import Item, Reader, Recipe
from jaxcmr.data.sources.modelnetfiles import MODELNET10, MODELNET40, Found, find, generate
from jaxcmr.types import Dataset, Splits

GIVEN_VIEWS = 180  # pictures an object in the folders of views
FACES = 512  # of the mesh features, where config.data.faces does not say


def load_modelnet10(config: ConfigDict, workers: int) -> Splits:
    """Loads ModelNet10: files under `config.root`, else the download, else `config.fallback`."""
    return _prepare(find(MODELNET10, config), config, workers)


def load_modelnet40(config: ConfigDict, workers: int) -> Splits:
    """Loads ModelNet40: files under `config.root`, else the download; it has no stand-in."""
    return _prepare(find(MODELNET40, config), config, workers)


def load_procedural10(config: ConfigDict, workers: int) -> Splits:
    """Generates the stand-in for ModelNet10, without looking for files."""
    return _prepare(generate(config), config, workers)


def _prepare(found: Found, config: ConfigDict, workers: int) -> Splits:
    """Makes (or finds prepared) the arrays of both splits, as the config asks for them."""
    recipe = Recipe(
        points=config.points,
        views=config.views,
        image_size=config.image_size,
        seed=config.seed,
        faces=config.get("faces", FACES) if "mesh" in config.modalities else 0,
    )
    items = found.train + found.test
    name = found.provenance["name"]
    asked = recipe._asdict()
    if not recipe.faces:  # arrays without mesh features stay valid
        del asked["faces"]
    given = {}
    if found.views is not None:
        given["views"] = [str(found.views), _stamps(items, found, recipe), pictures.VERSION]
    key = cache.fingerprint(
        name=name, recipe=asked, version=objects.VERSION, state=found.state,
        ids=[item.id for item in items], **given,
    )  # fmt: skip
    root = cache.user_cache() if "stands_for" in found.provenance else cache.data_root(config.root)
    folder = cache.prepared_folder(root) / f"{name}-{len(found.train)}+{len(found.test)}-{key}"
    make = functools.partial(objects.shape_arrays, read=found.read, recipe=recipe)
    if found.views is not None:
        make = functools.partial(
            pictured_arrays, read=found.read, recipe=recipe, folder=found.views,
            class_names=found.class_names,
        )  # fmt: skip
    arrays = objects.prepare(items, make, folder, found.provenance, workers=workers)
    rows = {"train": slice(0, len(found.train)), "test": slice(len(found.train), None)}
    splits = {}
    for split, part in rows.items():
        counts = {"split": split, "count": len(arrays["labels"][part])}
        provenance = {**found.provenance, "prepared": str(folder), **counts}
        selected = {name: array[part] for name, array in arrays.items()}
        splits[split] = _dataset(selected, found.class_names, config, provenance)
    return Splits(**splits)


def pictured_arrays(
    item: Item, *, read: Reader, recipe: Recipe, folder: Path, class_names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Makes an item's arrays, the picture from `<folder>/<class>/<name>/<name>.<0-179>.png`.

    `recipe.views` of the 180 are taken, evenly spaced from number 0 on.
    """
    made = objects.shape_arrays(item, read=read, recipe=recipe._replace(views=0))
    own = _own_folder(item, folder, class_names)
    image = pictures.read_views(own, item.id, recipe.views, GIVEN_VIEWS, recipe.image_size)
    return {**made, "image": image}


def _stamps(items: list[Item], found: Found, recipe: Recipe) -> list[tuple[int, int, int]]:
    """Returns the stamps of the given pictures, for they may change while their folder does not."""
    folders = [_own_folder(item, found.views, found.class_names) for item in items]
    return [
        cache.stamp(file)
        for item, folder in zip(items, folders)
        for file in pictures.view_files(folder, item.id, recipe.views, GIVEN_VIEWS)
    ]


def _own_folder(item: Item, folder: Path, class_names: tuple[str, ...]) -> Path:
    """Returns the folder of an item's pictures."""
    return folder / class_names[item.label] / item.id


def _dataset(arrays, class_names, config: ConfigDict, provenance) -> Dataset:
    """Puts prepared arrays into a `Dataset`: grey or RGB images, the modalities asked for."""
    image = arrays["image"][..., None]
    if config.channels == 3:
        image = np.broadcast_to(
            image, (*image.shape[:-1], 3), subok=True
        )  # also where it is mapped
    mesh = {n.removeprefix("mesh_"): a for n, a in arrays.items() if n.startswith("mesh_")}
    inputs = {"image": image, "points": arrays["points"]} | ({"mesh": mesh} if mesh else {})
    return Dataset(
        inputs={name: inputs[name] for name in config.modalities if name in inputs},
        labels=arrays["labels"],
        true_labels=arrays["labels"],
        ids=arrays["ids"],
        class_names=class_names,
        provenance=provenance,
    )
