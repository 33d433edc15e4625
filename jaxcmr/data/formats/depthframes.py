"""Reads the clouds of RGB-D Object: crops of depth pictures (Lai et al., ICRA 2011).

Beside a photograph `<name>_crop.png` lie `<name>_depthcrop.png` (16 bit, millimetres),
`<name>_loc.txt`, where the crop lies in the frame, and mostly `<name>_maskcrop.png`.
"""

import re
from pathlib import Path

import numpy as np

from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.errors import UsageError, reading
from jaxcmr.packages import Later

Image = Later("PIL.Image")
ENDING = "_crop.png"  # of a photograph
FOCAL = 570.3  # pixels, both axes
CENTER = (320.0, 240.0)  # of the whole frame, columns and rows, counted from 1
WIDTH, HEIGHT = 640, 480  # of the whole frame


def files(crop: Path) -> list[Path]:
    """Returns a frame's photograph, depth, corner and mask (which may be missing)."""
    name, endings = crop.name.removesuffix(ENDING), ("_depthcrop.png", "_loc.txt", "_maskcrop.png")
    return [crop, *(crop.with_name(name + ending) for ending in endings)]


def read_cloud(crop: Path) -> np.ndarray:
    """Reads the points `[N, 3]` in metres, z up, of the frame of a photograph; N may be 0.

    Raises:
        UsageError: a file is missing, damaged, or no depth.
    """
    _, depth_file, corner_file, mask_file = files(crop)
    depth, mode = _read_values(depth_file)
    if mode not in ("I;16", "I"):
        raise UsageError(f"{depth_file} has no 16 bit depth, but the mode {mode}")
    corner = read_corner(corner_file)
    if mask_file.is_file():
        mask = _read_values(mask_file)[0] > 0
        if mask.shape != depth.shape:
            raise UsageError(f"{mask_file} and the depth differ in size")
        depth = np.where(mask, depth, 0)
    return back_project(depth, corner)


def back_project(depth: np.ndarray, corner: tuple[float, float]) -> np.ndarray:
    """Returns the points `[N, 3]` in metres of a cropped depth picture, z up, y away.

    `X = (u - 320) d / 570.3`, `Z = (240 - v) d / 570.3`, `Y = d`, where `d > 0`; u and v are
    column and row in the whole frame, counted from 1.

    Args:
        depth: `[H, W]`, millimetres; 0 where nothing was measured.
        corner: column and row of the crop's upper left pixel, counted from 1.

    Source: the release's `depthToCloud.m`, whose axes are x right, y down, z away.
    """
    row, column = np.nonzero(depth)
    away = depth[row, column] / 1000.0
    right = (column + corner[0] - CENTER[0]) * away / FOCAL
    down = (row + corner[1] - CENTER[1]) * away / FOCAL
    return np.stack([right, away, -down], 1)


def _read_values(path: Path) -> tuple[np.ndarray, str]:
    """Returns the values of a grey PNG as they are stored (colors as grey), and Pillow's mode."""
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    errors = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    with reading(path, errors=errors), Image.open(path, formats=("PNG",)) as image:
        if image.width > WIDTH or image.height > HEIGHT:
            size = f"{image.width} x {image.height}"
            raise UsageError(f"{path} is no crop of {WIDTH} x {HEIGHT} pixels, but has {size}")
        grey = image.mode in ("1", "L", "I;16", "I")
        return np.asarray(image if grey else image.convert("L")), image.mode


def read_corner(path: Path) -> tuple[float, float]:
    text = read_text(path).strip()
    try:
        x, y = (float(word) for word in re.split(r"[\s,]+", text))
    except ValueError:
        raise UsageError(f"{path} must hold two numbers, column and row of the crop") from None
    if not (0 <= x <= WIDTH and 0 <= y <= HEIGHT):
        raise UsageError(f"{path} puts the crop at {x:g}, {y:g}, outside of {WIDTH} x {HEIGHT}")
    return x, y
