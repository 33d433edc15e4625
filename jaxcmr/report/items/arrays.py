"""Items of arrays: pictures, views, clouds and meshes are drawn, features are only named."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcmr.data.items import itemtypes
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.own import arraynames, arrayparts, arrays, own
from jaxcmr.data.splits import parts
from jaxcmr.errors import UsageError
from jaxcmr.report.items import part, thumbnails
from jaxcmr.report.items.part import Part
from jaxcmr.storage.numpyfiles import unread
from jaxcmr.types import Splits

FEATURES = "features only"
LOOKED_AT = 64  # pictures that tell which number is white


class Rows(NamedTuple):
    """Rows of one split.

    Attributes:
        ids: `[N]`.
        items: modality -> array `[N, ...]`, possibly still on the disk, or a mesh's arrays; those
            without a picture, such as features, may be left out.
        present: modality -> `[N]` bool, False where the item is missing; may be left out.
    """

    ids: np.ndarray
    items: Mapping[str, Any]
    present: Mapping[str, np.ndarray]


class Arrays:
    """The rows of some sets, by their ids."""

    def __init__(self, sets: Sequence[Rows]):
        self._sets = sets
        self._places = {
            str(name): (number, row)
            for number, rows in enumerate(sets)
            for row, name in enumerate(rows.ids.tolist())
        }
        self._white: dict[str, float] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def part(self, name: str, modality: str) -> Part:
        """Draws one item.

        Raises:
            UsageError: it cannot be drawn, such as a cloud whose points all coincide.
        """
        number, row = self._places[name]
        rows = self._sets[number]
        if modality in rows.present and not rows.present[modality][row]:
            return part.missing(modality, "missing")
        items = rows.items.get(modality)
        if items is None:
            return part.missing(modality, FEATURES)
        if isinstance(items, Mapping):
            faces = {key: np.asarray(array[row]) for key, array in items.items()}
            return part.picture(modality, thumbnails.of_mesh(_mesh(faces)))
        kind = drawn_kind(items.shape[1:], items.dtype, modality)
        if kind == "vector":
            return part.missing(modality, FEATURES)
        item = np.asarray(items[row])
        if kind == "cloud":
            return part.picture(modality, thumbnails.of_cloud(item))
        pixels = item[..., None] if item.ndim == 2 else item
        return part.picture(modality, thumbnails.of_pixels(self._in_bytes(pixels, modality)))

    def _in_bytes(self, pixels: np.ndarray, modality: str) -> np.ndarray:
        """Returns pixels as uint8, with the number for white that `_white_of` finds."""
        if modality not in self._white:
            arrays = [rows.items[modality] for rows in self._sets if modality in rows.items]
            self._white[modality] = max(_white_of(array) for array in arrays)
        white = self._white[modality]
        if pixels.dtype == np.uint8 and white == 255:
            return pixels
        grey = np.nan_to_num(pixels.astype(np.float32)) / white
        return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def drawn_kind(shape: tuple[int, ...], dtype: np.dtype, modality: str) -> str:
    """Returns the kind of items (`itemtypes.kind`); what is none is features: "vector"."""
    try:
        return itemtypes.kind(shape, dtype, modality)
    except UsageError:
        return "vector"


def _white_of(array) -> float:
    """Returns 1, 255 or 65535, whichever the largest of some pictures' numbers fits.

    All pictures are looked at before a training, which refuses those that fit no scale; here some
    that are evenly spaced do, because most of the others are never shown.
    """
    rows = np.unique(np.linspace(0, len(array) - 1, min(len(array), LOOKED_AT)).astype(int))
    top = max((_largest(np.asarray(array[int(row)])) for row in rows), default=0.0)
    limits = {1: 1.01, 255: 256, 65535: np.inf}  # interpolation may leave the scale by a little
    return next(white for white, limit in limits.items() if top < limit)


def _largest(numbers: np.ndarray) -> float:
    return float(numbers[np.isfinite(numbers)].max(initial=0))


def _mesh(faces: Mapping[str, np.ndarray]) -> Mesh:
    """Makes a mesh of the faces that a network sees (`geometry.face_features`)."""
    centers = faces["centers"][faces["mask"]]
    corners = faces["corners"][faces["mask"]].reshape(-1, 3, 3) + centers[:, None]
    return Mesh(
        corners.reshape(-1, 3).astype(np.float64), np.arange(3 * len(corners)).reshape(-1, 3)
    )


def of_splits(splits: Splits) -> Arrays:
    """Returns the rows of a loaded data set, of all its splits."""
    sets = parts(splits).values()
    return Arrays([Rows(found.ids, found.inputs, found.present) for found in sets])


def of_file(path: Path, modalities: tuple[str, ...]) -> Arrays:
    """Returns the rows of a file or folder of arrays of one's own; items are not read yet.

    Raises:
        UsageError: it cannot be read.
    """
    heads = own.shapes(path)
    names = arraynames.sort(heads, str(path))
    arrays.without_rows(heads, names.parts)
    kinds = lambda key, modality: drawn_kind(heads[key].shape[1:], heads[key].dtype, modality)
    sets = []
    for split, keys in names.parts.items():
        drawn = {m: keys[m] for m in modalities if m in keys and kinds(keys[m], m) != "vector"}
        roles = [key for role, key in keys.items() if arraynames.is_role(role)]
        found = {key: unread(heads[key]) for key in keys.values()} | arrays.read(path, roles)
        rows = arrayparts.part(found, keys, str(path))
        numbers = [f"{split}/{row:06d}".lstrip("/") for row in range(len(rows["labels"]))]
        flags = {
            m: rows[f"{arraynames.FLAGS}{m}"] for m in modalities if arraynames.FLAGS + m in rows
        }
        opened = arrays.open_rows(path, set(drawn.values()))
        items = {modality: opened[key] for modality, key in drawn.items()}
        sets.append(Rows(rows.get("ids", np.array(numbers)), items, flags))
    return Arrays(sets)
