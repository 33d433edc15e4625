"""Arrays that were given as they are trained on, such as features, and texts."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.items.itemtypes import floats
from jaxcmr.data.items.texts import Tfidf
from jaxcmr.data.preparation.recipe import Recipe, dims
from jaxcmr.errors import UsageError
from jaxcmr.storage.paths import expanded


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Given(Recipe):
    """Numbers whose way before the training nobody knows: features, or clouds of given points.

    Attributes:
        kind: "vector" or "cloud".
        shape: of a row, and of a raw item.
    """

    files = (".npy",)
    kind: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def takes(self) -> str:
        what = {"vector": "features", "cloud": "clouds"}[self.kind]
        return f"{what} as arrays {dims(self.shape)} (or .npy files of one), as it was trained on"

    def _of_array(self, array: np.ndarray, name: str) -> np.ndarray:
        if array.shape != self.shape or array.dtype.kind not in "fiub":
            raise self._refused(name, f"is an array {list(array.shape)} of {array.dtype}")
        row = floats(array, name)
        if not np.isfinite(row).all():
            raise UsageError(f"{name} has a value that is not finite; repair it")
        return row


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class GivenMesh(Recipe):
    """A mesh of a source that has no way to make one: its arrays by name, as trained on."""

    kind = "mesh"
    shape: dict[str, tuple[int, ...]]
    dtype: dict[str, np.dtype]

    def takes(self) -> str:
        return f"meshes as dicts of arrays ({dims(self.shape)}), as it was trained on"

    def row(self, raw: Any, name: str) -> dict[str, np.ndarray]:
        if not isinstance(raw, Mapping) or raw.keys() != self.shape.keys():
            raise self._refused(name, f"is of the type {type(raw).__name__}")
        arrays = {part: np.asarray(raw[part]) for part in self.shape}
        if any(array.shape != self.shape[part] for part, array in arrays.items()):
            raise self._refused(name, f"has {dims({k: a.shape for k, a in arrays.items()})}")
        return {part: array.astype(self.dtype[part]) for part, array in arrays.items()}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Text(Recipe):
    """A TF-IDF row `[D]` float32 of a text: a `str` is the text itself, a `Path` a text file.

    Attributes:
        tfidf: the vocabulary of the training texts and its weights.
    """

    kind = "text"
    files = (".txt",)
    tfidf: Tfidf

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.tfidf.words),)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def takes(self) -> str:
        return "texts: each a str, or the Path of a .txt file"

    def row(self, raw: Any, name: str) -> np.ndarray:
        if isinstance(raw, str):
            return self.tfidf.rows([raw])[0]
        if isinstance(raw, os.PathLike):
            return self.tfidf.rows([read_text(self._checked(expanded(os.fspath(raw))))])[0]
        raise self._refused(name, f"is of the type {type(raw).__name__}")
