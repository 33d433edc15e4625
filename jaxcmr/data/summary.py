"""What is in a data set: a few lines of text, and a contact sheet."""

from pathlib import Path

import jax
import numpy as np
from PIL import Image

from jaxcmr.data.cache import write_atomically
from jaxcmr.data.render import camera_ring, render_points
from jaxcmr.types import Dataset, Splits


def describe(splits: Splits) -> str:
    """Returns a table: source, sizes, shapes of the modalities, samples a class."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    parts = {name: part for name, part in parts.items() if part is not None}
    source = splits.train.provenance
    lines = [f"{source.get('name')}: {source.get('source')}, {source.get('path', '')}"]
    for name, part in parts.items():
        shapes = ", ".join(
            f"{modality} {_shapes(items)}" for modality, items in part.inputs.items()
        )
        lines.append(f"{name:>10}: {len(part)} samples, {shapes}")
    counts = [np.bincount(p.labels, minlength=len(p.class_names)) for p in parts.values()]
    width = max(len(name) for name in splits.train.class_names)
    lines.append(f"{'class':>{width}}  " + "".join(f"{name:>11}" for name in parts))
    for k, name in enumerate(splits.train.class_names):
        lines.append(f"{name:>{width}}  " + "".join(f"{int(c[k]):>11}" for c in counts))
    return "\n".join(lines)


def _shapes(items) -> str:
    return " ".join(f"{list(a.shape[1:])} {a.dtype}" for a in jax.tree.leaves(items))


def draw_sheet(dataset: Dataset, path: Path, per_class: int = 3, size: int = 96) -> None:
    """Draws a row a class into a `.png`: for some samples, two views and the cloud.

    Modalities that are no pictures and no clouds are left out.
    """
    rng = np.random.default_rng(0)
    rows = []
    for label in range(len(dataset.class_names)):
        members = np.flatnonzero(dataset.labels == label)
        chosen = rng.choice(members, min(per_class, len(members)), replace=False)
        tiles = [tile for row in np.sort(chosen) for tile in _tiles(dataset, row, size)]
        rows.append(tiles)
    width = max(len(tiles) for tiles in rows)
    blank = np.full((size, size, 3), 255, np.uint8)
    rows = [np.concatenate([*tiles, *[blank] * (width - len(tiles))], axis=1) for tiles in rows]
    sheet = Image.fromarray(np.concatenate(rows))
    write_atomically(path, lambda file: sheet.save(file, format="PNG"))


def _tiles(dataset: Dataset, row: int, size: int) -> list[np.ndarray]:
    tiles = []
    if "image" in dataset.inputs:
        views = np.asarray(dataset.inputs["image"][row])
        views = views if views.ndim == 4 else views[None]
        for view in views[: 2 * max(len(views) // 4, 1) : max(len(views) // 4, 1)]:
            grey = np.broadcast_to(view, (*view.shape[:2], 3)).astype(np.uint8)
            tiles.append(np.asarray(Image.fromarray(grey).resize((size, size))))
    if "points" in dataset.inputs:
        drawn = render_points(dataset.inputs["points"][row], camera_ring(1, 25.0), size)[0]
        tiles.append(np.repeat(drawn[..., None], 3, -1))
    return tiles
