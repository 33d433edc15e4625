"""Labels as files have them: one-hot, columns, floats, names, from 0 or from 1."""

from collections.abc import Mapping

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.numpyfiles import as_text


def unify(
    labels: Mapping[str, np.ndarray], class_names: tuple[str, ...], name: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...], str]:
    """Makes the labels of all splits int32, from 0, over the same classes.

    One-hot rows become their index; columns become vectors; whole floats become integers; text
    becomes its rank among the sorted names (or its place in `class_names`). If 0 occurs in no split
    and `class_names` leaves it open, counting starts at 1, so 1 is subtracted everywhere.

    Args:
        labels: split -> labels as read.
        class_names: the names, or () if nobody knows them.
        name: of the file, for messages.

    Returns:
        The labels by split, the class names, and what was done, in words.

    Raises:
        UsageError: labels that are none of this.
    """
    done = []
    flat = {
        split: _flatten(array, f"{name}: the {split} labels", done)
        for split, array in labels.items()
    }
    if any(array.dtype.kind == "U" for array in flat.values()):
        found = sorted({str(label) for array in flat.values() for label in array})
        names = class_names or tuple(found)
        unknown = sorted(set(found) - set(names))
        if unknown:
            raise UsageError(f"{name}: the label {unknown[0]!r} is none of the class names")
        place = {label: index for index, label in enumerate(names)}
        done.append("text")
        coded = {s: np.array([place[str(v)] for v in a], np.int32) for s, a in flat.items()}
        return coded, names, ", ".join(done)
    values = np.concatenate(list(flat.values()))
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if low == 1 and (not class_names or high == len(class_names)):
        flat = {split: array - 1 for split, array in flat.items()}
        low, high = 0, high - 1
        done.append("counted from 1")
    if low < 0:
        raise UsageError(f"{name}: the label {low} is negative; number the classes from 0 or 1")
    if high > 100_000:
        raise UsageError(f"{name}: the label {high} is too large for a class number")
    names = class_names or tuple(str(label) for label in range(high + 1))
    if high >= len(names):
        raise UsageError(f"{name}: the label {high} exceeds the {len(names)} class names")
    coded = {split: array.astype(np.int32) for split, array in flat.items()}
    return coded, names, ", ".join(dict.fromkeys(done)) or "integers from 0"


def _flatten(array: np.ndarray, name: str, done: list[str]) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind in "US":
        return as_text(array).ravel()
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} are of type {array.dtype}; save numbers or text")
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise UsageError(
            f"{name} must be whole numbers, found {array[array != np.floor(array)][:1]}"
        )
    if array.ndim == 2 and min(array.shape) > 1:
        if not (np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()):
            raise UsageError(
                f"{name} have the shape {list(array.shape)} but are not one-hot; rows with several "
                "labels are not supported"
            )
        done.append("one-hot")
        return array.argmax(1)
    if array.ndim > 2:
        raise UsageError(f"{name} have the shape {list(array.shape)}; one label a row is needed")
    return array.ravel().astype(np.int64)
