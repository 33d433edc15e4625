"""The ranges of a config's values: functions that return what a value must be, or "" if it fits."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

Range = Callable[[Any], str]  # value -> "at least 1", or "" for a value in the range

LARGE = 1_000_000  # more epochs, rows of a batch, points, ... than any run has
LARGEST_INT32 = 2**31 - 1


class Field(NamedTuple):
    """A value that a config has.

    Attributes:
        default: the value if none is given.
        range: the values that it may have.
        meaning: a few words for `--help`.
    """

    default: Any
    range: Range
    meaning: str


def whole(low: int, high: int = LARGE) -> Range:
    """Returns the range of whole numbers from `low` to `high`, both included."""

    def expected(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, Integral):
            return "a whole number"
        return f"at least {low}" if value < low else f"at most {high}" if value > high else ""

    return expected


def number(low: float, high: float = LARGE, *, below: float = math.inf) -> Range:
    """Returns the range of finite numbers from `low` to `high`, or below `below`."""
    bounds = f"in [{low:g}, {below:g})" if below < math.inf else f"in [{low:g}, {high:g}]"

    def expected(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, Real):
            return "a number"
        return "" if low <= value <= high and value < below else bounds  # NaN is in no range

    return expected


def choice(*names: Any) -> Range:
    """Returns the range of a few values; "" is written as `''`."""
    known = ", ".join(str(name) or "''" for name in names)
    fits = lambda value: any(type(value) is type(name) and value == name for name in names)
    return lambda value: "" if fits(value) else f"one of {known}"


def flag(value: Any) -> str:
    """The range of True and False."""
    return "" if isinstance(value, bool) else "True or False"


def text(value: Any) -> str:
    """The range of texts: names of files and folders, which are looked for where they are used."""
    if not isinstance(value, str):
        return "a text"
    return "" if value.isprintable() else "a text without line breaks and control characters"


def several(each: Range, least: int = 0) -> Range:
    """Returns the range of tuples of at least `least` different values in the range `each`."""

    def expected(value: Any) -> str:
        if not isinstance(value, tuple | list):
            return "a tuple"
        if len(value) < least:
            return f"a tuple of at least {least}"
        for one in value:
            if wrong := each(one):
                return f"a tuple whose values are each {wrong}"
        return "" if len(set(value)) == len(value) else "a tuple that names nothing twice"

    return expected


def widths(least: int) -> Range:
    """Returns the range of tuples of at least `least` layers' widths."""
    layer = whole(1, 65536)

    def expected(value: Any) -> str:
        if not isinstance(value, tuple | list) or len(value) < least:
            return f"a tuple of at least {least} widths" if least else "a tuple of widths"
        wrong = [layer(width) for width in value if layer(width)]
        return f"a tuple of widths, each {wrong[0]}" if wrong else ""

    return expected


def either(special: Any, other: Range) -> Range:
    """Returns the range `other` with one more value, which stands for something else."""

    def expected(value: Any) -> str:
        if type(value) is type(special) and value == special:
            return ""
        wrong = other(value)
        return f"{special}, or {wrong}" if wrong else ""

    return expected


def name(value: Any) -> str:
    """The range of names of stages."""
    if not isinstance(value, str) or not value:
        return "a name"
    return "" if value.isprintable() and not set(value) & set("./\\") else "a name without . / \\"


def modality(value: Any) -> str:
    """The range of names of modalities; a few names are other entries of the same sections."""
    taken = ("embedding_size", "head", "centers", "clusters")
    return name(value) or (f"a name other than {', '.join(taken)}" if value in taken else "")


SHARE = number(0, 1)
NOT_NEGATIVE = number(0)
POSITIVE = number(1e-6)  # what is divided by: temperatures, widths of kernels
SEED = whole(0, 2**32 - 1)
