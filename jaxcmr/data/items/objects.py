"""Turns objects into paired arrays in worker processes; an interrupted run goes on."""

import functools
import os
import shutil
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from jaxcmr.data import cache
from jaxcmr.data.items import geometry
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.items.render import camera_ring, render_mesh, render_points
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later
from jaxcmr.storage import locks
from jaxcmr.storage.files import write_atomically

joblib = Later("joblib")
VERSION = 1  # part of every cache key; raise it when the same input gives other arrays
SHARD = 100  # objects: the unit of work, of progress, and of what an interruption can cost
FEW = 60  # below, starting workers costs more than it saves


class Recipe(NamedTuple):
    """What every object becomes; part of the cache key.

    Attributes:
        points: points of the cloud.
        views: rendered azimuths; 0: no picture is made.
        image_size: pixels.
        elevation: of the cameras, degrees.
        seed: of the sampling.
        faces: of the mesh features; 0: none are made.
    """

    points: int = 512
    views: int = 8
    image_size: int = 64
    elevation: float = 30.0
    seed: int = 0
    faces: int = 0


class Item(NamedTuple):
    """One object: where it comes from is known to `read` alone."""

    id: str
    label: int
    source: Any


# Reads an item's shape: a Mesh, or a cloud [N, 3].
Reader = Callable[[Item], Mesh | np.ndarray]
# Makes an item's arrays, by name.
Maker = Callable[[Item], dict[str, np.ndarray]]


def object_arrays(
    shape: Mesh | np.ndarray, name: str, recipe: Recipe, drawn_as: str | None = None
) -> dict[str, np.ndarray]:
    """Makes `points [P, 3]` float32, `image [V, S, S]` uint8 and `mesh_*` from one object.

    `image` is left out if `recipe.views` is 0, `mesh_*` if `recipe.faces` is.

    The object is centered on its bounding box and scaled into the unit sphere; a mesh is sampled by
    area, a cloud is subsampled (with repetition if it has fewer points). The draw depends on the
    seed and on the object's name alone, not on its neighbors; `drawn_as` takes the name's place.
    """
    drawn_as = name if drawn_as is None else drawn_as
    rng = np.random.default_rng([recipe.seed, zlib.crc32(drawn_as.encode())])
    cameras = camera_ring(recipe.views, recipe.elevation)
    if isinstance(shape, Mesh):
        mesh = geometry.normalize_mesh(shape, name)
        points = geometry.sample_surface(mesh, recipe.points, rng, name)
        image = render_mesh(mesh, cameras, recipe.image_size) if recipe.views else None
        faces = geometry.face_features(mesh, recipe.faces, rng) if recipe.faces else {}
    else:
        cloud = geometry.normalize(np.asarray(shape, np.float64), name)
        rows = rng.permutation(len(cloud))
        points = cloud[np.resize(rows, recipe.points)].astype(np.float32)
        image = render_points(cloud, cameras, recipe.image_size) if recipe.views else None
        if recipe.faces:
            raise UsageError(f"{name} is a cloud, so it has no mesh features; give meshes")
        faces = {}
    made = {"points": points} | ({} if image is None else {"image": image})
    return made | {f"mesh_{name}": array for name, array in faces.items()}


def shape_arrays(item: Item, *, read: Reader, recipe: Recipe) -> dict[str, np.ndarray]:
    """Reads an item's shape and makes its arrays; with `functools.partial`, a `Maker`."""
    return object_arrays(read(item), item.id, recipe)


def prepare(
    items: Sequence[Item], make: Maker, folder: Path, meta: dict[str, Any], *, workers: int = 0
) -> dict[str, np.ndarray]:
    """Prepares all items into `folder` and returns the arrays; what is done is not done again.

    Shards of `SHARD` objects are written to `folder.partial/` as they are finished, so an
    interrupted run goes on where it stopped; at the end they become `folder`. While another process
    prepares the same folder, this one waits, and takes what is there then.

    Args:
        make: picklable; turns an item into its arrays, of the same shapes for all items.
        folder: of the result; its name must depend on everything that changes the arrays.
        meta: is written beside the arrays.
        workers: processes; 0: one a core.

    Returns:
        What `make` makes, stacked, and `labels [N]` int32, `ids [N]`.

    Raises:
        UsageError: an object cannot be read, by name.
    """
    folder = cache.fitting(folder)
    ready = cache.load_arrays(folder)
    if ready is None:
        with locks.in_turn(folder.with_name(folder.name + ".lock"), f"preparing {folder.name}"):
            ready = cache.load_arrays(folder)  # another process may have made it
            if ready is None:
                _make(items, make, folder, meta, workers)
                ready = cache.load_arrays(folder)
    return ready[0]


def _make(items, make: Maker, folder: Path, meta: dict[str, Any], workers: int) -> None:
    """Prepares all items into `folder`, by way of the shards in `folder.partial/`."""
    partial = folder.with_name(folder.name + ".partial")
    shards = [items[start : start + SHARD] for start in range(0, len(items), SHARD)]
    paths = [partial / f"{k:05d}.npz" for k in range(len(shards))]
    missing = [k for k, path in enumerate(paths) if _read_shard(path, len(shards[k])) is None]
    workers = min(workers or os.cpu_count() or 1, max(len(items) // FEW, 1), max(len(missing), 1))
    write = functools.partial(_make_shard, make=make)
    alone, loky = {"backend": "sequential"}, {"backend": "loky", "inner_max_num_threads": 1}
    with joblib.parallel_config(**(loky if workers > 1 else alone)):
        with _interrupts_ignored():
            finished = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(
                joblib.delayed(write)(shards[k], path=paths[k]) for k in missing
            )
        _report_progress(finished, len(missing), folder.name)
    parts = [_read_shard(path, len(shard)) for path, shard in zip(paths, shards)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays["labels"] = np.array([item.label for item in items], np.int32)
    arrays["ids"] = np.array([item.id for item in items])
    cache.save_arrays(folder, arrays, meta)
    shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Lets processes that start here leave a Ctrl-C, which a terminal sends to all, to this one."""
    if threading.current_thread() is not threading.main_thread():  # it alone may set a handler
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _report_progress(finished: Iterable[None], total: int, name: str) -> None:
    """Consumes `finished` and logs a line every few seconds."""
    started = last = time.monotonic()
    for done, _ in enumerate(finished, 1):
        now = time.monotonic()
        if now - last > 5:
            last, left = now, (now - started) / done * (total - done)
            logging.info(
                "preparing %s: %d %% done, about %.0f s left", name, 100 * done // total, left
            )


def _make_shard(items: Sequence[Item], *, make: Maker, path: Path) -> None:
    arrays = jax.tree.map(lambda *rows: np.stack(rows), *map(make, items))
    write_atomically(path, lambda file: np.savez(file, **arrays))


def _read_shard(path: Path, length: int) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zlib.error):
        return None
    return arrays if all(len(array) == length for array in arrays.values()) else None
