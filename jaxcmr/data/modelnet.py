"""ModelNet10 and ModelNet40 from files, from their download, or ModelNet10 from a stand-in."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache, objects, pointfiles, procedural
from jaxcmr.data.download import UnreachableError, fetch
from jaxcmr.data.meshfiles import list_meshes, read_mesh
from jaxcmr.data.objects import Item, Reader, Recipe
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits

FACES = 512  # of the mesh features, where config.data.faces does not say


class Release(NamedTuple):
    """One of the two ModelNets: its names, its official split and where it is published."""

    name: str
    folder: str
    train: int
    test: int
    urls: tuple[str, ...]


MODELNET10 = Release(
    "modelnet10",
    "ModelNet10",
    3991,
    908,
    (
        "https://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "http://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
    ),
)
MODELNET40 = Release(
    "modelnet40", "ModelNet40", 9843, 2468, ("https://modelnet.cs.princeton.edu/ModelNet40.zip",)
)


class Found(NamedTuple):
    """Objects of both splits, how to read them, and what identifies them."""

    train: list[Item]
    test: list[Item]
    class_names: tuple[str, ...]
    read: Reader
    state: Any
    provenance: dict[str, Any]


def load_modelnet10(config: ConfigDict, workers: int) -> Splits:
    """Loads ModelNet10: files under `config.root`, else the download, else `config.fallback`."""
    return _prepare(_find(MODELNET10, config), config, workers)


def load_modelnet40(config: ConfigDict, workers: int) -> Splits:
    """Loads ModelNet40: files under `config.root`, else the download; it has no stand-in."""
    return _prepare(_find(MODELNET40, config), config, workers)


def load_procedural10(config: ConfigDict, workers: int) -> Splits:
    """Generates the stand-in for ModelNet10, without looking for files."""
    return _prepare(_generate(config), config, workers)


def _find(release: Release, config: ConfigDict) -> Found:
    """Tries the sources in their order; see the table in README.md of this folder."""
    root = cache.data_root(config.root)
    found = _find_files(release, root)
    if found is not None:
        return found
    reason = ""
    for url in release.urls:
        try:
            fetch(url, root / f"{release.folder}.zip")
        except (UnreachableError, UsageError) as error:
            reason = reason or str(error)
            continue
        return _found_meshes(release, root / f"{release.folder}.zip", "download", url)
    if config.fallback == "procedural10" and release is MODELNET10:
        logging.warning(
            "STAND-IN DATA: no ModelNet10 under %s (%s): generated furniture (procedural10) takes "
            "its place, so scores do not compare with published ones",
            root,
            reason,
        )
        return _generate(config)
    raise UsageError(
        f"no {release.folder} under {root} ({release.folder}/, {release.folder}.zip, "
        f"{release.name}.npz, {release.name}.h5) and no download ({reason}); fetch "
        f"{release.urls[0]} into that folder"
        + (
            ", or allow generated data with --config.data.fallback=procedural10"
            if release is MODELNET10
            else ""
        )
    )


def _find_files(release: Release, root: Path) -> Found | None:
    """Looks for meshes (folder, zip), then for point files; `root` may be one of them itself."""
    here = [root] if root.is_file() else [root / release.folder, root / f"{release.folder}.zip"]
    if root.name == release.folder:
        here.insert(0, root)
    here += [] if root.is_file() else [root / f"{release.name}{s}" for s in pointfiles.SUFFIXES]
    for path in here:
        if path.suffix in pointfiles.SUFFIXES and path.is_file():
            return _found_points(release, path)
        if path.exists():
            return _found_meshes(release, path, "files", "")
    return None


def _found_meshes(release: Release, path: Path, source: str, url: str) -> Found:
    classes = procedural.CLASS_NAMES if release is MODELNET10 else ()
    try:
        files = list_meshes(path, classes)
    except UsageError:
        if source == "download":  # a page in place of the file: do not keep it as the zip
            path.unlink(missing_ok=True)
        raise
    counts = (len(files.train), len(files.test))
    if counts != (release.train, release.test):
        logging.warning(
            "%s has %d training and %d test meshes, the official release %d and %d",
            path, *counts, release.train, release.test,
        )  # fmt: skip
    provenance = {"source": source, "name": release.name, "path": str(path), "shapes": "meshes"}
    if path.is_file():
        provenance["sha256"] = cache.sha256(path)
    if url:
        provenance["url"] = url
    return Found(files.train, files.test, files.class_names, read_mesh, files.state, provenance)


def _found_points(release: Release, path: Path) -> Found:
    digest = cache.sha256(path)
    arrays = pointfiles.cached(str(path), digest)
    splits = {
        split: [
            Item(str(name), int(label), (str(path), digest, f"{split}_points", row))
            for row, (name, label) in enumerate(
                zip(arrays[f"{split}_names"], arrays[f"{split}_labels"])
            )
        ]
        for split in pointfiles.SPLITS
    }
    provenance = {"source": "files", "name": release.name, "path": str(path), "shapes": "points"}
    return Found(
        splits["train"], splits["test"], tuple(map(str, arrays["class_names"])), read_points,
        digest, {**provenance, "sha256": digest},
    )  # fmt: skip


def read_points(item: Item) -> np.ndarray:
    """Reads the cloud of an item of a point file."""
    path, digest, key, row = item.source
    return pointfiles.cached(path, digest)[key][row]


def _generate(config: ConfigDict) -> Found:
    return Found(
        procedural.items("train", config.train_size, config.seed),
        procedural.items("test", config.test_size, config.seed),
        procedural.CLASS_NAMES,
        procedural.read,
        (procedural.VERSION, config.seed),
        {
            "source": "stand-in",
            "name": "procedural10",
            "stands_for": "modelnet10",
            "path": "generated",
        },
    )


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
    key = cache.fingerprint(
        name=name, recipe=asked, version=objects.VERSION, state=found.state,
        ids=[item.id for item in items],
    )  # fmt: skip
    root = cache.user_cache() if "stands_for" in found.provenance else cache.data_root(config.root)
    folder = cache.prepared_folder(root) / f"{name}-{len(found.train)}+{len(found.test)}-{key}"
    make = functools.partial(objects.shape_arrays, read=found.read, recipe=recipe)
    arrays = objects.prepare(items, make, folder, found.provenance, workers=workers)
    rows = {"train": slice(0, len(found.train)), "test": slice(len(found.train), None)}
    splits = {}
    for split, part in rows.items():
        counts = {"split": split, "count": len(arrays["labels"][part])}
        provenance = {**found.provenance, "prepared": str(folder), **counts}
        selected = {name: array[part] for name, array in arrays.items()}
        splits[split] = _dataset(selected, found.class_names, config, provenance)
    return Splits(**splits)


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
