"""Draws items of every kind as pictures of a few kB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from jaxcmr.data.formats.itemfiles import load_mesh, read_cloud
from jaxcmr.data.formats.pictures import open_picture
from jaxcmr.data.items.dots import CAMERA, draw_dots
from jaxcmr.data.items.geometry import Mesh, normalize_mesh
from jaxcmr.data.items.render import render_mesh
from jaxcmr.packages import Later

Image = Later("PIL.Image")
SIDE = 160  # pixels of the long side, at most
QUALITY = 70
POINTS = 2048  # of a cloud that are drawn


def of_photo(path: Path) -> Image.Image:
    """Reads a picture's file, upright and not smaller than a thumbnail; raises `open_picture`'s."""
    return open_picture(path, least=SIDE)


def of_file(path: Path, kind: str) -> Image.Image:
    """Draws the item of a file: a "cloud", a "mesh", or else a photo; raises as their readers."""
    if kind == "cloud":
        return of_cloud(read_cloud(path, POINTS, seed=0))
    return of_mesh(load_mesh(path)) if kind == "mesh" else of_photo(path)


def of_pixels(item: np.ndarray) -> Image.Image:
    """Makes an image of pixels `[H, W, 1 or 3]` uint8, or of views `[V, H, W, 1 or 3]`.

    Of four views or more, four that are evenly spaced become a square; of fewer, the first two are
    shown side by side.
    """
    if item.ndim == 4 and len(item) >= 4:
        one, two, three, four = item[np.arange(4) * len(item) // 4]
        item = np.concatenate([np.concatenate([one, two], 1), np.concatenate([three, four], 1)])
    elif item.ndim == 4:
        item = np.concatenate([*item[:2]], 1)
    return Image.fromarray(np.ascontiguousarray(item[..., 0] if item.shape[-1] == 1 else item))


def of_cloud(points: np.ndarray) -> Image.Image:
    """Draws a cloud `[P, 3]` (z up), at most `POINTS` of its points; raises as `draw_dots`."""
    step = -(-len(points) // POINTS)
    return Image.fromarray(draw_dots(points[::step], SIDE))


def of_mesh(mesh: Mesh) -> Image.Image:
    """Renders a mesh (z up); raises as `normalize_mesh`."""
    return Image.fromarray(render_mesh(normalize_mesh(mesh, "the mesh"), CAMERA[None], SIDE)[0])


def packed(image: Image.Image) -> tuple[bytes, str]:
    """Brings an image to at most `SIDE` pixels; returns the bytes of its file and their media type.

    What is transparent becomes white. A tiny picture is enlarged without blur.
    """
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    factor, file = SIDE // max(image.size), io.BytesIO()
    if factor > 1:
        large = image.resize([factor * side for side in image.size], Image.Resampling.NEAREST)
        large.save(file, "PNG")
        return file.getvalue(), "image/png"
    image.thumbnail((SIDE, SIDE))
    # A WebP is a third smaller, but takes ten times as long: for some thousand items, too long.
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), "image/jpeg"
