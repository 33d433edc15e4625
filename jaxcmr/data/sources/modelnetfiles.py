"""Where ModelNet10 and ModelNet40 lie: files, their download, or a stand-in for ModelNet10."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache
from jaxcmr.data.formats import off, pointfiles
from jaxcmr.data.items.objects import Item, Reader
from jaxcmr.data.sources import cloudfiles
from jaxcmr.data.sources.download import UnreachableError, fetch
from jaxcmr.data.sources.meshfiles import list_meshes, read_mesh
from jaxcmr.data.standin import procedural
from jaxcmr.errors import UsageError


class Release(NamedTuple):
    """One of the two ModelNets: its names, its official split and where it is published."""

    name: str
    folder: str
    train: int
    test: int
    urls: tuple[str, ...]
    clouds: tuple[str, ...]  # folders of the HDF5 releases
    cloud_counts: tuple[int, int]
    views: tuple[str, ...] = ("ModelNet40-Images-180",)  # folders of pictures


MODELNET10 = Release(
    "modelnet10",
    "ModelNet10",
    3991,
    908,
    (
        "https://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "http://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
    ),
    ("modelnet10_hdf5_2048", "modelnet10_ply_hdf5_2048"),
    (3991, 908),
    ("ModelNet10-Images-180", "ModelNet40-Images-180"),
)
MODELNET40 = Release(
    "modelnet40",
    "ModelNet40",
    9843,
    2468,
    ("https://modelnet.cs.princeton.edu/ModelNet40.zip",),
    ("modelnet40_ply_hdf5_2048", "modelnet40_hdf5_2048"),
    (9840, 2468),
)


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
    reason = ""
    for url in release.urls:
        try:
            fetch(url, root / f"{release.folder}.zip")
        except (UnreachableError, UsageError) as error:
            reason = reason or str(error)
            continue
        meshes = _found_meshes(release, root / f"{release.folder}.zip", "download", url)
        return _with_views(meshes, release, root)
    if config.fallback == "procedural10" and release is MODELNET10:
        logging.warning(
            "STAND-IN DATA: no ModelNet10 under %s (%s): generated furniture (procedural10) takes "
            "its place, so scores do not compare with published ones",
            root,
            reason,
        )
        return generate(config)
    raise UsageError(
        f"no {release.folder} under {root} ({release.folder}/, {release.folder}.zip, "
        f"{release.name}.npz, {release.name}.h5, {release.clouds[0]}/) and no download "
        f"({reason}); fetch {release.urls[0]} into that folder"
        + (
            ", or allow generated data with --config.data.fallback=procedural10"
            if release is MODELNET10
            else ""
        )
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
            return _found_meshes(release, path, "files", "")
    return None


def _zip(root: Path, release: Release) -> Path:
    """Returns the archive in a folder, whatever the case of its name."""
    exact = root / f"{release.folder}.zip"
    name = exact.name.casefold()
    alike = sorted(path for path in root.glob("*.[zZ][iI][pP]") if path.name.casefold() == name)
    return alike[0] if alike and not exact.exists() else exact


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
    state = (off.VERSION, files.state)
    return Found(files.train, files.test, files.class_names, read_mesh, state, provenance)


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


def _found_clouds(release: Release, folder: Path) -> Found:
    expected = procedural.CLASS_NAMES if release is MODELNET10 else ()
    files = cloudfiles.list_clouds(folder, expected)
    counts = (len(files.train), len(files.test))
    if counts != release.cloud_counts:
        logging.warning(
            "%s has %d training and %d test clouds, the official release %d and %d",
            folder, *counts, *release.cloud_counts,
        )  # fmt: skip
    provenance = {"source": "files", "name": release.name, "path": str(folder), "shapes": "points"}
    return Found(
        files.train, files.test, files.class_names, cloudfiles.read_cloud, files.digests,
        {**provenance, "sha256": files.digests},
    )  # fmt: skip


def _with_views(found: Found, release: Release, root: Path) -> Found:
    """Takes the pictures of a folder of views beside the shapes, if there is one."""
    for name in release.views:
        folder = root / name
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
