"""Loads 3D MNIST, digits as pictures and clouds, from MNIST's files or a stand-in.

The split is RONO's (Feng et al., CVPR 2023): the first 5000 and 1000 rows of MNIST's files.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import packages
from jaxcmr.data import cache
from jaxcmr.data.formats import pointfiles
from jaxcmr.data.formats.idx import read_idx
from jaxcmr.data.items import itemtypes, objects
from jaxcmr.data.items.objects import Item
from jaxcmr.data.preparation import Preparation, Recipe
from jaxcmr.data.preparation.digits import DigitPoints
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.vectors import Given
from jaxcmr.data.sources.download import UnreachableError, fetch
from jaxcmr.data.splits import train_and_test
from jaxcmr.data.standin.digitclouds import digit_cloud, draw_points
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits

VERSION = 2
TRAIN, TEST = 5000, 1000  # the first rows of MNIST's two files
CLASS_NAMES = tuple(str(digit) for digit in range(10))
BASE_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# Name and published SHA-256 (checksums of TensorFlow Datasets).
FILES = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


class Digits(NamedTuple):
    """Pictures `[N, 28, 28]` uint8 and labels `[N]`, of the training set first.

    Attributes:
        images, labels: of both splits.
        train: rows of the training set.
        provenance: where they are from, as `Dataset.provenance`.
    """

    images: np.ndarray
    labels: np.ndarray
    train: int
    provenance: dict[str, Any]


def load_mnist3d(config: ConfigDict, workers: int) -> Splits:
    """Loads 3D MNIST: MNIST's files under `config.root`, else the download, else `digits`.

    Modalities: `image [N, 28, 28, 1]` uint8, `points [N, P, 3]` float32 (P drawn from the cloud),
    `features [N, D]` float32 (given, from `mnist3d_features.npz`; see README.md).
    """
    root = cache.data_root(config.root)
    return _splits(_find_digits(root, config), config, root, workers)


def load_digits(config: ConfigDict, workers: int) -> Splits:
    """Makes the stand-in for 3D MNIST from scikit-learn's digits, without looking for files."""
    digits = stand_in(config.train_size, config.test_size, config.seed)
    return _splits(digits, config, cache.user_cache(), workers)


def _splits(digits: Digits, config: ConfigDict, root: Path, workers: int) -> Splits:
    """Makes the modalities that the config names."""
    makers = {
        "image": lambda: digits.images[..., None],
        "points": lambda: _clouds(digits, config, root, workers),
        "features": lambda: _features(root / "mnist3d_features.npz", digits),
    }
    unknown = [name for name in config.modalities if name not in makers]
    if unknown:
        raise UsageError(f"mnist3d has no modality {unknown[0]!r}, only {', '.join(makers)}")
    inputs = {name: makers[name]() for name in config.modalities}
    counts = {"train": digits.train, "test": len(digits.labels) - digits.train}
    ids = [f"{split}/{row:05d}" for split, count in counts.items() for row in range(count)]
    return train_and_test(
        {"labels": digits.labels, "ids": np.array(ids)}, inputs, digits.train, config,
        preparation=Preparation(CLASS_NAMES, _recipes(config, inputs)),
        provenance=digits.provenance,
    )  # fmt: skip


def _recipes(config: ConfigDict, inputs: Mapping[str, np.ndarray]) -> dict[str, Recipe]:
    """Returns how a raw item becomes the row of a modality; the digits are white on black."""
    recipes = {
        "image": Picture(shape=(28, 28, 1), dtype=np.dtype(np.uint8), margin=0),
        "points": DigitPoints(points=config.points, seed=config.seed),
    }
    if "features" in inputs:
        recipes["features"] = Given(kind="vector", shape=inputs["features"].shape[1:])
    return recipes


def _find_digits(root: Path, config: ConfigDict) -> Digits:
    for folder in (root, root / "mnist", root / "MNIST" / "raw"):
        plain = lambda path: path if path.is_file() else path.with_suffix("")
        paths = [plain(folder / name) for name in FILES]
        if all(path.is_file() for path in paths):
            return _read_digits(paths, folder, "files")
    folder = root / "mnist"
    try:
        for name, digest in FILES.items():
            if not (folder / name).exists():
                fetch(BASE_URL + name, folder / name, expected_sha256=digest)
        return _read_digits([folder / name for name in FILES], folder, "download")
    except UnreachableError as error:
        if config.fallback != "digits":
            raise UsageError(
                f"no MNIST files ({', '.join(FILES)}) under {root}, no download ({error}); "
                f"fetch them from {BASE_URL} into that folder, or allow scikit-learn's with "
                "--config.data.fallback=digits"
            ) from None
        logging.warning(
            "STAND-IN DATA: no MNIST under %s (%s): the 8 x 8 digits of scikit-learn take its "
            "place, so scores do not compare with published ones", root, error,
        )  # fmt: skip
        return stand_in(config.train_size, config.test_size, config.seed)


