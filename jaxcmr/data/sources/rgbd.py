"""Loads RGB-D Object (Lai et al., ICRA 2011): photographs of objects and clouds of their depth.

The cropped release: `<category>/<instance>/<instance>_<video>_<frame>_crop.png`, beside it
`_depthcrop.png` (16 bit, millimetres), `_maskcrop.png` and `_loc.txt`.
"""

import functools
import re
from pathlib import Path

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache
from jaxcmr.data.formats import depthframes
from jaxcmr.data.formats.itemfiles import draw_points
from jaxcmr.data.formats.pictures import read_image
from jaxcmr.data.formats.textfiles import read_lines
from jaxcmr.data.items import objects
from jaxcmr.data.items.objects import Item
from jaxcmr.data.preparation import Preparation, Recipe
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.shapes import FramePoints
from jaxcmr.data.splits import train_and_test
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits

VERSION = 2  # part of the cache key; raise it when the same files give other arrays
FOLDERS = ("rgbd-dataset_eval", "rgbd-dataset")
EVERY = 5  # frames: what the release for evaluation keeps of the whole one
CATEGORIES, INSTANCES = 51, 300
TRIALS = "testinstance_ids.txt"
_FRAME = re.compile(r"(?P<instance>.+_\d+)_(?P<video>\d+)_(?P<frame>\d+)_crop\.png")


def load_rgbd_object(config: ConfigDict, workers: int) -> Splits:
    """Loads the frames: `image [N, S, S, C]` uint8 and `points [N, P, 3]` float32, z up.

    The test set is one instance of each category: those of trial `1 + config.seed mod 10` of
    `testinstance_ids.txt` where it lies beside, else drawn with `config.seed`. Of the whole release
    every fifth frame is taken, as the one for evaluation has it. A frame without depth has no cloud
    (`present`).

    Raises:
        UsageError: no such folder, or a file that cannot be used.
    """
    folder = _folder(cache.data_root(config.root))
    frames = list_frames(folder, EVERY if folder.name == "rgbd-dataset" else 1)
    classes = tuple(sorted({path.parts[-3] for path in frames}))
    instances = sorted({path.parts[-2] for path in frames})
    if (len(classes), len(instances)) != (CATEGORIES, INSTANCES):
        logging.warning(
            "%s has %d categories with %d instances, the release %d with %d",
            folder, len(classes), len(instances), CATEGORIES, INSTANCES,
        )  # fmt: skip
    chosen, how = held_out(instances, folder, config.seed)
    items = [
        Item(path.name.removesuffix("_crop.png"), classes.index(path.parts[-3]), str(path))
        for path in sorted(frames, key=lambda path: path.parts[-2] in chosen)
    ]
    train = sum(path.parts[-2] not in chosen for path in frames)
    recipe = {name: config[name] for name in ("image_size", "channels", "points", "seed")}
    state = [
        (item.id, [cache.stamp(file) for file in depthframes.files(Path(item.source))])
        for item in items
    ]
    key = cache.fingerprint(version=VERSION, recipe=recipe, state=state, path=str(folder))
    target = cache.prepared_folder(folder.parent) / f"rgbd_object-{len(items)}-{key}"
    make = functools.partial(read_frame, recipe=recipe)
    meta = {"source": "files", "name": "rgbd_object", "path": str(folder), "split_by": how}
    arrays = objects.prepare(items, make, target, meta, workers=workers)
    present = arrays["has_points"]
    return train_and_test(
        arrays, {name: arrays[name] for name in ("image", "points")}, train, config,
        preparation=Preparation(classes, _recipes(recipe)), provenance=meta,
        present={} if present.all() else {"points": present},
    )  # fmt: skip


def _recipes(recipe: dict[str, int]) -> dict[str, Recipe]:
    """Returns how a frame becomes the rows of each modality, as `read_frame` makes them."""
    shape = (recipe["image_size"], recipe["image_size"], recipe["channels"])
    return {
        "image": Picture(shape=shape, dtype=np.dtype(np.uint8)),
        "points": FramePoints(points=recipe["points"], seed=recipe["seed"]),
    }


def _folder(root: Path) -> Path:
    for folder in (root / name for name in FOLDERS):
        if folder.is_dir():
            return folder
    if root.name in FOLDERS:
        return root
    raise UsageError(f"no {' or '.join(FOLDERS)} under {root}; unpack the cropped release there")


def list_frames(folder: Path, every: int) -> list[Path]:
    """Lists the photographs, sorted by instance, video and frame; of each video every n-th."""
    found, others = [], []
    for path in folder.glob("*/*/*_crop.png"):
        match = _FRAME.fullmatch(path.name)
        if match and match["instance"] == path.parts[-2]:
            found.append((path.parts[-2], int(match["video"]), int(match["frame"]), path))
        else:
            others.append(path)
    if others:
        logging.warning(
            "%s: %d photographs are not named <instance>_<video>_<frame>_crop.png as their folder "
            "and are not used, such as %s", folder, len(others), min(others),
        )  # fmt: skip
    found = [path for *_, frame, path in sorted(found) if (frame - 1) % every == 0]
    if not found:
        raise UsageError(f"{folder} holds no photograph <category>/<instance>/<...>_crop.png")
    return found


def held_out(instances: list[str], folder: Path, seed: int) -> tuple[set[str], str]:
    """Chooses the instances of the test set, and says how: by the published trials, or drawn."""
    for listing in (folder / TRIALS, folder.parent / TRIALS):
        if listing.is_file():
            trials = _read_trials(listing)
            number = seed % len(trials)
            chosen = trials[number] & set(instances)
            if not chosen:
                raise UsageError(f"{listing}: no instance of trial {number + 1} is in {folder}")
            return chosen, f"trial {number + 1} of {listing.name}"
    by_category: dict[str, list[str]] = {}
    for name in instances:
        by_category.setdefault(name.rpartition("_")[0], []).append(name)
    rng = np.random.default_rng(seed)
    chosen = {str(rng.choice(names)) for names in by_category.values() if len(names) > 1}
    return chosen, f"an instance a category, drawn with seed {seed}"


def _read_trials(listing: Path) -> list[set[str]]:
    trials: list[set[str]] = []
    for line in read_lines(listing):
        if re.fullmatch(r"\*+\s*trial\s+\d+\s*\*+", line):
            trials.append(set())
        elif trials:
            trials[-1].add(line)
        else:
            raise UsageError(f"{listing} does not begin with a line '****** trial 1 ******'")
    if not trials:
        raise UsageError(f"{listing} has no trial")
    return trials


def read_frame(item: Item, *, recipe: dict[str, int]) -> dict[str, np.ndarray]:
    """Makes `image`, `points` and `has_points` of the frame whose photograph is `item.source`."""
    crop = Path(item.source)
    cloud = depthframes.read_cloud(crop)
    has_points = len(np.unique(cloud, axis=0)) > 1
    points = np.zeros((recipe["points"], 3), np.float32)
    if has_points:
        points = draw_points(cloud, recipe["points"], recipe["seed"], str(crop))
    image = read_image(crop, recipe["image_size"], recipe["channels"])
    return {"image": image, "points": points, "has_points": np.bool_(has_points)}
