"""Finds missing values in cells of text, JSON values, numbers and flags, the same in every source.

Missing are: nothing (`None`, JSON's `null`), NaN and NaT of any type, masked entries, texts without
a visible character, and the words below, spelled as pandas, numpy, R and spreadsheets write a
missing value. Other spellings ("none", "Null", "na") are words like any other: a class may have
them as its name.
"""

from typing import Any

import numpy as np

from jaxcmr.errors import UsageError

# Those of `pandas.read_csv`, and NaT, NAN and the mark of database dumps.
WORDS = frozenset((
    "nan", "-nan", "NaN", "-NaN", "NAN", "NaT", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA",
    "<NA>", "None", "null", "NULL", "\\N", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
))  # fmt: skip
TRUE = ("true", "t", "yes", "y", "1", "1.0")
FALSE = ("false", "f", "no", "n", "0", "0.0")
_UNSEEN = "\u200b\u2060\ufeff\0"  # of no width: `str.strip` leaves them


def strip(text: str) -> str:
    """Takes blanks and characters of no width from both ends of a text."""
    stripped = text.strip().strip(_UNSEEN)
    return stripped if stripped == text else strip(stripped)


def is_missing(value: Any) -> bool:
    """Tells whether one value (a cell, a JSON value, an entry of an array) is missing."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = strip(value)
        return not text or text in WORDS
    try:
        return bool(value != value)  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # an array, or pandas' NA: it has no truth value
        return type(value).__name__ == "NAType"


def missing(array: np.ndarray) -> np.ndarray:
    """Tells of every entry of an array (numbers, texts, times, objects) whether it is missing."""
    if isinstance(array, np.ma.MaskedArray):
        return np.ma.getmaskarray(array) | missing(array.data)
    array = np.asarray(array)
    if array.dtype.kind in "fcmM":
        return array != array
    if array.dtype.kind in "USO":
        return np.array([is_missing(value) for value in array.flat], bool).reshape(array.shape)
    return np.zeros(array.shape, bool)


def flags(array: np.ndarray, name: str) -> np.ndarray:
    """Reads flags of any shape, such as those that say which items are present, as booleans.

    Accepted are truth values, the numbers 0 and 1, and the texts true/false, t/f, yes/no, y/n, 1/0
    in any case; nothing else is guessed at.

    Raises:
        UsageError: an entry is missing, or is neither true nor false; names its row.
    """
    array = np.asarray(array)
    if array.dtype.kind == "b":
        return array
    found = np.zeros(array.shape, bool)
    for place, value in np.ndenumerate(array):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        text = strip(text).lower()
        if text not in TRUE + FALSE:
            row = f" in row {place[0]}" if place else ""
            value = value.item() if isinstance(value, np.generic) else value
            raise UsageError(
                f"{name} has {value!r:.40}{row}, which is neither true nor false; write 1 where "
                "the item is present and 0 where it is missing"
            )
        found[place] = text in TRUE
    return found
