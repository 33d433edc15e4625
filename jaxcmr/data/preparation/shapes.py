"""Clouds and surfaces of meshes: raw files and arrays become points in the unit sphere."""

import dataclasses
from pathlib import Path

import numpy as np

from jaxcmr.data.formats import depthframes, itemfiles
from jaxcmr.data.formats.depthframes import ENDING
from jaxcmr.data.preparation.recipe import Recipe
from jaxcmr.errors import UsageError


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Points(Recipe):
    """Points `[P, 3]` float32 of an object; the base of those of clouds and of meshes.

    Attributes:
        points: P.
        seed: of the draw.
    """

    kind = "cloud"
    points: int
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.points, 3)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def _of_array(self, array: np.ndarray, name: str) -> np.ndarray:
        return itemfiles.draw_points(itemfiles.places(array, name), self.points, self.seed, name)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Cloud(Points):
    """Points drawn of a cloud: a file, or an array `[N, 3]`; z is up."""

    files = itemfiles.CLOUDS

    def takes(self) -> str:
        return f"clouds: {self._endings()}, or arrays [N, 3]"

    def _of_file(self, path: Path) -> np.ndarray:
        return itemfiles.draw_points(itemfiles.load_cloud(path), self.points, self.seed, str(path))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Surface(Points):
    """Points drawn from the surface of a mesh: a file, or an array `[N, 3]`, a cloud of it."""

    files = itemfiles.MESHES

    def takes(self) -> str:
        return f"meshes: {self._endings()}, or clouds of their surface, arrays [N, 3]"

    def _of_file(self, path: Path) -> np.ndarray:
        return itemfiles.draw_surface(itemfiles.load_mesh(path), self.points, self.seed, str(path))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class FramePoints(Cloud):
    """Points drawn of the depth of a frame of RGB-D Object, or of any cloud."""

    further = (".png",)

    def takes(self) -> str:
        return (
            f"clouds: photographs of RGB-D Object with their depth beside them (*{ENDING}), "
            f"{', '.join(self.files)}, or arrays [N, 3]"
        )

    def _of_file(self, path: Path) -> np.ndarray:
        if path.suffix.lower() != ".png":
            return super()._of_file(path)
        if not path.name.endswith(ENDING):
            raise self._refused(str(path), f"does not end in {ENDING}")
        cloud = depthframes.read_cloud(path)
        if not len(cloud):
            raise UsageError(f"{path}: its depth has no point; leave the frame out")
        return itemfiles.draw_points(cloud, self.points, self.seed, str(path))
