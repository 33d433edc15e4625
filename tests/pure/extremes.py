"""Kinds of arguments, the extremes of each, and what a pure function may make of them.

All arrays have one axis of `ROWS` entries, the rows; no other axis has this length. An extreme
changes the first row (or the whole argument), and says what is right in two cases: where the
function can look at the values (`REFUSED`, `ACCEPTED`), and where they are traced (`ALONE`: the
other rows keep their results; `FINE`: no result is NaN or infinite; `SHOWN`: anything but an
error; None: it cannot be traced).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

ROWS, CLASSES, MODALITIES, MEMBERS, WIDTH, STORED = 5, 3, 2, 2, 4, 7
REFUSED, ACCEPTED, EITHER = "refused", "accepted", "either"
ALONE, FINE, SHOWN = "alone", "fine", "shown"


class Extreme(NamedTuple):
    change: Callable[[np.ndarray], Any]
    concrete: str
    traced: str | None = None


class Argument(NamedTuple):
    """An array (or number) of a kind; `extremes` of its own come on top."""

    value: Any
    extremes: Mapping[str, Extreme]
    is_array: bool = True


def first_row(array: np.ndarray, value: Any) -> np.ndarray:
    """Returns the array with another first row, in a type that holds it."""
    array, axis = np.array(array), rows_axis(array)
    array = array.astype(np.result_type(array, np.asarray(value).dtype))
    array[(slice(None),) * axis + (0,)] = value
    return array


def rows_axis(array: Any) -> int | None:
    return np.shape(array).index(ROWS) if ROWS in np.shape(array) else None


def cut(array: Any, rows: int) -> Any:
    """Returns the first rows of an array."""
    axis = rows_axis(array)
    return array if axis is None else np.take(array, np.arange(rows), axis)


def _row(value: Any, concrete: str, traced: str | None = None) -> Extreme:
    return Extreme(lambda array: first_row(array, value), concrete, traced)


def _cast(dtype: Any, concrete: str = ACCEPTED) -> Extreme:
    return Extreme(lambda array: np.asarray(array).astype(dtype), concrete)


def _fill(value: Any, concrete: str, traced: str | None = None) -> Extreme:
    return Extreme(lambda array: np.full_like(array, value), concrete, traced)


_LIST = {"list": Extreme(lambda array: np.asarray(array).tolist(), ACCEPTED)}
_SHAPES = {
    "column": Extreme(lambda array: np.asarray(array)[..., None], REFUSED),
    "a row too few": Extreme(lambda array: cut(array, ROWS - 1), REFUSED),
    "no rows": Extreme(lambda array: cut(array, 0), REFUSED),
    "scalar": Extreme(lambda array: np.asarray(array).flat[0], REFUSED),
}
_KINDS = {
    "float16": _cast(np.float16),
    "bfloat16": _cast(jnp.bfloat16),
    "doubles": _cast(float),
    "other order of bytes": _cast(np.dtype("f4").newbyteorder()),
    "long doubles": _cast(np.longdouble),
}
_HALVES = _KINDS | _LIST
_NO_NUMBERS = {
    "bool": _cast(bool, REFUSED),
    "text": _cast(str, REFUSED),
    "objects": Extreme(lambda array: np.full(np.shape(array), None), REFUSED),
}
_NO_LABELS = {
    "2**32": Extreme(lambda array: first_row(array, np.int64(2**32)), REFUSED),
    "floats": _cast(np.float32, REFUSED),
    "NaN": _row(np.nan, REFUSED),
    **_NO_NUMBERS,
    **_SHAPES,
}
_WHOLE_TYPES = {
    "int8": _cast(np.int8),
    "int64": _cast(np.int64),
    "other order of bytes": _cast(np.dtype("i4").newbyteorder()),
    **_LIST,
}


def labels(value: Any, others: str = ALONE, classes: int = CLASSES) -> Argument:
    """Labels of which a negative one is none; `others` is what one makes of the rest."""
    extremes = {
        "-1": _row(-1, ACCEPTED, others),
        "-2**40": Extreme(lambda array: first_row(array, np.int64(-(2**40))), ACCEPTED),
        "all -1": _fill(-1, ACCEPTED, FINE),
        "one class": _fill(0, ACCEPTED, FINE),
        "K": _row(classes, REFUSED, others),
        "all K": _fill(classes, REFUSED, FINE),
        "2**31 - 1": _row(2**31 - 1, REFUSED, others),
    }
    return Argument(np.asarray(value, np.int32), extremes | _WHOLE_TYPES | _NO_LABELS)


def ids(value: Any, others: str = ALONE) -> Argument:
    """Labels that are only compared with each other; `others` is what one makes of the rest."""
    extremes = {"-1": _row(-1, ACCEPTED, others), "99": _row(99, ACCEPTED, others)}
    return Argument(np.asarray(value, np.int32), extremes | _WHOLE_TYPES | _NO_LABELS)


def given(value: Any, classes: int = CLASSES) -> Argument:
    """Labels on the host, classes or -1 for none; whole numbers of any type."""
    extremes = {"-1": _row(-1, ACCEPTED), "floats": _cast(float)}
    wrong = {"-2": _row(-2, REFUSED), "K": _row(classes, REFUSED), "half": _row(0.5, REFUSED)}
    return Argument(np.asarray(value, np.int32), _WHOLE_TYPES | _NO_LABELS | wrong | extremes)


def partition(value: Any) -> Argument:
    """Cluster or class ids on the host."""
    return Argument(
        np.asarray(value),
        {"floats": _cast(float, REFUSED), **_WHOLE_TYPES, **_NO_NUMBERS, **_SHAPES},
    )


def names(value: Any) -> Argument:
    """Labels of queries or items: numbers or names of any length, compared with each other."""
    extremes = {
        "-1": _row(-1, ACCEPTED),
        "all -1": _fill(-1, ACCEPTED),
        "2**32": Extreme(lambda array: first_row(array, np.int64(2**32)), ACCEPTED),
        "NaN": _row(np.nan, REFUSED),
        "half": _row(0.5, REFUSED),
        "objects": _NO_NUMBERS["objects"],
        "text": _cast(str, REFUSED),  # the other side has numbers
        "floats": _cast(float),
        **_WHOLE_TYPES,
        **_SHAPES,
    }
    return Argument(np.asarray(value), extremes)


def scores(value: Any, junk: str = ALONE) -> Argument:
    """Numbers of which a row may be anything; `junk` is what the other rows make of NaN."""
    extremes = {
        "NaN": _row(np.float32(np.nan), ACCEPTED, junk),
        "inf": _row(np.float32(np.inf), ACCEPTED, junk),
        "-inf": _row(np.float32(-np.inf), ACCEPTED, junk),
        "1e30": _row(np.float32(1e30), ACCEPTED, junk),
        "-1e30": _row(np.float32(-1e30), ACCEPTED, junk),
        "1e-30": _row(np.float32(1e-30), ACCEPTED, junk),
        "zeros": _fill(0, ACCEPTED, FINE),
        "ties": _fill(0.25, ACCEPTED, FINE),
        **_HALVES,
    }
    return Argument(np.asarray(value, np.float32), extremes)


def distributions(value: Any, junk: str = ALONE) -> Argument:
    """Probabilities: in [0, 1]."""
    wrong = {
        "NaN": _row(np.float32(np.nan), REFUSED, junk),
        "2": _row(np.float32(2), REFUSED, junk),
        "-1": _row(np.float32(-1), REFUSED, junk),
    }
    return Argument(np.asarray(value, np.float32), wrong | _HALVES)


def rows(value: Any, junk: str = FINE) -> Argument:
    """Features that must be finite; where they are traced, a row that is not takes no part."""
    extremes = {
        "NaN": _row(np.float32(np.nan), REFUSED, junk),
        "inf": _row(np.float32(np.inf), REFUSED, junk),
        "1e300": _row(1e300, REFUSED),
        "1e15": _row(np.float32(1e15), ACCEPTED, FINE),
        "zeros": _fill(0, ACCEPTED, FINE),
        "duplicates": _fill(0.25, ACCEPTED, FINE),
        "whole numbers": _cast(np.int32),
        "complex": _cast(complex, REFUSED),
        "text": _cast(str, REFUSED),
        "objects": _NO_NUMBERS["objects"],
        "one axis": Extreme(lambda array: np.asarray(array)[:, 0], REFUSED),
        "column": Extreme(lambda array: np.asarray(array)[..., None], REFUSED),
        "no width": Extreme(lambda array: np.asarray(array)[:, :0], REFUSED),
        **_HALVES,
    }
    return Argument(np.asarray(value, np.float32), extremes)


def mask(value: Any, others: str = ALONE) -> Argument:
    """Truth values, of exactly one shape; `others` is what one that is False makes of the rest."""
    extremes = {
        "nothing": _fill(False, EITHER, FINE),
        "first row out": _row(False, ACCEPTED, others),
        "0 and 1": _cast(np.float32),
        "whole numbers": _cast(np.int8),
        **_LIST,
        "halves": Extreme(lambda array: first_row(array, np.float32(0.5)), REFUSED),
        "NaN": Extreme(lambda array: first_row(array, np.float32(np.nan)), REFUSED),
        "text": _cast(str, REFUSED),
        "objects": _NO_NUMBERS["objects"],
        "turned": Extreme(lambda array: np.ones((*np.shape(array)[::-1], 1), bool), REFUSED),
        **_SHAPES,
    }
    return Argument(np.asarray(value, bool), extremes)


def index(value: Any, size: int = STORED) -> Argument:
    """Rows of a bank."""
    extremes = {
        "-1": _row(-1, REFUSED, ALONE),
        "N": _row(size, REFUSED, ALONE),
        "2**32": Extreme(lambda array: first_row(array, np.int64(2**32)), REFUSED),
        "copies": _fill(3, ACCEPTED, FINE),
        "floats": _cast(np.float32, REFUSED),
        **_NO_NUMBERS,
        **_SHAPES,
    }
    return Argument(np.asarray(value, np.int32), extremes)


def lists(value: Any) -> Argument:
    """Truth values with any leading axes."""
    kept = mask(value).extremes
    shapes = {*_SHAPES, "turned"} - {"scalar"}
    return Argument(value, {name: kept[name] for name in kept.keys() - shapes})


def free(argument: Argument) -> Argument:
    """The same kind, alone in setting the number of rows."""
    shapes = {"a row too few", "no rows", "scalar", "column"}
    extremes = {n: extreme for n, extreme in argument.extremes.items() if n not in shapes}
    return argument._replace(extremes=extremes)


def plain(value: Any) -> Argument:
    """An array that is traced, and has no extremes to try."""
    return Argument(value, {})


def _instead(*values: Any, concrete: str = REFUSED) -> dict[str, Extreme]:
    return {repr(value): Extreme(lambda _, value=value: value, concrete) for value in values}


def number(value: float, low: float | None = None, high: float | None = None) -> Argument:
    """A number, in `[low, high]`."""
    wrong = [np.nan, np.inf, -np.inf, "x", None, np.float32(np.nan)]
    wrong += [] if low is None else [low - 1, low - 1e-3]
    wrong += [] if high is None else [high + 1, high + 1e-2]
    return Argument(value, _instead(*wrong), is_array=False)


def whole(value: int, low: int = 1) -> Argument:
    """A whole number of at least `low`."""
    wrong = (low - 1, -7, low + 0.5, np.nan, np.inf, "3", None, [2], True)
    return Argument(value, _instead(*wrong), is_array=False)
