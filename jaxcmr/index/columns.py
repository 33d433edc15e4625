"""Columns of an index: a value a row, or None; in arrays, so that they can stay on the disk.

Texts are UTF-8 bytes beside offsets, and only those that are asked for are decoded. A million of
them are opened as fast as ten.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcmr.display import quoted
from jaxcmr.errors import UsageError

KINDS = {"text": "text", "int": "whole numbers", "float": "numbers", "bool": "True or False"}
NONE = "none"  # the kind of a column that has only None so far
_NAMES = {str: "text", int: "int", float: "float", bool: "bool"}
_DTYPES = {"int": np.int64, "float": np.float64, "bool": np.uint8}
_BLANKS = {"int": 0, "float": 0.0, "bool": False}
_EXACT = 2**53  # whole numbers up to it are numbers of 64 bits with a point, too
_DAMAGED = "a text of the index is damaged; make the index again"
_BLOCK = 1 << 22  # bytes that are gathered at once


class Texts:
    """A text or None a row.

    Args:
        data: `[B]` uint8, the texts in UTF-8, one behind the other.
        offsets: `[N + 1]` int64, where each begins and the last one ends.
        missing: `[N]` uint8, 1 for None.
    """

    kind, parts = "text", ("data", "offsets", "missing")

    def __init__(self, data: np.ndarray, offsets: np.ndarray, missing: np.ndarray):
        self._data, self._offsets, self._missing = data, offsets, missing

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Texts:
        """Makes a column of its values."""
        encoded = [(value or "").encode("utf-8", "surrogatepass") for value in values]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        data = np.frombuffer(b"".join(encoded), np.uint8)
        return cls(data, offsets, np.array([value is None for value in values], np.uint8))

    def __len__(self) -> int:
        return len(self._missing)

    def take(self, rows: np.ndarray) -> list[str | None]:
        """Returns the values of some rows.

        Raises:
            UsageError: the file that holds them is damaged.
        """
        starts, stops = (ends.tolist() for ends in self._spans(rows))
        missing, data = self._missing[rows].tolist(), self._data.data
        try:
            return [
                None if none else str(data[start:stop], "utf-8", "surrogatepass")
                for start, stop, none in zip(starts, stops, missing)
            ]
        except UnicodeDecodeError:
            raise UsageError(_DAMAGED) from None

    def _spans(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns where texts begin and end; looked at here, for to open a file reads none."""
        starts, stops = self._offsets[rows], self._offsets[rows + 1]
        if ((starts < 0) | (starts > stops) | (stops > len(self._data))).any():
            raise UsageError(_DAMAGED)
        return starts, stops

    def matches(self, values: Sequence[Any]) -> np.ndarray:
        """Returns which rows `[N]` hold one of the values."""
        codes, numbers = self.codes
        wanted = [-1 if value is None else numbers.get(value, -2) for value in values]
        return np.isin(codes, wanted)

    @functools.cached_property
    def codes(self) -> tuple[np.ndarray, dict[str | None, int]]:
        """The number `[N]` of each row's text, and texts -> numbers; -1 for None."""
        numbers: dict[str | None, int] = {None: -1}
        texts = self.take(np.arange(len(self)))
        codes = (numbers.setdefault(text, len(numbers)) for text in texts)
        return np.fromiter(codes, np.int32, len(self)), numbers

    def select(self, rows: np.ndarray) -> Texts:
        """Returns the column of some rows, in memory."""
        starts, stops = self._spans(rows)
        lengths = stops - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        data = np.empty(offsets[-1], np.uint8)
        for first, last in _blocks(offsets):
            inside = np.arange(offsets[first], offsets[last])
            moved = np.repeat(starts[first:last] - offsets[first:last], lengths[first:last])
            data[inside] = self._data[inside + moved]
        return Texts(data, offsets, self._missing[rows])

    @staticmethod
    def joined(columns: Sequence[Texts]) -> Texts:
        """Returns the rows of several columns as one."""
        data, offsets, missing = zip(*((c._data, c._offsets, c._missing) for c in columns))
        ends = np.cumsum([0, *(len(part) for part in data)])
        moved = [part[1:] + end for part, end in zip(offsets, ends)]
        return Texts(np.concatenate(data), np.concatenate([[0], *moved]), np.concatenate(missing))

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what a file holds of the column, by the names in `parts`."""
        return dict(zip(self.parts, (self._data, self._offsets, self._missing)))

    @classmethod
    def read(cls, kind: str, arrays: Mapping[str, np.ndarray]) -> Texts:
        """Makes a column of `arrays()` of a file; raises a `ValueError` if they do not fit."""
        data, offsets, missing = (arrays[name] for name in cls.parts)
        _check(data, np.uint8), _check(offsets, np.int64), _check(missing, np.uint8)
        fits = len(offsets) == len(missing) + 1 and offsets[0] == 0 and offsets[-1] == len(data)
        if not fits:
            raise ValueError("texts that do not fit their offsets")
        return cls(data, offsets, missing)


class Numbers:
    """A number, or a truth value, or None a row.

    Args:
        kind: "int", "float" or "bool".
        values: `[N]` int64, float64 or uint8.
        missing: `[N]` uint8, 1 for None.
    """

    parts = ("values", "missing")

    def __init__(self, kind: str, values: np.ndarray, missing: np.ndarray):
        self.kind, self._values, self._missing = kind, values, missing

    @classmethod
    def of(cls, kind: str, values: Sequence[Any]) -> Numbers:
        """Makes a column of its values."""
        blank = _BLANKS[kind]
        filled = np.array([blank if v is None else v for v in values], _DTYPES[kind])
        return cls(kind, filled, np.array([value is None for value in values], np.uint8))

    def __len__(self) -> int:
        return len(self._missing)

    def take(self, rows: np.ndarray) -> list[Any]:
        """Returns the values of some rows."""
        values = self._values[rows]
        found = (values.astype(bool) if self.kind == "bool" else values).tolist()
        return [None if none else v for v, none in zip(found, self._missing[rows].tolist())]

    def matches(self, values: Sequence[Any]) -> np.ndarray:
        """Returns which rows `[N]` hold one of the values."""
        present = self._missing == 0
        found = ~present if None in values else np.zeros(len(self), bool)
        for value in values:
            if value is not None:
                found |= present & (self._values == value)
        return found

    def select(self, rows: np.ndarray) -> Numbers:
        """Returns the column of some rows, in memory."""
        return Numbers(self.kind, self._values[rows], self._missing[rows])

    @staticmethod
    def joined(columns: Sequence[Numbers]) -> Numbers:
        """Returns the rows of several columns of one kind as one."""
        values = np.concatenate([column._values for column in columns])
        return Numbers(
            columns[0].kind, values, np.concatenate([column._missing for column in columns])
        )

    def as_float(self, name: str) -> Numbers:
        """Returns whole numbers as numbers with a point.

        Raises:
            UsageError: one of them is too large for that.
        """
        if (self._values > _EXACT).any() or (self._values < -_EXACT).any():
            raise UsageError(
                f"the metadata {quoted(name)} mix numbers with a point and whole numbers beyond "
                "2^53, which have none; give one of both, or texts"
            )
        return Numbers("float", self._values.astype(np.float64), self._missing)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what a file holds of the column, by the names in `parts`."""
        return dict(zip(self.parts, (self._values, self._missing)))

    @classmethod
    def read(cls, kind: str, arrays: Mapping[str, np.ndarray]) -> Numbers:
        """Makes a column of `arrays()` of a file; raises a `ValueError` if they do not fit."""
        values, missing = arrays["values"], arrays["missing"]
        _check(values, _DTYPES[kind]), _check(missing, np.uint8)
        if len(values) != len(missing):
            raise ValueError(f"{len(values)} numbers in {len(missing)} rows")
        return cls(kind, values, missing)


