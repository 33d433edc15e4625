"""Brings pixels of any type to one scale: uint8, or float32 in [0, 1]."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from absl import logging

from jaxcmr.errors import UsageError

BLOCK = 1024  # pictures that are looked at at once
DARK = 64  # 8-bit pictures that are never as bright are worth a word
# The largest number by which a scale is known: 8 bits, and 16 bits. Below them, it could be another
# (12-bit cameras, digits of 0 to 16), and the picture would be nearly black.
_LEAST = {255: 127, 65535: 16383}
SLACK = 1e-3  # of the scale, by which interpolation may leave it


class Scale(NamedTuple):
    """What the numbers of pictures mean, and what a call makes of them.

    Attributes:
        white: the number that is white, if 0 is black: 1, 255 or 65535.
        dtype: what they become: uint8, or float32 in [0, 1].
    """

    white: int
    dtype: np.dtype

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        if self.dtype == np.uint8:
            grey = pixels.astype(np.uint8, copy=False)
            return grey if self.white == 255 else 255 * grey
        return np.clip(pixels.astype(np.float32) / self.white, 0, 1)

    def holds(self, low: float, high: float) -> bool:
        """Tells whether numbers from `low` to `high` lie on the scale."""
        return -SLACK * self.white <= low and high <= (1 + SLACK) * self.white


def scale_of(arrays: Iterable[tuple[np.ndarray, np.ndarray]], name: str) -> Scale:
    """Finds out which brightness the numbers of pictures mean, from their type and range.

    uint8 is 0 to 255 and stays. Truth values, and whole numbers that are 0 or 1, are black and
    white. Other numbers are 0 to 255 or 0 to 65535 if their largest is near that, floats also 0 to
    1 if none is above.

    Args:
        arrays: all pictures of a modality and one type, `[N, ...]`, in whichever splits; beside
            each the row numbers that count.

    Raises:
        UsageError: the range fits no scale, or could mean two; names it.
    """
    arrays = list(arrays)
    dtype = arrays[0][0].dtype
    if dtype.kind == "b":
        return Scale(1, np.dtype(np.uint8))
    ranges = [
        _range(pictures, rows, DARK if dtype == np.uint8 else np.inf) for pictures, rows in arrays
    ]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    dark = [top for _, top in ranges if 0 < top <= 1]
    if dark and high >= DARK:
        raise UsageError(
            f"{name}: the pixels of one split reach {dark[0]:.6g} and those of another {high:.6g}; "
            "save all on one scale"
        )
    whole = dtype.kind in "iu"
    if whole and low >= 0 and high == 1:
        return Scale(1, np.dtype(np.uint8))
    if dtype == np.uint8 or (not whole and 0 <= low <= high <= 1):
        top = 255 if whole else 1
        if 0 < high < DARK / 255 * top:
            logging.warning(
                "%s: no pixel is brighter than %.3g of %d; is that so?", name, high, top
            )
    if dtype == np.uint8:
        return Scale(255, dtype)
    if whole and low >= 0 and (high == 0 or _LEAST[255] < high <= 255):
        return Scale(255, np.dtype(np.uint8))
    tops = [255, 65535] if whole else [1, 255, 65535]
    for top in tops:
        scale = Scale(top, np.dtype(np.float32))
        if scale.holds(low, high) and _LEAST.get(top, -1) < high:
            return scale
    remedy = "save them as uint8, 0 to 255, or as floats in [0, 1]"
    if -1 <= low < 0 and high <= 1:
        remedy += ": (x + 1) / 2 if -1 is black"
    raise UsageError(
        f"{name}: the pixels run from {low:.6g} to {high:.6g} ({dtype}), which is no scale of "
        f"brightness that is known; {remedy}"
    )


def _range(array, rows: np.ndarray, enough: float) -> tuple[float, float]:
    """Returns the least and the largest finite number of rows; stops at one that is `enough`."""
    low, high = 0.0, 0.0
    for start in range(0, len(rows), BLOCK):
        block = np.asarray(array[rows[start : start + BLOCK]])
        block = block[np.isfinite(block)] if block.dtype.kind == "f" else block
        if block.size:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        if high >= enough:
            return low, high
    return low, high
