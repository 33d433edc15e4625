"""Which rows of an index a search may find."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr import guards
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.index.columns import KINDS, NONE, kind_of
from jaxcmr.index.segment import ID, METADATA, MODALITY
from jaxcmr.index.store import Store


def kept(store: Store, where: Any) -> np.ndarray:
    """Returns which places of the segments may be found; removed rows may not.

    Args:
        store: the rows.
        where: field -> its value, or those allowed; or `[N]` bool; None: all.

    Raises:
        UsageError: there is no such field, it holds values of another kind, or there is not one
            truth value a row.
    """
    found = store.live_mask()
    if where is None:
        return found
    if not isinstance(where, Mapping):
        mask = guards.on_host(guards.row_mask(where, (len(store),), name="where"))
        found[store.live_places()] = mask
        return found
    for field, wanted in where.items():
        values = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
        if isinstance(wanted, np.ndarray):
            values = wanted.reshape(-1)
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        found &= _of_field(store, field, values)
    return found


def _of_field(store: Store, field: str, values: list[Any]) -> np.ndarray:
    if field not in (ID, MODALITY) and field not in store.kinds:
        known = listed([quoted(name) for name in (ID, MODALITY, *store.kinds)], 20)
        raise UsageError(f"where asks for the field {field!r}; the index has {known}")
    kind = "text" if field in (ID, MODALITY) else store.kinds[field]
    for value in values:
        _check_value(field, kind, value)
    rows = sum(map(len, store.segments))
    if field == ID:
        tables = store.places_by_id().values()
        found = np.zeros(rows, bool)
        found[[table[value] for table in tables for value in values if value in table]] = True
        return found
    if kind == NONE:
        return np.full(rows, None in values)
    name = field if field == MODALITY else METADATA + field
    matches = (segment.table[name].matches(values) for segment in store.segments)
    return np.concatenate([np.zeros(0, bool), *matches])


def _check_value(field: str, kind: str, value: Any) -> None:
    given = kind_of(field, 0, value)
    alike = {given, kind} <= {"int", "float"}
    if given != kind and not alike and NONE not in (given, kind):
        raise UsageError(
            f"where asks for {quoted(field)} {value!r}, but it holds {KINDS[kind]}; give those"
        )
