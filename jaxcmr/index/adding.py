"""Checks what is added to an index, and makes a segment of it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcmr import guards
from jaxcmr.display import quoted
from jaxcmr.errors import UsageError
from jaxcmr.index.columns import Column, column_of
from jaxcmr.index.segment import aligned

RESERVED = ("id", "modality", "embedding")
_UNIT = 1e-5  # what the squared length of a unit row may be off
_NO_LENGTH = 1e-12  # a row whose length is below this has no direction


def unit(name: str, rows: Any, size: int) -> np.ndarray:
    """Returns embeddings as new float32 rows `[N, size]` of length 1, rows of zeros as they are.

    Rows that have this length already keep every bit.

    Raises:
        UsageError: the shape is another one, or a row holds NaN or infinity.
    """
    given = guards.check_shape(name, guards.on_host(rows), "N", size)
    guards.check_rows(name, given)
    found = aligned([given])
    squares = np.einsum("nd,nd->n", found, found, dtype=np.float64)
    other = np.flatnonzero(np.abs(squares - 1) > _UNIT)
    lengths = np.sqrt(squares[other])[:, None]
    lengths[lengths < _NO_LENGTH] = np.inf
    found[other] = found[other] / lengths
    return found


def ids_of(ids: Any, rows: int, taken: Mapping[str, int]) -> list[str]:
    """Returns one id a row; None: the next free numbers.

    Raises:
        UsageError: they are no texts, not as many as rows, or one is there twice.
    """
    if ids is None:
        return _free(rows, taken)
    found = texts("ids", ids)
    _check_length("ids", found, rows)
    if len(set(found)) < len(found):
        first: dict[str, int] = {}
        second = next(row for row, name in enumerate(found) if first.setdefault(name, row) != row)
        name = found[second]
        raise UsageError(
            f"ids hold {quoted(name)} in rows {first[name]} and {second}; give it once"
        )
    return found


def texts(name: str, values: Any) -> list[str]:
    """Returns texts as a list; one alone as a list of it.

    Raises:
        UsageError: a value is no text.
    """
    if not isinstance(values, Iterable):
        raise UsageError(f"{name} are {values!r}; give a list of texts")
    found = [values] if isinstance(values, str) else list(values)
    for row, value in enumerate(found):
        if not isinstance(value, str):
            shown = quoted(repr(value))
            raise UsageError(f"{name} hold {shown} in row {row}; give texts, str(7) for a number")
    return [str(value) for value in found]  # no numpy.str_


def sources_of(sources: Any, rows: int) -> list[str | None]:
    """Returns one source a row, paths as texts; None: there are none.

    Raises:
        UsageError: they are no texts or paths, or not as many as rows.
    """
    if sources is None:
        return [None] * rows
    if isinstance(sources, str):
        raise UsageError(f"sources are {quoted(sources)}; give one a row, or None")
    found = [os.fspath(x) if isinstance(x, os.PathLike) else x for x in sources]
    _check_length("sources", found, rows)
    texts("sources", [x for x in found if x is not None])
    return [x if x is None else str(x) for x in found]


def columns_of(metadata: Any, rows: int) -> dict[str, Column | None]:
    """Returns the metadata by name; None: a column that has only None.

    Args:
        metadata: a mapping of names to a value a row, or a mapping of names to values for each row,
            in which those that are left out are None.
        rows: how many there are.

    Raises:
        UsageError: it is something else, a name is taken, or values are of kinds that cannot be.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        if not isinstance(metadata, Iterable):
            raise UsageError(f"the metadata are {metadata!r}; give a mapping of names to values")
        metadata = _by_name(list(metadata))
    for name, values in metadata.items():
        if not isinstance(name, str) or name in RESERVED:
            raise UsageError(
                f"the metadata have the name {name!r}; give texts that are not one of "
                f"{', '.join(RESERVED)}"
            )
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
            raise UsageError(f"the metadata {quoted(name)} are {values!r}; give a value a row")
        _check_length(f"the metadata {quoted(name)}", values, rows)
    return {str(name): column_of(name, values) for name, values in metadata.items()}


def _by_name(dicts: list[Any]) -> dict[str, list[Any]]:
    for row, entry in enumerate(dicts):
        if not isinstance(entry, Mapping):
            raise UsageError(
                f"the metadata are {quoted(repr(entry))} in row {row}; give a mapping of names to "
                "values for each row"
            )
    names = dict.fromkeys(name for entry in dicts for name in entry)
    return {name: [entry.get(name) for entry in dicts] for name in names}


def _check_length(name: str, values: Iterable[Any], rows: int) -> None:
    if len(values) != rows:
        raise UsageError(f"{name} are {len(values)}, but there are {rows} rows; give one a row")


def _free(rows: int, taken: Mapping[str, int]) -> list[str]:
    found, number = [], len(taken)
    while len(found) < rows:
        if str(number) not in taken:
            found.append(str(number))
        number += 1
    return found
