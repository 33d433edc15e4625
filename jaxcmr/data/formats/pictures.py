"""Reads pictures (PNG and JPEG), upright and with 8 bits a channel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError, reason
from jaxcmr.packages import Later, load

PIL, Image, ExifTags = Later("PIL"), Later("PIL.Image"), Later("PIL.ExifTags")
VERSION = 2  # part of cache keys; raise it when the same file gives another array
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif")
FORMATS = ("PNG", "JPEG")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "I", "I;16")
MAX_PIXELS = 100_000_000
STRIP = 1_000_000  # pixels that are laid on white at once
MAX_PACKED = 10_000  # pixels in a byte: a PNG of one color and one bit has at most 8256
# Files that are named as pictures by mistake: what each is, where its mark begins, the mark.
_OTHERS = (
    ("WebP", 8, b"webp"), ("HEIC", 4, b"ftyphe"), ("HEIC", 4, b"ftypmi"), ("AVIF", 4, b"ftypavif"),
    ("GIF", 0, b"gif8"), ("TIFF", 0, b"ii*\0"), ("TIFF", 0, b"mm\0*"), ("BMP", 0, b"bm"),
    ("PDF", 0, b"%pdf"), ("SVG", 0, b"<svg"), ("a page", 0, b"<!doctype"), ("a page", 0, b"<html"),
    ("a pointer of Git LFS", 0, b"version https://"),
)  # fmt: skip
# What turns a picture upright, by its EXIF orientation; 1 is upright already.
_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip


def open_picture(path: Path, least: int = 0) -> Image.Image:
    """Reads a PNG or JPEG of up to 100 million pixels: upright, 8 bits a channel, first frame.

    Upright is what EXIF calls so. Of 16 bits the high byte is taken. CMYK is what Adobe writes
    (inverted). Color profiles are not applied.

    Args:
        path: the file.
        least: a JPEG may come at a half, a quarter or an eighth of its size, which is decoded
            faster, if both sides keep this many pixels; 0: as it is.

    Raises:
        UsageError: there is no such file, or it is damaged, too large or no picture.
    """
    # Pillow refuses a PNG whose color profile or comment is larger than 1 MB; pictures have such.
    png = load("PIL.PngImagePlugin")
    png.MAX_TEXT_CHUNK = png.MAX_TEXT_MEMORY
    try:
        with _decoding(str(path)), Image.open(path, formats=FORMATS) as image:
            _check_size(image, str(path))
            if image.width * image.height > MAX_PACKED * path.stat().st_size:
                raise UsageError(
                    f"{path} is cut off: it announces {image.width} x {image.height} pixels"
                )
            if least:
                image.draft(None, (least, least))
            return _upright(image, _in_bytes(image, str(path)))
    except PIL.UnidentifiedImageError:
        raise UsageError(f"{path} is no PNG or JPEG{_looks_like(path)}") from None


def of_image(image: Image.Image, name: str) -> Image.Image:
    """Brings a Pillow image to what `open_picture` gives of its file.

    Raises:
        UsageError: it is damaged, too large, or of a mode that is no picture's.
    """
    if image.mode not in MODES:
        raise UsageError(f"{name} has Pillow's mode {image.mode!r}; use image.convert('RGB')")
    with _decoding(name):
        _check_size(image, name)
        return _upright(image, _in_bytes(image, name))


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turns what Pillow raises while it reads a picture into a `UsageError`."""
    try:
        # Pillow warns of damaged EXIF data, and of sizes that have a limit of their own here.
        with warnings.catch_warnings(action="ignore"):
            yield
    except (UsageError, PIL.UnidentifiedImageError):
        raise
    except FileNotFoundError:
        raise UsageError(f"there is no file {name}") from None
    except MemoryError:  # of a decoder: a damaged file may announce any size
        raise UsageError(f"{name} needs more memory than there is; save it again") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{name} cannot be read ({reason(error)})") from None


def _check_size(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UsageError(f"{name} has {image.width} x {image.height} pixels, too many")
    if not image.width * image.height:
        raise UsageError(f"{name} has no pixel")


def _looks_like(path: Path) -> str:
    """Names the format of a file that is no PNG or JPEG by its first bytes."""
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        return ": it is empty"
    names = [name for name, start, mark in _OTHERS if head[start:].lower().startswith(mark)]
    return f", but {names[0]}; put a PNG or JPEG in its place" if names else ""


def _in_bytes(image: Image.Image, name: str) -> Image.Image:
    """Loads a picture in 8 bits a channel; a transparent grey or color follows its bit depth."""
    tile = getattr(image, "tile", None)  # of a file that is not decoded yet
    raw = tile[0].args if tile else ""
    clear = image.info.get("transparency")
    image.load()
    if image.mode in ("I;16", "I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UsageError(f"{name} has pixels outside of 0 to 65535; save it with 8 bits")
        if 0 < (most := values.max()) < 256:
            raise UsageError(
                f"{name} has 16 bits, but its pixels reach {most} of 65535, which is "
                "black; save it with 8 bits"
            )
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        if clear is None:
            return grey
        opaque = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, opaque))
    if clear is not None and raw in ("L;2", "L;4"):  # Pillow scales the pixels, but not `clear`
        top = 3 if raw == "L;2" else 15
        image.info["transparency"] = (clear & top) * 255 // top
    if clear is not None and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.mode == "P":  # here, where a pixel that its palette lacks counts as damage
        return image.convert("RGB" if clear is None else "RGBA")
    return image


def _upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """Turns the `pixels` of an `image` as its EXIF data say; damaged data say nothing."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # Pillow raises what damaged tags lead it to; the pixels are sound
        turn = None
    return pixels if turn is None else pixels.transpose(Image.Transpose[turn])


def read_image(path: Path, size: int, channels: int) -> np.ndarray:
    """Reads a PNG or JPEG as `[size, size, channels]` uint8: fitted in, centered on white."""
    return fitted(open_picture(path), (size, size, channels))


def fitted(image: Image.Image, shape: tuple[int, int, int], margin: int = 255) -> np.ndarray:
    """Fits a picture of 8 bits into `shape [H, W, 1 or 3]` uint8, centered.

    What is transparent becomes white, and the margin the grey `margin`. A picture of this shape
    stays as it is.
    """
    height, width, channels = shape
    if image.has_transparency_data:
        image = _on_white(image)
    image = image.convert("L" if channels == 1 else "RGB")
    image.thumbnail((width, height))
    scale = min(width / image.width, height / image.height)
    sides = [max(round(side * scale), 1) for side in image.size]
    color = margin if channels == 1 else (margin,) * 3
    canvas = Image.new(image.mode, (width, height), color)
    canvas.paste(image.resize(sides), ((width - sides[0]) // 2, (height - sides[1]) // 2))
    return np.asarray(canvas).reshape(shape)


def _on_white(image: Image.Image) -> Image.Image:
    """Lays a picture on white, some lines at a time: Pillow lets no other thread run meanwhile."""
    white = Image.new("RGBA", image.size, "white")
    lines = max(STRIP // image.width, 1)
    for top in range(0, image.height, lines):
        strip = image.crop((0, top, image.width, min(top + lines, image.height)))
        white.alpha_composite(strip.convert("RGBA"), (0, top))
    return white
