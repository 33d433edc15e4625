"""Points of digits, as 3D MNIST has them: pictures are extruded to clouds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.data.formats import itemfiles, pictures
from jaxcmr.data.items.geometry import normalize
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.shapes import Points
from jaxcmr.data.standin.digitclouds import digit_cloud, draw_points, framed
from jaxcmr.errors import named

_PICTURE = Picture(shape=(28, 28, 1), dtype=np.dtype(np.uint8), margin=0)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DigitPoints(Points):
    """Points of a digit: of its picture, white on black, or of a cloud in the plane of y and z.

    In training, points are drawn by the row in MNIST's file, which a raw item does not tell: they
    are drawn as those of row 0. An array of P points is taken as it is, as the rows are.
    """

    files, further = itemfiles.CLOUDS, pictures.SUFFIXES

    def takes(self) -> str:
        return (
            f"digits: pictures, white on black, or clouds: {self._endings()}, Pillow images, uint8 "
            "arrays [h, w], or arrays [N, 3] of floats"
        )

    def _of_file(self, path: Path) -> np.ndarray:
        suffix = path.suffix.lower()
        if suffix in pictures.SUFFIXES:
            return self._extruded(_PICTURE.row(path, str(path)), str(path))
        if suffix == ".npy":
            return super()._of_file(path)
        return self._drawn(itemfiles.load_cloud(path), str(path))

    def _of_picture(self, image: Any, name: str) -> np.ndarray:
        return self._extruded(_PICTURE.row(image, name), name)

    def _of_array(self, array: np.ndarray, name: str) -> np.ndarray:
        if array.dtype == np.uint8:
            return self._extruded(_PICTURE.row(array, name), name)
        places = itemfiles.places(array, name)
        if array.shape == self.shape:
            normalize(places, name)  # the checks alone
            return places.astype(np.float32)
        return self._drawn(places, name)

    def _extruded(self, picture: np.ndarray, name: str) -> np.ndarray:
        with named(name):
            return draw_points(digit_cloud(picture[..., 0]), self.points, [self.seed, 0])

    def _drawn(self, cloud: np.ndarray, name: str) -> np.ndarray:
        normalize(cloud, name)
        return draw_points(framed(cloud), self.points, [self.seed, 0])
