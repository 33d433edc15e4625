"""Finds the kind of items, and brings them to two types.

Pictures are uint8 or float32 in [0, 1], all other items float32, in the machine's order of bytes;
missing items are zeros.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxcmr.data.items import pixels
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy

Items = np.ndarray | lazy.LazyRows
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
    """Tells what the items of an array are: "vector", "cloud", "image" or "views".

    Args:
        shape: of an item: `[D]` a vector, `[P, 3]` floats a cloud, `[H, W]` and `[H, W, 1 or 3]` a
            picture (`[H, W]` of floats only where the name says so), `[V, H, W, 1 or 3]` views.
        dtype: of the array.
        name: of file and array; a modality's name is its last word.

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


class Form(NamedTuple):
    """What the items of one modality become.

    Attributes:
        kind: "vector", "cloud", "image" or "views".
        shape: of an item `[...]`; grey pictures have an axis of channels.
        dtype: uint8 or float32.
        scales: type of the arrays (`numpy.dtype.name`) -> scale of their pixels; {} if there are
            none.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scales: Mapping[str, pixels.Scale]


def form(parts: Mapping[str, Items], present: Mapping[str, np.ndarray], name: str) -> Form:
    """Finds out what the items of one modality become, in all splits alike; as `items`."""
    parts = {split: _stored(array) for split, array in parts.items()}
    flags = {split: present.get(split, np.ones(len(a), bool)) for split, a in parts.items()}
    kinds = {split: kind(a.shape[1:], a.dtype, name) for split, a in parts.items()}
    pictures = [split for split, found in kinds.items() if found in ("image", "views")]
    scales = {}
    for dtype in {parts[split].dtype for split in pictures}:
        alike = [(a, np.flatnonzero(flags[s])) for s, a in parts.items() if a.dtype == dtype]
        scales[dtype.name] = pixels.scale_of(alike, name)
    made = np.dtype(np.float32)
    if {scale.dtype for scale in scales.values()} == {np.dtype(np.uint8)}:
        made = np.dtype(np.uint8)
    first = next(iter(parts))
    shape = parts[first].shape[1:]
    if kinds[first] == "image" and len(shape) == 2:
        shape = (*shape, 1)
    scales = {dtype: scale._replace(dtype=made) for dtype, scale in scales.items()}
    return Form(kinds[first], shape, made, scales)


def items(
    parts: Mapping[str, Items], present: Mapping[str, np.ndarray], name: str
) -> dict[str, Items]:
    """Brings the items of one modality to uint8 or float32, in all splits alike.

    What stays on the disk is converted as it is read.

    Args:
        parts: split -> `[N, ...]`.
        present: split -> `[N]` bool, where items are missing. What stands in a missing item's place
            is not looked at.

    Raises:
        UsageError: a type that is no number, a shape or a range of pixels that could mean several
            things, or a number that float32 cannot hold.
    """
    return brought_to(form(parts, present, name), parts, present, name)


def brought_to(
    made: Form, parts: Mapping[str, Items], present: Mapping[str, np.ndarray], name: str
) -> dict[str, Items]:
    """Brings the items of one modality to their `form`; as `items`."""
    result = {}
    for split, array in parts.items():
        array = _stored(array)
        there = present.get(split, np.ones(len(array), bool))
        scale = made.scales.get(array.dtype.name, lambda rows: floats(rows, name))
        axis = made.kind == "image" and array.ndim == 3
        result[split] = _converted(array, there, scale, made.dtype, axis)
    return result


def _stored(array: Items) -> Items:
    if isinstance(array, lazy.LazyRows):
        return array
    array = lazy.stored(array) if isinstance(array, np.memmap) else np.asarray(array)
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def floats(rows: np.ndarray, name: str) -> np.ndarray:
    """Returns numbers as float32, infinite ones too.

    Raises:
        UsageError: a number is too large for float32.
    """
    if rows.dtype == np.float32:
        return rows
    with np.errstate(over="ignore"):
        found = rows.astype(np.float32)
    if rows.dtype.kind == "f" and rows.dtype.itemsize > 4:
        grown = np.isinf(found) & np.isfinite(rows)
        if grown.any():
            largest = np.abs(rows[grown]).max()
            raise UsageError(
                f"{name} holds {largest:.3g}, more than the 3.4e38 of 32 bits; scale it"
            )
    return found


def _converted(array: Items, present: np.ndarray, scale, made: np.dtype, axis: bool) -> Items:
    """Applies `scale` to an array, or as its rows are read; missing items become zeros."""
    shape = (*array.shape, 1) if axis else array.shape

    def convert(rows: np.ndarray, there: np.ndarray) -> np.ndarray:
        if not there.all():  # first: what stands there may be no number
            rows = rows.copy()
            rows[~there] = 0
        return scale(rows).reshape(len(rows), *shape[1:])

    if isinstance(array, lazy.LazyRows):
        read = lambda rows: convert(array[rows], present[rows])
        return lazy.LazyRows(read, shape, made)
    return convert(array, present)
