"""The door of all arrays: whatever types a file has, behind it there are two for items.

Pictures are uint8 or float32 in [0, 1], all other items float32, in the machine's order of bytes;
missing items are zeros.
"""

from collections.abc import Mapping

import numpy as np

from jaxcmr.data.items import kinds, pixels
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy

Items = np.ndarray | lazy.LazyRows


def items(
    parts: Mapping[str, Items], present: Mapping[str, np.ndarray], name: str
) -> dict[str, Items]:
    """Brings the items of one modality to native types, in all splits alike.

    What stays on the disk is converted as it is read.

    Args:
        parts: split -> `[N, ...]`.
        present: split -> `[N]` bool, where items are missing. What stands in a missing item's place
            is not looked at.
        name: of file and modality, for messages.

    Raises:
        UsageError: a type that is no number, a shape or a range of pixels that could mean several
            things, or a number that float32 cannot hold.
    """
    parts = {split: _stored(array) for split, array in parts.items()}
    flags = {split: present.get(split, np.ones(len(a), bool)) for split, a in parts.items()}
    found = {split: kinds.kind(a.shape[1:], a.dtype, name) for split, a in parts.items()}
    scales = {}
    for dtype in {a.dtype for split, a in parts.items() if found[split] in ("image", "views")}:
        alike = [(a, np.flatnonzero(flags[s])) for s, a in parts.items() if a.dtype == dtype]
        scales[dtype] = pixels.scale_of(alike, name)
    mixed = len({made for _, made in scales.values()}) > 1
    result = {}
    for split, array in parts.items():
        scale, made = scales.get(array.dtype, (None, np.dtype(np.float32)))
        if scale is None or found[split] not in ("image", "views"):
            scale, made = (lambda rows: floats(rows, name)), np.dtype(np.float32)
        elif mixed and made == np.uint8:
            scale, made = (lambda rows, s=scale: s(rows) / np.float32(255)), np.dtype(np.float32)
        axis = found[split] == "image" and array.ndim == 3
        result[split] = _converted(array, flags[split], scale, made, axis)
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
