"""Reads what a client asks for: JSON of known fields, checked before anything is done with it."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from jaxcmr.display import quoted
from jaxcmr.serving.limits import Limits, RefusedError

LISTED = 100  # values of one field of `where`
FIELDS = 20  # of `where`
PIECE = 64 * 1024  # bytes of a body that are looked at together
NAME = 1000  # letters of an id, or of a field
ITEM = ("text", "id", "file", "values")
SEARCH = ("queries", "to", "k", "where")
K, MAX_K = 12, 100


class Item(NamedTuple):
    """One thing that is embedded, or looked up.

    Attributes:
        kind: "text", "id", "file" or "values".
        content: the words, the id, a file in base64, or the numbers of a vector.
        modality: its name; None: it follows from the kind.
        place: what the item is called in a sentence, such as "items[3]".
        name: of the file on the client's side, of which the ending says the format; "": unknown.
    """

    kind: str
    content: Any
    modality: str | None
    place: str = "the query"
    name: str = ""


class Search(NamedTuple):
    """A search for the mean of some items."""

    items: tuple[Item, ...]
    k: int
    where: Mapping[str, Any]


def parse(body: bytes, limits: Limits) -> dict[str, Any]:
    """Reads the JSON object of a body.

    Raises:
        RefusedError: 400, it is none, or nested too deeply, or holds numbers that are none.
    """
    _check_crowded(body, limits)
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise RefusedError(400, "the body is no UTF-8; send JSON in UTF-8") from None
    except RecursionError:
        raise RefusedError(400, "the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RefusedError(
            400, f"the body is no JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except ValueError:  # a whole number of thousands of digits
        raise RefusedError(400, "the JSON holds a number that is too long") from None
    if not isinstance(content, dict):
        raise RefusedError(
            400, f'the JSON is {_kind(content)}; send an object, such as {{"text": "…"}}'
        )
    return content


def _check_crowded(body: bytes, limits: Limits) -> None:
    """Refuses JSON of many parts before they take memory, and time that other threads wait.

    It is read in pieces, no further than necessary.
    """
    commas = brackets = 0
    for start in range(0, len(body), PIECE):
        piece = body[start : start + PIECE]
        commas += piece.count(b",")
        brackets += piece.count(b"[") + piece.count(b"{")
        if commas > limits.values:
            raise RefusedError(422, f"the JSON has more than {limits.values:,} values; send fewer")
        if brackets > limits.containers:
            raise RefusedError(422, f"the JSON has more than {limits.containers:,} brackets")


def search(content: dict[str, Any], limits: Limits) -> Search:
    """Reads a search: an item or several `queries`, `to`, `k` and `where`.

    Raises:
        RefusedError: 400 for what has another form, 422 for values outside of their limits.
    """
    several, rest = "queries" in content, {k: v for k, v in content.items() if k not in SEARCH}
    if several:
        if rest:
            _unknown(next(iter(rest)), SEARCH, "beside queries")
        items = _items(content["queries"], "queries", limits.queries, limits)
    else:
        items = (item(rest, "the query", limits, more=SEARCH),)
    k, where = content.get("k", K), content.get("where")
    if type(k) is not int or not 1 <= k <= MAX_K:
        raise RefusedError(422, f"k is {_short(k)}; give a whole number from 1 to {MAX_K}")
    where = {} if where is None else _where(where)
    to = content.get("to")
    if to is not None and "modality" in where:
        raise RefusedError(422, "to and where.modality both say what is searched for; give one")
    if to is not None:
        where = {**where, "modality": _text(to, "to", NAME)}
    return Search(items, k, where)


def embed(content: dict[str, Any], limits: Limits) -> tuple[Item, ...]:
    """Reads what is to be embedded: one item, or several `items`; raises as `search`."""
    if "items" not in content:
        return (item(content, "the item", limits, more=("items",)),)
    if len(content) > 1:
        _unknown(next(name for name in content if name != "items"), ("items",), "beside items")
    return _items(content["items"], "items", limits.items, limits)


def item(content: Any, place: str, limits: Limits, more: tuple[str, ...] = ()) -> Item:
    """Reads one item; `place` names it in a sentence, `more` are fields that may be meant."""
    if not isinstance(content, dict):
        raise RefusedError(
            400, f"{place} is {_kind(content)}, not an object with one of {_named(ITEM)}"
        )
    for name in content:
        if name not in (*ITEM, "modality"):
            _unknown(name, (*ITEM, "modality", *more), f"in {place}")
    kinds = [kind for kind in ITEM if kind in content]
    if len(kinds) != 1:
        found = f"both {_named(kinds)}" if kinds else "none of them"
        raise RefusedError(400, f"{place} needs one of {_named(ITEM)}, but has {found}")
    kind, value, modality = kinds[0], content[kinds[0]], content.get("modality")
    if kind == "file":
        return _file(value, modality, place)
    if modality is not None:
        modality = _text(modality, f"modality of {place}", NAME)
    if kind == "values":
        return Item(kind, _numbers(value, place), modality, place)
    most = limits.letters if kind == "text" else NAME
    return Item(kind, _text(value, f"{kind} of {place}", most), modality, place)


def _file(content: Any, modality: Any, place: str) -> Item:
    if not isinstance(content, dict):
        raise RefusedError(400, f"file of {place} is {_kind(content)}, not an object")
    for name in content:
        if name not in ("modality", "data", "name"):
            _unknown(name, ("modality", "data", "name"), f"in file of {place}")
    data = content.get("data")
    if not isinstance(data, str):
        raise RefusedError(400, f"data of the file of {place} is {_kind(data)}, not base64")
    if "modality" not in content and modality is None:
        raise RefusedError(400, f"the file of {place} needs its modality")
    modality = _text(content.get("modality", modality), f"modality of the file of {place}", NAME)
    name = _text(content.get("name", ""), f"name of the file of {place}", NAME)
    return Item("file", data, modality, place, name)


def _items(content: Any, place: str, most: int, limits: Limits) -> tuple[Item, ...]:
    if not isinstance(content, list):
        raise RefusedError(400, f"{place} is {_kind(content)}, not a list")
    if not 1 <= len(content) <= most:
        raise RefusedError(422, f"{place} holds {len(content)} items; give 1 to {most}")
    return tuple(item(one, f"{place}[{i}]", limits) for i, one in enumerate(content))


def _where(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RefusedError(400, f"where is {_kind(content)}, not an object of fields and values")
    if len(content) > FIELDS:
        raise RefusedError(422, f"where names {len(content)} fields; give at most {FIELDS}")
    for field, value in content.items():
        values = value if isinstance(value, list) else [value]
        if not 1 <= len(values) <= LISTED:
            raise RefusedError(
                422, f"where.{field[:NAME]} lists {len(values)} values; give 1 to {LISTED}"
            )
        for one in values:
            if isinstance(one, (list, dict)):
                raise RefusedError(
                    400, f"where.{field[:NAME]} holds {_kind(one)}; give texts, numbers or booleans"
                )
            _check_size(one, f"where.{field[:NAME]}")
    return content


def _check_size(value: Any, place: str) -> None:
    """Refuses numbers that a column cannot hold, and texts that are longer than a name."""
    if isinstance(value, str):
        _text(value, place, NAME)
    elif isinstance(value, (int, float)) and not abs(value) <= 1e300:
        raise RefusedError(422, f"{place} is {_short(value)}, too large a number")


def _numbers(value: Any, place: str) -> list[float]:
    if not isinstance(value, list) or not value:
        raise RefusedError(400, f"values of {place} is {_kind(value)}, not a list of numbers")
    for number in value:
        if type(number) not in (int, float):
            raise RefusedError(400, f"values of {place} holds {_kind(number)}; give numbers")
        if not abs(number) < 1e30:  # squares of these fit into 32 bits
            raise RefusedError(422, f"values of {place} holds {_short(number)}, too large a number")
    return value


def _text(value: Any, place: str, most: int) -> str:
    if not isinstance(value, str):
        raise RefusedError(400, f"{place} is {_kind(value)}, not a text")
    if len(value) > most:
        raise RefusedError(422, f"{place} has {len(value):,} letters; give at most {most:,}")
    return value


def _unknown(name: str, known: tuple[str, ...], place: str) -> NoReturn:
    raise RefusedError(400, f"there is no field {quoted(name)} {place}; known are {_named(known)}")


def _no_number(name: str) -> NoReturn:
    raise RefusedError(400, f"the JSON holds {name}, which is no number")


def _named(names: Any) -> str:
    return ", ".join(names)


def _short(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else f"{value!r:.20}"


def _kind(value: Any) -> str:
    """Says in words what JSON gave."""
    kinds = {dict: "an object", list: "a list", str: "a text", type(None): "nothing"}
    return kinds.get(type(value)) or f"{value!r:.20}"
