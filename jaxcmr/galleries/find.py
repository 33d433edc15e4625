"""Finds what goes with queries: in which modalities, under which conditions, but not themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcmr.data.own import names
from jaxcmr.data.own.missing import FALSE, TRUE
from jaxcmr.display import listed, quoted, shown
from jaxcmr.errors import UsageError
from jaxcmr.galleries.queries import Query, mean
from jaxcmr.index import Hits, Index

MODALITY, ID = "modality", "id"
_READERS = {
    "text": str,
    "int": int,
    "float": float,
    "bool": lambda word: {w: w in TRUE for w in TRUE + FALSE}[word.lower()],
}


def find(
    gallery: Index,
    queries: Sequence[Query],
    k: int,
    to: str = "",
    where: Sequence[str] = (),
    approx: bool = False,
) -> Hits:
    """Returns the hits of the mean of some queries, `[1][k]`, none of which is a query itself.

    Args:
        gallery: what is searched.
        queries: at least one.
        k: how many hits, at most.
        to: modality of the hits; "": those that no query has, or all if there are no others.
        where: conditions "field=value"; those of one field are alternatives.
        approx: whether a hit may be missed for speed.

    Raises:
        UsageError: no such modality or field, or a value that the field cannot have.
    """
    wanted = conditions(gallery, where)
    if to and MODALITY in wanted:
        raise UsageError(
            "--to and --where=modality both say what is searched for; leave one of them out"
        )
    wanted.setdefault(MODALITY, targets(gallery, queries, to))
    own = {query.row for query in queries if query.row >= 0}
    row = mean([query.embedding for query in queries])
    hits = gallery.search(row[None], k=k + len(own), where=wanted, approx=approx)
    kept = [place for place, row in enumerate(hits.rows[0]) if int(row) not in own][:k]
    pick = lambda column: (
        column[:, kept]
        if isinstance(column, np.ndarray)
        else [[column[0][place] for place in kept]]
    )
    return Hits(*map(pick, hits))


def targets(gallery: Index, queries: Sequence[Query], to: str = "") -> list[str]:
    """Returns the modalities of the hits, see `find`."""
    there = sorted(set(gallery.modalities))
    if to and to not in there:
        raise UsageError(
            f"the gallery has no {quoted(to)}, only {listed(there)}{names.suggestion(to, there)}; "
            "correct --to"
        )
    asked = {query.modality for query in queries}
    return [to] if to else [name for name in there if name not in asked] or there


def conditions(gallery: Index, where: Sequence[str]) -> dict[str, list[Any]]:
    """Reads conditions "field=value": field -> the values that it may have; "" is a missing one.

    Raises:
        UsageError: one is written otherwise, or its field or value cannot be.
    """
    kinds: Mapping[str, str] = {ID: "text", MODALITY: "text"} | dict(gallery.columns)
    found: dict[str, list[Any]] = {}
    for condition in where:
        field, equals, word = condition.partition("=")
        if not equals:
            raise UsageError(f"--where takes field=value, not {quoted(condition)}")
        if field not in kinds:
            raise UsageError(
                f"the gallery has no field {quoted(field)}, only "
                f"{listed([shown(name) for name in kinds], 10)}"
                f"{names.suggestion(field, tuple(kinds))}; correct --where"
            )
        found.setdefault(field, []).append(_value(field, kinds[field], word))
    return found


def _value(field: str, kind: str, word: str) -> Any:
    if not word:
        return None
    if kind == "none":
        raise UsageError(f"the field {quoted(field)} is empty in every row; leave --where out")
    try:
        return _READERS[kind](word)
    except (ValueError, KeyError):
        what = {"int": "whole numbers", "float": "numbers", "bool": "true or false"}[kind]
        raise UsageError(
            f"the field {quoted(field)} holds {what}, which {quoted(word)} is not; correct --where"
        ) from None
