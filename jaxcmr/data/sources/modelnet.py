"""Loads ModelNet10, ModelNet40 or their stand-in as clouds, views and mesh features."""

import functools
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from jaxcmr.data import cache, preparation
from jaxcmr.data.formats import pictures
from jaxcmr.data.items import objects
from jaxcmr.data.items.objects import Item, Recipe
from jaxcmr.data.preparation import Preparation
from jaxcmr.data.preparation.objects import ObjectFaces, ObjectPoints, ObjectViews
from jaxcmr.data.sources.modelnetfiles import MODELNET10, MODELNET40, Found, find, generate
from jaxcmr.data.splits import train_and_test
from jaxcmr.types import Splits

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
    """Makes the arrays of both splits as the config says, or finds them prepared."""
    faces = config.get("faces", FACES) if "mesh" in config.modalities else 0
    recipe = Recipe(config.points, config.views, config.image_size, seed=config.seed, faces=faces)
    items, name = found.train + found.test, found.provenance["name"]
    fields = recipe._asdict()
    if not recipe.faces:  # arrays without mesh features stay valid
        del fields["faces"]
    make = functools.partial(objects.shape_arrays, read=found.read, recipe=recipe)
    given = {}
    if found.views is not None:
        bare = found._replace(train=[], test=[], state=None)  # it is sent to every worker
        make = functools.partial(pictured_arrays, found=bare, recipe=recipe)
        # Pictures may change while their folder does not.
        files = [file for item in items for file in _view_files(item, found, recipe)]
        given["views"] = [str(found.views), [*map(cache.stamp, files)], pictures.VERSION]
    key = cache.fingerprint(
        name=name, recipe=fields, version=objects.VERSION, state=found.state,
        ids=[item.id for item in items], **given,
    )  # fmt: skip
    root = cache.user_cache() if "stands_for" in found.provenance else cache.data_root(config.root)
    folder = cache.prepared_folder(root) / f"{name}-{len(found.train)}+{len(found.test)}-{key}"
    arrays = objects.prepare(items, make, folder, found.provenance, workers=workers)
    image = arrays["image"][..., None]
    if config.channels == 3:  # `subok`: also where it is mapped
        image = np.broadcast_to(image, (*image.shape[:-1], 3), subok=True)
    mesh = {n.removeprefix("mesh_"): a for n, a in arrays.items() if n.startswith("mesh_")}
    inputs = {"image": image, "points": arrays["points"]} | ({"mesh": mesh} if mesh else {})
    return train_and_test(
        arrays, inputs, len(found.train), config,
        preparation=Preparation(found.class_names, _recipes(found, recipe, config.channels)),
        provenance={**found.provenance, "prepared": str(folder)},
    )  # fmt: skip


def _recipes(found: Found, recipe: Recipe, channels: int) -> dict[str, preparation.Recipe]:
    """Returns how an object becomes the rows of each modality."""
    drawn = {"points": recipe.points, "seed": recipe.seed}
    views = ObjectViews(
        views=recipe.views, image_size=recipe.image_size, elevation=recipe.elevation,
        channels=channels, rendered=found.views is None,
    )  # fmt: skip
    return {
        "image": views,
        "points": ObjectPoints(**drawn),
        "mesh": ObjectFaces(**drawn, faces=recipe.faces),
    }


def pictured_arrays(item: Item, *, found: Found, recipe: Recipe) -> dict[str, np.ndarray]:
    """Makes an item's arrays, the picture from `<views>/<class>/<name>/<name>.<0-179>.png`.

    `recipe.views` of the 180 are taken, evenly spaced from number 0 on.
    """
    made = objects.shape_arrays(item, read=found.read, recipe=recipe._replace(views=0))
    files = _view_files(item, found, recipe)
    views = [pictures.read_image(file, recipe.image_size, 1)[..., 0] for file in files]
    return {**made, "image": np.stack(views)}


def _view_files(item: Item, found: Found, recipe: Recipe) -> list[Path]:
    folder = found.views / found.class_names[item.label] / item.id
    numbers = np.arange(recipe.views) * GIVEN_VIEWS // recipe.views
    return [folder / f"{item.id}.{number}.png" for number in numbers]
