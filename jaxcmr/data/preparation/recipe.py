"""The way of a raw item of one modality to a row: what all kinds of items share."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jaxcmr.data.items.standardize import Standard
from jaxcmr.display import shown
from jaxcmr.errors import UsageError
from jaxcmr.storage.files import MAX_BYTES
from jaxcmr.storage.numpyfiles import read_any_npy
from jaxcmr.storage.paths import expanded

Row = np.ndarray | dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """How a raw item of one modality becomes a row; each kind of items has its own.

    Attributes:
        kind: "image", "views", "cloud", "mesh", "vector" or "text".
        shape, dtype: of a row `[...]`; of a mesh dicts of them.
        files: endings of files, in small letters, that are items of this kind without a word.
        further: those that it reads where the modality is named, such as meshes to be rendered.
        standard: the numbers by which rows that are vectors are standardised.
    """

    kind: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ()
    further: ClassVar[tuple[str, ...]] = ()
    standard: Standard | None = None

    def row(self, raw: Any, name: str) -> Row:
        """Makes the row of one raw item, not standardised.

        Args:
            raw: a path (`str` or `Path`), a Pillow image, or an array.
            name: of the item, for messages; a path is named itself.

        Raises:
            UsageError: it is none of what this kind of items is made of, or damaged.
        """
        if isinstance(raw, str | os.PathLike):
            return self._of_file(self._checked(expanded(os.fspath(raw))))
        if is_picture(raw):
            return self._of_picture(raw, name)
        if np.ma.is_masked(raw):
            raise UsageError(f"{name} has masked entries; fill them in")
        if isinstance(raw, np.ndarray) or hasattr(raw, "__array__"):
            return self._of_array(native(np.asarray(raw)), name)
        raise self._refused(name, f"is of the type {type(raw).__name__}")

    def takes(self) -> str:
        """Says what a raw item may be, `clouds: .npy, .ply, .pcd, or arrays [N, 3]`."""
        raise NotImplementedError

    def _endings(self) -> str:
        """Returns the endings of all files that it reads, `.png, .jpg`."""
        return ", ".join((*self.files, *self.further))

    def _of_file(self, path: Path) -> Row:
        return self._of_array(native(read_any_npy(path)), str(path))

    def _of_picture(self, image: Any, name: str) -> Row:
        del image
        raise self._refused(name, "is a picture")

    def _of_array(self, array: np.ndarray, name: str) -> Row:
        raise self._refused(name, f"is an array {list(array.shape)}")

    def _refused(self, name: str, what: str) -> UsageError:
        return UsageError(f"{name} {what}, but the model takes {self.takes()}")

    def _checked(self, path: Path) -> Path:
        named = shown(str(path), 300)
        if path.suffix.lower() not in (*self.files, *self.further):
            ends = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
            raise UsageError(f"{named} {ends}, but the model takes {self.takes()}")
        try:
            size = path.stat().st_size if path.is_file() else None
        except (OSError, ValueError):  # a name too long, a zero in it
            size = None
        if size is None:
            raise UsageError(f"there is no file {named}")
        if size > MAX_BYTES:
            raise UsageError(f"{named} has more than {MAX_BYTES >> 20} MB")
        return path


def is_picture(raw: Any) -> bool:
    """Tells whether something is a Pillow image; Pillow is not imported for it."""
    module = sys.modules.get("PIL.Image")
    # While another thread imports it, the module has no class yet.
    return isinstance(raw, getattr(module, "Image", ()))


def native(array: np.ndarray) -> np.ndarray:
    """Returns an array in the machine's order of bytes."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def dims(shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]) -> str:
    """Returns a shape as a message has it, `[64, 64, 3]`."""
    if isinstance(shape, Mapping):
        return ", ".join(f"{name} {list(part)}" for name, part in shape.items())
    return str(list(shape))