def _read_digits(paths: list[Path], folder: Path, source: str) -> Digits:
    arrays = [read_idx(path) for path in paths]
    for images, labels, rows, path in zip(arrays[::2], arrays[1::2], (TRAIN, TEST), paths[::2]):
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise UsageError(f"{path} holds {list(images.shape)} for {len(labels)} labels")
        if len(images) < rows:
            raise UsageError(f"{path} has {len(images)} digits, but 3D MNIST takes {rows}")
    digests = {path.name: cache.sha256(path) for path in paths}
    provenance = {"source": source, "name": "mnist3d", "path": str(folder), "sha256": digests}
    images, labels = (np.concatenate([arrays[k][:TRAIN], arrays[k + 2][:TEST]]) for k in (0, 1))
    return Digits(images, labels, TRAIN, provenance)


def stand_in(train_size: int, test_size: int, seed: int) -> Digits:
    """The 1797 digits of scikit-learn, enlarged to 28 x 28 as MNIST has them (20 x 20, padded)."""
    from scipy.ndimage import zoom

    small = packages.load("sklearn.datasets").load_digits()
    total = len(small.target)
    if train_size + test_size > total:
        test_size = min(test_size, total // 4)
        train_size = min(train_size, total - test_size)
    order = np.random.default_rng(seed).permutation(total)[: train_size + test_size]
    large = np.stack([zoom(image, 20 / 8, order=1) for image in small.images[order]])
    large = np.where(large < 4, 0, large * (255 / 16))  # ink begins at a quarter, as MNIST's edges
    images = np.pad(np.round(large), ((0, 0), (4, 4), (4, 4))).astype(np.uint8)
    provenance = {
        "source": "stand-in", "name": "digits", "stands_for": "mnist3d", "path": "scikit-learn",
    }  # fmt: skip
    return Digits(images, small.target[order].astype(np.uint8), train_size, provenance)


def _clouds(digits: Digits, config: ConfigDict, root: Path, workers: int) -> np.ndarray:
    """Draws `config.points` points from every digit's cloud; kept for the next run."""
    key = cache.fingerprint(
        version=VERSION, points=config.points, seed=config.seed, images=cache.digest(digits.images)
    )
    folder = cache.prepared_folder(root) / f"mnist3d-{len(digits.images)}-{key}"
    items = [Item(f"{row:05d}", 0, (row, image)) for row, image in enumerate(digits.images)]
    make = functools.partial(draw_cloud, count=config.points, seed=config.seed)
    return objects.prepare(items, make, folder, digits.provenance, workers=workers)["points"]


def draw_cloud(item: Item, *, count: int, seed: int) -> dict[str, np.ndarray]:
    """Draws `points [count, 3]` float32 from the cloud of the digit `item.source` = (row, image).

    The draw depends on the seed and on the row alone.
    """
    row, image = item.source
    return {"points": draw_points(digit_cloud(image), count, [seed, row])}


def _features(path: Path, digits: Digits) -> np.ndarray:
    if not path.is_file():
        raise UsageError(
            f"no point features at {path}; save an .npz with train_features and test_features "
            "there, or leave 'features' out of config.data.modalities"
        )
    arrays, result = pointfiles.read_arrays(path), []
    for split, rows in (("train", digits.train), ("test", len(digits.labels) - digits.train)):
        name = f"{split}_features"
        features = arrays.get(name)
        if features is None or features.ndim != 2 or len(features) != rows:
            found = "missing" if features is None else f"{list(features.shape)}"
            raise UsageError(f"{path}: {name} must be [{rows}, D], it is {found}")
        result.append(itemtypes.items({split: features}, {}, f"{path}: {name}")[split])
    if result[0].shape[1] != result[1].shape[1]:
        shapes = " and ".join(str(list(features.shape)) for features in result)
        raise UsageError(f"{path}: the features of the two splits have the shapes {shapes}")
    return np.concatenate(result)
