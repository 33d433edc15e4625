"""Objects of ModelNet: a mesh or a cloud becomes points, rendered views, features of faces.

The draw of points and faces depends on the name of the object, which is that of its file without
the ending; an array has no name.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.data.formats import itemfiles, pictures
from jaxcmr.data.items import objects
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.preparation.pictures import Views
from jaxcmr.data.preparation.recipe import Recipe, Row

SHAPES = tuple(dict.fromkeys((*itemfiles.MESHES, *itemfiles.CLOUDS)))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Object(Recipe):
    """A modality of objects; the base of those below."""

    files = SHAPES

    def takes(self) -> str:
        return f"meshes or clouds: {self._endings()}, or arrays [N, 3]"

    def _of_file(self, path: Path) -> Row:
        return self._made(itemfiles.load_shape(path), str(path), path.stem)

    def _of_array(self, array: np.ndarray, name: str) -> Row:
        return self._made(itemfiles.places(array, name), name, "")

    def _made(self, shape: Mesh | np.ndarray, name: str, drawn_as: str) -> Row:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ObjectPoints(Object):
    """Points `[P, 3]` float32 of the surface of a mesh, or of a cloud."""

    kind = "cloud"
    points: int
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.points, 3)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def _made(self, shape: Mesh | np.ndarray, name: str, drawn_as: str) -> np.ndarray:
        recipe = objects.Recipe(self.points, views=0, seed=self.seed)
        return objects.object_arrays(shape, name, recipe, drawn_as)["points"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ObjectFaces(Object):
    """Features of the faces of a mesh, as MeshNet takes them (`geometry.face_features`).

    Attributes:
        faces: F.
        points, seed: of the draw, in which points come before faces.
    """

    kind = "mesh"
    files = itemfiles.MESHES
    points: int
    seed: int
    faces: int

    @property
    def shape(self) -> dict[str, tuple[int, ...]]:
        three = dict.fromkeys(("centers", "normals", "neighbors"), (self.faces, 3))
        return three | {"corners": (self.faces, 9), "mask": (self.faces,)}

    @property
    def dtype(self) -> dict[str, np.dtype]:
        floats = dict.fromkeys(("centers", "normals", "corners"), np.dtype(np.float32))
        return floats | {"neighbors": np.dtype(np.int32), "mask": np.dtype(bool)}

    def takes(self) -> str:
        return f"meshes: {self._endings()}"

    def _of_array(self, array: np.ndarray, name: str) -> Row:
        raise self._refused(name, f"is an array {list(array.shape)}")

    def _of_file(self, path: Path) -> Row:
        return self._made(itemfiles.load_mesh(path), str(path), path.stem)

    def _made(self, shape: Mesh | np.ndarray, name: str, drawn_as: str) -> dict[str, np.ndarray]:
        recipe = objects.Recipe(self.points, views=0, seed=self.seed, faces=self.faces)
        made = objects.object_arrays(shape, name, recipe, drawn_as)
        return {part: made[f"mesh_{part}"] for part in self.shape}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ObjectViews(Object):
    """Views `[V, S, S, 1 or 3]` uint8 of an object, in grey: rendered, or given as pictures.

    Attributes:
        views: V.
        image_size: S, pixels.
        elevation: of the cameras, degrees.
        channels: 3: the grey is repeated.
        rendered: False where the views of the training objects are pictures of another renderer:
            then pictures alone are taken.
    """

    kind = "views"
    files = pictures.SUFFIXES
    views: int
    image_size: int
    elevation: float
    channels: int
    rendered: bool

    @property
    def further(self) -> tuple[str, ...]:
        return SHAPES if self.rendered else (".npy",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.views, self.image_size, self.image_size, self.channels)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    def takes(self) -> str:
        shapes = f"meshes and clouds ({', '.join(SHAPES)}, arrays [N, 3]), which are rendered; or "
        return shapes * self.rendered + self._pictures().takes()

    def row(self, raw: Any, name: str) -> np.ndarray:
        if isinstance(raw, list | tuple):
            return self._colored(self._pictures().row(raw, name))
        return super().row(raw, name)

    def _pictures(self) -> Views:
        return Views(shape=(*self.shape[:3], 1), dtype=self.dtype)

    def _colored(self, views: np.ndarray) -> np.ndarray:
        return np.broadcast_to(views, self.shape)

    def _of_file(self, path: Path) -> np.ndarray:
        if path.suffix.lower() in pictures.SUFFIXES:
            return self._colored(self._pictures().row(path, str(path)))
        if path.suffix.lower() == ".npy":
            return Recipe._of_file(self, path)  # what it holds tells what it is
        return super()._of_file(path)

    def _of_picture(self, image: Any, name: str) -> np.ndarray:
        return self._colored(self._pictures().row(image, name))

    def _of_array(self, array: np.ndarray, name: str) -> np.ndarray:
        if array.shape == self.shape and array.dtype == np.uint8:
            return array
        if self.rendered and array.dtype != np.uint8:
            return super()._of_array(array, name)
        return self._colored(self._pictures().row(array, name))

    def _made(self, shape: Mesh | np.ndarray, name: str, drawn_as: str) -> np.ndarray:
        recipe = objects.Recipe(1, self.views, self.image_size, self.elevation)
        image = objects.object_arrays(shape, name, recipe, drawn_as)["image"]
        return self._colored(image[..., None])
