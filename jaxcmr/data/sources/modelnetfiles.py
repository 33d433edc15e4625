"""Finds the files of ModelNet10 and ModelNet40, downloads them, or generates a stand-in."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache
from jaxcmr.data.formats import off, pointfiles
from jaxcmr.data.items.objects import Item, Reader
from jaxcmr.data.sources import cloudfiles
from jaxcmr.data.sources.cloudfiles import CloudFiles
from jaxcmr.data.sources.download import UnreachableError, fetch
from jaxcmr.data.sources.meshfiles import MeshFiles, list_meshes, read_mesh
from jaxcmr.data.standin import furniture
from jaxcmr.errors import UsageError


class Release(NamedTuple):
    """One of the two ModelNets: its names, its official split and where it is published."""

    name: str
    folder: str
    counts: tuple[int, int]  # meshes of the training and the test set
    urls: tuple[str, ...]
    clouds: tuple[str, ...]  # folders of the HDF5 releases
    cloud_counts: tuple[int, int]
    views: tuple[str, ...]  # folders of pictures
    classes: tuple[str, ...] = ()  # the only ones; (): those that are there


MODELNET10 = Release(
    "modelnet10", "ModelNet10", (3991, 908),
    (
        "https://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "http://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
    ),
    ("modelnet10_hdf5_2048", "modelnet10_ply_hdf5_2048"), (3991, 908),
    ("ModelNet10-Images-180", "ModelNet40-Images-180"), furniture.CLASS_NAMES,
)  # fmt: skip
MODELNET40 = Release(
    "modelnet40", "ModelNet40", (9843, 2468),
    ("https://modelnet.cs.princeton.edu/ModelNet40.zip",),
    ("modelnet40_ply_hdf5_2048", "modelnet40_hdf5_2048"), (9840, 2468),
    ("ModelNet40-Images-180",),
)  # fmt: skip


class Found(NamedTuple):
    """Objects of both splits, how to read them, and what identifies them."""

    train: list[Item]
    test: list[Item]
    class_names: tuple[str, ...]
    read: Reader
    state: Any
    provenance: dict[str, Any]
    views: Path | None = None  # a folder of given pictures, which are taken instead of rendering


def find(release: Release, config: ConfigDict) -> Found:
    """Tries the sources in their order; see the table in README.md of this folder."""
    root = cache.data_root(config.root)
    found = _find_files(release, root)
    if found is not None:
        return _with_views(found, release, root)
    reason, archive = "", root / f"{release.folder}.zip"
    for url in release.urls:
        try:
            fetch(url, archive)
        except (UnreachableError, UsageError) as error:
            reason = reason or str(error)
            continue
        try:
            meshes = _found_meshes(release, archive, {"source": "download", "url": url})
        except UsageError:  # a page in place of the file: do not keep it as the zip
            archive.unlink(missing_ok=True)
            raise
        return _with_views(meshes, release, root)
    has_stand_in = release is MODELNET10
    if has_stand_in and config.fallback == "procedural10":
        logging.warning(
            "STAND-IN DATA: no ModelNet10 under %s (%s): generated furniture (procedural10) takes "
            "its place, so scores do not compare with published ones", root, reason,
        )  # fmt: skip
        return generate(config)
    advice = ", or allow generated data with --config.data.fallback=procedural10"
    raise UsageError(
        f"no {release.folder} under {root} ({release.folder}/, {release.folder}.zip, "
        f"{release.name}.npz, {release.name}.h5, {release.clouds[0]}/) and no download "
        f"({reason}); fetch {release.urls[0]} into that folder{advice * has_stand_in}"
    )


def _find_files(release: Release, root: Path) -> Found | None:
    """Looks for meshes (folder, zip), point files, HDF5 clouds; `root` may be one itself."""
    here = [root] if root.is_file() else [root / release.folder, _zip(root, release)]
    if root.name in (release.folder, *release.clouds):
        here.insert(0, root)
    if not root.is_file():
        here += [root / f"{release.name}{suffix}" for suffix in pointfiles.SUFFIXES]
        here += [root / name for name in release.clouds]
    for path in here:
        if path.name in release.clouds and path.is_dir():
            return _found_clouds(release, path)
        if path.suffix in pointfiles.SUFFIXES and path.is_file():
            return _found_points(release, path)
        if path.exists():
            return _found_meshes(release, path, {"source": "files"})
    return None


def _zip(root: Path, release: Release) -> Path:
    """Returns the archive in a folder, whatever the case of its name."""
    exact = root / f"{release.folder}.zip"
    name = exact.name.casefold()
    alike = sorted(path for path in root.glob("*.[zZ][iI][pP]") if path.name.casefold() == name)
    return alike[0] if alike and not exact.exists() else exact


def _found_meshes(release: Release, path: Path, provenance: dict[str, Any]) -> Found:
    files = list_meshes(path, release.classes)
    _compare(path, files, release.counts, "meshes")
    provenance |= {"name": release.name, "path": str(path), "shapes": "meshes"}
    provenance |= {"sha256": cache.sha256(path)} if path.is_file() else {}
    state = (off.VERSION, files.state)
    return Found(files.train, files.test, files.class_names, read_mesh, state, provenance)


def _found_clouds(release: Release, folder: Path) -> Found:
    files = cloudfiles.list_clouds(folder, release.classes)
    _compare(folder, files, release.cloud_counts, "clouds")
    provenance = _of_points(release, folder, files.digests)
    read, digests = cloudfiles.read_cloud, files.digests
    return Found(files.train, files.test, files.class_names, read, digests, provenance)


def _compare(path: Path, files: MeshFiles | CloudFiles, counts: tuple[int, int], what: str) -> None:
    found = (len(files.train), len(files.test))
    if found != counts:
        logging.warning(
            "%s has %d training and %d test %s, the official release %d and %d",
            path, *found, what, *counts,
        )  # fmt: skip


def _found_points(release: Release, path: Path) -> Found:
    digest = cache.sha256(path)
    arrays = pointfiles.cached(str(path), digest)
    train, test = (
        [
            Item(str(name), int(label), (str(path), digest, f"{split}_points", row))
            for row, (name, label) in enumerate(
                zip(arrays[f"{split}_names"], arrays[f"{split}_labels"])
            )
        ]
        for split in pointfiles.SPLITS
    )
    names, provenance = tuple(map(str, arrays["class_names"])), _of_points(release, path, digest)
    return Found(train, test, names, read_points, digest, provenance)


def _of_points(release: Release, path: Path, sha256: str | dict[str, str]) -> dict[str, Any]:
    return {
        "source": "files", "name": release.name, "path": str(path), "shapes": "points",
        "sha256": sha256,
    }  # fmt: skip


def _with_views(found: Found, release: Release, root: Path) -> Found:
    """Takes the pictures of a folder of views beside the shapes, if there is one."""
    for folder in (root / name for name in release.views):
        if folder.is_dir():
            logging.info("%s: its pictures take the place of rendered views", folder)
            provenance = {**found.provenance, "views": str(folder)}
            return found._replace(views=folder, provenance=provenance)
    return found


def read_points(item: Item) -> np.ndarray:
    """Reads the cloud of an item of a point file."""
    path, digest, key, row = item.source
    return pointfiles.cached(path, digest)[key][row]


def generate(config: ConfigDict) -> Found:
    """Lists the objects of the stand-in for ModelNet10."""
    train, test = (
        furniture.items(split, size, config.seed)
        for split, size in (("train", config.train_size), ("test", config.test_size))
    )
    provenance = {
        "source": "stand-in", "name": "procedural10", "stands_for": "modelnet10",
        "path": "generated",
    }  # fmt: skip
    state = (furniture.VERSION, config.seed)
    return Found(train, test, furniture.CLASS_NAMES, furniture.read, state, provenance)
