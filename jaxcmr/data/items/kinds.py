"""What an item is, by the shape and type of its array: a vector, a cloud, a picture, views."""

import re

import numpy as np

from jaxcmr.errors import UsageError

CHANNELS = (1, 3)
_REMEDIES = {
    "U": "save numbers; texts are read from a manifest's column 'text'",
    "c": "save the real and the imaginary parts as features of their own",
    "V": "save its fields as arrays of their own",
    "M": "save numbers, such as days since a date",
    "m": "save numbers, such as seconds",
}
_PICTURES = re.compile(r"(?i)(image|img|picture|photo|pixel)")


def kind(shape: tuple[int, ...], dtype: np.dtype, name: str) -> str:
    """Tells what the items of an array are.

    Args:
        shape: of an item: `[D]` a vector, `[P, 3]` floats a cloud, `[H, W]` and `[H, W, 1 or 3]` a
            picture (`[H, W]` of floats only where the name says so), `[V, H, W, 1 or 3]` views.
        dtype: of the array.
        name: of file and array, for messages; a modality's name is its last word.

    Returns:
        "vector", "cloud", "image" or "views".

    Raises:
        UsageError: the type is no number, or the shape is none of these or could be two; says what
            to do.
    """
    if dtype.kind not in "fiub":
        remedy = _REMEDIES.get(dtype.kind, "save numbers")
        raise UsageError(f"{name} is of type {dtype}; numbers are needed: {remedy}")
    if 0 in shape:
        raise UsageError(f"{name} has items of the shape {list(shape)}, which hold nothing")
    if len(shape) == 1:
        return "vector"
    if len(shape) == 2 and shape[1] == 3 and shape[0] != 3 and dtype.kind == "f":
        return "cloud"
    named = dtype.kind in "iub" or _PICTURES.match(name.split()[-1])
    if len(shape) == 2 and 3 not in shape and named:
        return "image"
    if len(shape) == 3 and shape[-1] in CHANNELS and not _on_its_side(shape):
        return "image"
    if len(shape) == 4 and shape[-1] in CHANNELS and not _on_its_side(shape[1:]):
        return "views"
    raise UsageError(
        f"{name} has items of the shape {list(shape)} ({dtype}), which are no vectors [D], clouds "
        "[P, 3] of floats, pictures [H, W, 1 or 3] or views [V, H, W, 1 or 3]; "
        f"{_advice(shape, dtype)}"
    )


def _on_its_side(shape: tuple[int, ...]) -> bool:
    """Tells whether a picture of a few rows is as well one of a few columns, channels first."""
    return shape[0] in CHANNELS and shape[1] > 3


def _advice(shape: tuple[int, ...], dtype: np.dtype) -> str:
    if not shape:
        flags = "; flags of what is present are called present_<modality>"
        return "a number an item is a vector x[:, None]" + (flags if dtype.kind == "b" else "")
    if len(shape) > 2 and shape[-3] in (1, 3):
        return "channels that come first are moved by numpy.moveaxis(x, -3, -1)"
    if len(shape) > 2 and shape[-1] in (2, 4):
        return f"take the transparency away, x[..., :{shape[-1] - 1}]"
    if len(shape) == 3:
        return "views without an axis of channels get one by x[..., None]"
    if shape == (3, 3):
        return "three points are too few to tell them from their transpose"
    if len(shape) == 2 and shape[0] == 3:
        return "turn clouds [3, P] by numpy.swapaxes(x, 1, 2)"
    if len(shape) == 2 and shape[1] == 3:
        return "save clouds as floats, x.astype('float32')"
    if len(shape) == 2 and shape[1] in (4, 6, 7):
        return "of clouds with more than coordinates take x[..., :3]"
    if len(shape) == 2:
        return "grey pictures get an axis of channels by x[..., None]; sequences are averaged"
    return "reshape them"
