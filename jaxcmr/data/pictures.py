"""Reads pictures: a file of a manifest, a photograph, the rendered views of an object."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxcmr.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PIXELS = 100_000_000


def open_picture(path: Path, mode: str) -> Image.Image:
    """Reads a PNG or JPEG of any size up to 100 million pixels, in a mode of Pillow.

    Raises:
        UsageError: there is no such file, or it is damaged, too large or no picture.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UsageError(f"{path} has {image.width} x {image.height} pixels, too many")
            return image.convert(mode)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except UnidentifiedImageError:
        raise UsageError(f"{path} is no PNG or JPEG") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} cannot be read ({error})") from None


def read_image(path: Path, size: int, channels: int) -> np.ndarray:
    """Reads a PNG or JPEG as `[size, size, channels]` uint8: fitted in, centered on white."""
    image = open_picture(path, "RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    image = white.convert("L" if channels == 1 else "RGB")
    image.thumbnail((size, size))
    scale = size / max(image.size)
    shape = [max(round(side * scale), 1) for side in image.size]
    canvas = Image.new(image.mode, (size, size), "white")
    canvas.paste(image.resize(shape), ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return np.asarray(canvas).reshape(size, size, channels)


def read_views(folder: Path, name: str, count: int, total: int, size: int) -> np.ndarray:
    """Reads `count` of the views `<folder>/<name>.<0 to total - 1>.png`, evenly spaced.

    Returns:
        `[count, size, size]` uint8, grey.
    """
    numbers = np.arange(count) * total // count
    return np.stack([read_image(folder / f"{name}.{k}.png", size, 1)[..., 0] for k in numbers])