Column = Texts | Numbers


def column_of(name: str, values: Iterable[Any]) -> Column | None:
    """Makes a column of the kind of its values; None: all are None.

    Whole numbers beside others are numbers with a point.

    Raises:
        UsageError: they are of several kinds, of another one, or numbers that are not finite or
            have no 64 bits.
    """
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {kind_of(name, row, value) for row, value in enumerate(plain)} - {NONE}
    if kinds == {"int", "float"}:
        ints = [value for value in plain if isinstance(value, int)]
        Numbers.of("int", ints).as_float(name)
        kinds = {"float"}
    if len(kinds) > 1:
        found = " and ".join(KINDS[kind] for kind in sorted(kinds))
        raise UsageError(f"the metadata {quoted(name)} hold {found}; give one kind")
    kind = next(iter(kinds), None)
    if kind is None:
        return None
    return Texts.of(plain) if kind == "text" else Numbers.of(kind, plain)


def unified(kinds: Mapping[str, str], columns: Mapping[str, Column | None]) -> dict[str, str]:
    """Returns the kinds of columns by name, once these columns are added to those that there are.

    Raises:
        UsageError: a column is of another kind than before.
    """
    found = dict(kinds)
    for name, column in columns.items():
        was, kind = found.get(name, NONE), NONE if column is None else column.kind
        if NONE in (was, kind):
            found[name] = kind if was == NONE else was
        elif {was, kind} == {"int", "float"}:
            found[name] = "float"
        elif was != kind:
            raise UsageError(
                f"the metadata {quoted(name)} hold {KINDS[kind]}, but those of the index "
                f"{KINDS[was]}; give the same kind, or another name"
            )
    return found


def as_kind(name: str, column: Column | None, kind: str, rows: int) -> Column:
    """Returns a column as one of a kind that `unified` gives; None: it is None everywhere.

    Raises:
        UsageError: a whole number is too large for one with a point.
    """
    if column is None:
        return Texts.of([None] * rows) if kind == "text" else Numbers.of(kind, [None] * rows)
    return column if column.kind == kind else column.as_float(name)


def kind_of(name: str, row: int, value: Any) -> str:
    """Returns the kind of a value, one of `KINDS` or `NONE`; raises as `column_of`."""
    if value is None:
        return NONE
    kind = _NAMES.get(type(value))
    if kind is None:  # of a subclass
        kind = next((_NAMES[base] for base in type(value).__mro__ if base in _NAMES), None)
    fits = kind is not None
    if kind == "float":
        fits = math.isfinite(value)
    elif kind == "int":
        fits = -(2**63) <= value < 2**63
    if not fits:
        shown = quoted(repr(value))
        raise UsageError(
            f"the metadata {quoted(name)} hold {shown} in row {row}; give text, a finite number, "
            "True, False or None"
        )
    return kind


def _check(array: np.ndarray, dtype: Any) -> None:
    if array.ndim != 1 or array.dtype != dtype:
        raise ValueError(f"a column of {array.dtype} and shape {array.shape}")


def _blocks(offsets: np.ndarray) -> list[tuple[int, int]]:
    """Returns rows from and to, a block each, of about `_BLOCK` bytes."""
    marks = np.arange(0, offsets[-1], _BLOCK)
    ends = np.unique(np.append(np.searchsorted(offsets, marks, "right") - 1, len(offsets) - 1))
    return list(zip(ends[:-1].tolist(), ends[1:].tolist()))
