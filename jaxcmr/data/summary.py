"""Describes a data set in a few lines of text, and draws a sheet of samples."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from jaxcmr.data.items.dots import draw_dots
from jaxcmr.data.outputs import check_output, write_picture
from jaxcmr.data.splits import parts, present_rows
from jaxcmr.display import columns, shown
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later
from jaxcmr.types import Dataset, Splits

Image, ImageDraw, ImageFont = map(Later, ("PIL.Image", "PIL.ImageDraw", "PIL.ImageFont"))
MOST_CLASSES = 20  # rows of a sheet
LABEL = 88  # pixels at the left of a row, for the name of the class


def describe(splits: Splits) -> str:
    """Returns a table: source, checksums, sizes, shapes of the modalities, samples a class."""
    found = parts(splits)
    source = splits.train.provenance
    lines = [f"{source.get('name')}: {source.get('source')}, {source.get('path', '')}"]
    digests = source.get("sha256", {})
    digests = {Path(source["path"]).name: digests} if isinstance(digests, str) else digests
    lines += [f"  sha256 {digest} {name}" for name, digest in digests.items()]
    for key in ("prepared", "views", "split_by"):
        lines += [f"  {key}: {source[key]}"] if key in source else []
    for name, part in found.items():
        shapes = ", ".join(f"{shown(m)} {_shapes(items)}" for m, items in part.inputs.items())
        lines.append(f"{name:>10}: {len(part)} samples, {shapes}")
        for modality, present in part.present.items():
            lines.append(f"{'':>10}  {(~present).sum()} of them without {shown(modality)}")
        labelled = part.labels >= 0
        if without := (~labelled).sum():
            lines.append(f"{'':>10}  {without} of them without a label")
        truth = part.labels if part.true_labels is None else part.true_labels
        if wrong := (labelled & (part.labels != truth)).sum():
            lines.append(f"{'':>10}  {wrong} of their labels differ from the true ones")
    given = [part.labels[part.labels >= 0] for part in found.values()]
    counts = [np.bincount(labels, minlength=len(splits.train.class_names)) for labels in given]
    names = ["class", *(shown(name) for name in splits.train.class_names)]
    width = max(columns(name) for name in names)
    cells = [[*found], *([str(int(count[k])) for count in counts] for k in range(len(names) - 1))]
    for name, row in zip(names, cells):
        blanks = " " * (width - columns(name))
        lines.append(f"{blanks}{name}  " + "".join(f"{cell:>11}" for cell in row))
    return "\n".join(lines)


def _shapes(items) -> str:
    return " ".join(f"{list(a.shape[1:])} {a.dtype}" for a in jax.tree.leaves(items))


def draw_sheet(dataset: Dataset, path: Path, per_class: int = 3, size: int = 96) -> None:
    """Draws a row a class into a `.png`: some samples, each with a tile or two a modality.

    Pictures are drawn as they are, of several views two; clouds as dots, the nearer the darker;
    vectors as a square of their numbers, row by row, the smallest black and the largest white.
    Meshes are left out, missing items are white; samples that lack none come first. Of more than 20
    classes 20 are drawn.

    Raises:
        UsageError: the file's name does not end in `.png`, it is a file that is not ours, or there
            is no class.
    """
    check_output(path, ".png")
    classes = len(dataset.class_names)
    if not classes:
        raise UsageError("the data name no class, and a sheet of samples has a row a class")
    chosen = np.arange(min(classes, MOST_CLASSES)) * classes // min(classes, MOST_CLASSES)
    rng = np.random.default_rng(0)
    rows = []
    for label in chosen:
        members = _most_complete(dataset, np.flatnonzero(dataset.labels == label), per_class)
        samples = np.sort(rng.choice(members, min(per_class, len(members)), replace=False))
        tiles = [tile for row in samples for tile in _tiles(dataset, row, size)]
        rows.append([_name_tile(dataset.class_names[label], size), *tiles])
    width = max(len(tiles) for tiles in rows)
    blank = np.full((size, size, 3), 255, np.uint8)
    rows = [np.concatenate([*tiles, *[blank] * (width - len(tiles))], axis=1) for tiles in rows]
    # Few colors keep the file small; a sheet is for looking at.
    sheet = Image.fromarray(np.concatenate(rows)).quantize(64, dither=Image.Dither.NONE)
    write_picture(path, sheet)


def _most_complete(dataset: Dataset, members: np.ndarray, count: int) -> np.ndarray:
    """Returns the members that have most modalities, or all where these are fewer than `count`."""
    has = sum((mask[members] * 1 for mask in dataset.present.values()), np.zeros(len(members)))
    best = members[has == has.max(initial=0)]
    return best if len(best) >= count else members


def _name_tile(name: str, size: int) -> np.ndarray:
    """Draws a name as it is, cut to the width of the tile."""
    from jaxcmr import fonts  # it imports matplotlib

    tile = Image.new("RGB", (LABEL, size), "white")
    pen = ImageDraw.Draw(tile)
    text, width = shown(name), LABEL
    font = ImageFont.truetype(fonts.best_file(text), 11)
    while pen.textlength(text, font) > LABEL - 8 and width > 1:
        width = min(width, columns(text)) - 1
        text = shown(name, width)
    pen.text((4, size // 2), text, "black", font, anchor="lm")
    return np.asarray(tile)


def _tiles(dataset: Dataset, row: int, size: int) -> list[np.ndarray]:
    """Draws one sample: `[size, size, 3]` uint8 tiles, the same number for every sample."""
    tiles = []
    for modality, items in dataset.inputs.items():
        if isinstance(items, dict):
            continue
        item = np.asarray(items[row])
        if present_rows(dataset, modality)[row]:
            tiles += _draw(item, size)
        else:  # whatever stands in its place
            tiles += [np.full_like(tile, 255) for tile in _draw(np.zeros_like(item), size)]
    return tiles


def _draw(item: np.ndarray, size: int) -> list[np.ndarray]:
    """Draws an item by its shape: a vector, a cloud, a picture, or two of several views."""
    if item.ndim == 1:
        return [_scaled(_folded(item), size, Image.Resampling.NEAREST)]
    if item.ndim == 2 and item.shape[1] == 3:
        if not np.ptp(item) > 0:
            return [np.full((size, size, 3), 255, np.uint8)]
        return [np.repeat(draw_dots(item, size)[..., None], 3, -1)]
    views = item if item.ndim == 4 else item.reshape(1, *item.shape[:2], -1)
    step = max(len(views) // 4, 1)
    return [_scaled(view, size, Image.Resampling.BILINEAR) for view in views[: 2 * step : step]]


def _folded(vector: np.ndarray) -> np.ndarray:
    """Lays a vector into a square, row by row; the rest is white."""
    side = int(np.ceil(np.sqrt(len(vector))))
    low, high = float(vector.min()), float(vector.max())
    grey = (vector - low) / (high - low if high > low else 1.0)
    return np.pad(grey, (0, side * side - len(vector)), constant_values=1.0).reshape(side, side, 1)


def _scaled(view: np.ndarray, size: int, how: Image.Resampling) -> np.ndarray:
    """Resizes `[H, W, 1 or 3]`, uint8 or floats in [0, 1], to a tile."""
    view = view if view.dtype == np.uint8 else np.round(np.clip(view, 0, 1) * 255).astype(np.uint8)
    view = np.ascontiguousarray(np.broadcast_to(view, (*view.shape[:2], 3)))
    return np.asarray(Image.fromarray(view).resize((size, size), how))
