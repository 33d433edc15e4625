"""Pictures, and views of one object: raw files, Pillow images and arrays become rows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.data.formats import pictures
from jaxcmr.data.items.pixels import Scale
from jaxcmr.data.preparation.recipe import Recipe, dims
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later
from jaxcmr.storage.numpyfiles import read_any_npy

Image = Later("PIL.Image")
WHITES = {"bool": 1, "uint8": 255}  # where the training pictures do not say otherwise
CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pixels(Recipe):
    """Pictures of one size and one scale; the base of `Picture` and `Views`.

    Attributes:
        shape: of a row, `[..., H, W, 1 or 3]`.
        dtype: uint8, or float32 in [0, 1].
        whites: type of an array -> the number that is white in it, as in the training pictures.
        margin: the grey around a picture of another shape than H to W.
    """

    files, further = pictures.SUFFIXES, (".npy",)
    shape: tuple[int, ...]
    dtype: np.dtype
    whites: dict[str, int] = dataclasses.field(default_factory=dict)
    margin: int = 255

    def _fitted(self, image: Any, name: str) -> np.ndarray:
        """Makes `[H, W, C]` of a Pillow image."""
        return self._fit(pictures.of_image(image, name))

    def _fit(self, image: Any) -> np.ndarray:
        return Scale(255, self.dtype)(pictures.fitted(image, self.shape[-3:], self.margin))

    def _picture(self, array: np.ndarray, name: str) -> np.ndarray:
        """Makes `[H, W, C]` of an array: of that shape, or of any size in uint8."""
        shape = self.shape[-3:]
        if array.shape == shape or (*array.shape, 1) == shape:
            return self._scaled(array.reshape(shape), name)
        colors = array.shape[2:] or (1,)
        if array.dtype == np.uint8 and array.ndim in (2, 3) and colors[0] in CHANNELS:
            array = array[..., 0] if array.shape[2:] == (1,) else array
            return self._fitted(Image.fromarray(np.ascontiguousarray(array)), name)
        raise self._refused(name, f"is an array {list(array.shape)} of {array.dtype}")

    def _scaled(self, array: np.ndarray, name: str) -> np.ndarray:
        """Brings pixels `[..., H, W, C]` to the scale of the training pictures."""
        if array.dtype.kind not in "fiub":
            raise self._refused(name, f"holds {array.dtype}")
        white = (WHITES | self.whites).get(array.dtype.name)
        if white is None and array.dtype.kind == "f":  # of 64 bits, say, instead of 32
            floats = [white for dtype, white in self.whites.items() if dtype.startswith("float")]
            white = floats[0] if floats else None
        if white is None:
            known = ", ".join(WHITES | self.whites)
            raise UsageError(
                f"{name} has pixels of the type {array.dtype}, whose scale the training pictures "
                f"do not tell; give one of {known}"
            )
        low, high = float(array.min()), float(array.max())
        scale = Scale(white, self.dtype)
        if not scale.holds(low, high):  # also where one is no number
            raise UsageError(
                f"{name} has pixels from {low:.6g} to {high:.6g}, but in the training pictures of "
                f"the type {array.dtype} 0 is black and {white} white"
            )
        return scale(array)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Picture(Pixels):
    """A picture `[H, W, 1 or 3]`: fitted in, centered, what is transparent white."""

    kind = "image"

    def takes(self) -> str:
        return (
            f"pictures: {self._endings()}, Pillow images, arrays {dims(self.shape)}, or uint8 "
            "arrays of any size"
        )

    def _of_file(self, path: Path) -> np.ndarray:
        if path.suffix.lower() == ".npy":
            return self._picture(read_any_npy(path), str(path))
        return self._fit(pictures.open_picture(path))

    def _of_picture(self, image: Any, name: str) -> np.ndarray:
        return self._fitted(image, name)

    def _of_array(self, array: np.ndarray, name: str) -> np.ndarray:
        return self._picture(array, name)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Views(Pixels):
    """Views `[V, H, W, 1 or 3]` of one object: an array, or a list of V pictures.

    One picture alone stands in the place of each view.
    """

    kind = "views"

    def takes(self) -> str:
        return (
            f"{self.shape[0]} views of an object: an array {dims(self.shape)}, a list of pictures "
            f"({self._endings()}, Pillow images, arrays), or one picture for all"
        )

    def row(self, raw: Any, name: str) -> np.ndarray:
        if isinstance(raw, list | tuple):
            return self._stacked(raw, name)
        return super().row(raw, name)

    def _stacked(self, raw: Sequence[Any], name: str) -> np.ndarray:
        if len(raw) != self.shape[0]:
            raise self._refused(name, f"is a list of {len(raw)}")
        one = self.one()
        return np.stack([one.row(view, f"{name}[{place}]") for place, view in enumerate(raw)])

    def one(self) -> Picture:
        """Returns the recipe of a single view."""
        fields = {"dtype": self.dtype, "whites": self.whites, "margin": self.margin}
        return Picture(shape=self.shape[1:], **fields)

    def _repeated(self, view: np.ndarray) -> np.ndarray:
        return np.repeat(view[None], self.shape[0], 0)

    def _of_file(self, path: Path) -> np.ndarray:
        if path.suffix.lower() == ".npy":
            return self._of_array(read_any_npy(path), str(path))
        return self._repeated(self._fit(pictures.open_picture(path)))

    def _of_picture(self, image: Any, name: str) -> np.ndarray:
        return self._repeated(self._fitted(image, name))

    def _of_array(self, array: np.ndarray, name: str) -> np.ndarray:
        if array.shape in (self.shape, self.shape[:-1] if self.shape[-1] == 1 else ()):
            return self._scaled(array.reshape(self.shape), name)
        return self._repeated(self._picture(array, name))
