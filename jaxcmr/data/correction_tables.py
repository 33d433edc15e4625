"""Tables of corrections: the class that each row should have, or `drop`, by the row's id."""

import functools
import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxcmr.data.formats.tables import Table, read_table
from jaxcmr.data.own.missing import is_missing
from jaxcmr.data.own.names import suggestion, tidy
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError, named
from jaxcmr.storage.paths import expanded
from jaxcmr.storage.spreadsheet import unsafe

COLUMNS, GIVEN = ("id", "label"), "given"
DROP = "drop"  # the answer for a row that should not be used
NO_ANSWER, DROPPED = -1, -2  # beside the numbers of classes
_WHOLE = re.compile(r"0*([0-9]+)(?:\.0+)?")


class Answer(NamedTuple):
    """What a table says of a row.

    Attributes:
        label: the class that the row should have, `DROPPED` or `NO_ANSWER`.
        given: the class that it had when it was looked at; None where that is not known.
    """

    label: int
    given: int | None


Finder = Callable[[str], int | None]  # cell -> the place of the name that it means


def paths(names: str) -> list[str]:
    """Returns the tables that `config.data.corrections` names, with commas between them."""
    if os.path.isfile(expanded(names)):  # a comma in the name of a file
        return [names]
    return [name.strip() for name in names.split(",") if name.strip()]


def read(path: str) -> Table:
    """Reads a table of corrections: the columns `id` and `label`, perhaps `given` and others.

    Raises:
        UsageError: no such file, or one that is no such table.
    """
    file = expanded(path)
    if not os.path.exists(file):
        raise UsageError(f"config.data.corrections is {path!r}, but there is no such file")
    table = read_table(file, (*COLUMNS, GIVEN))
    for name in COLUMNS:
        if name not in table.columns:
            raise UsageError(
                f"{file} has no column {name!r}, only {listed([*map(quoted, table.columns)])}; "
                f"corrections need the columns id and label, which is a class or {DROP!r}"
            )
    return table


def drops(names: str) -> int:
    """Returns how many rows tables of corrections drop; 0 for no table, ""."""
    rows = [row for path in paths(names) for _, row in read(path).rows]
    return len({row.get("id") for row in rows if tidy(unsafe(row.get("label", ""))) == DROP})


def answers(table: Table, class_names: Sequence[str], ids: Sequence[str]) -> dict[str, Answer]:
    """Returns the answer for each id in the table.

    Args:
        table: from `read`.
        class_names: the K names.
        ids: of all rows that there are.

    Raises:
        UsageError: an id or a class that there is not, or two different answers for one id.
    """
    find_id, find_class = _finder(ids), _finder(class_names)
    answer_of = functools.cache(lambda label: _answer(label, class_names, find_class))
    found: dict[str, Answer] = {}
    lines: dict[str, int] = {}  # of the answers
    unknown: dict[str, int] = {}
    for line, row in table.rows:
        place = find_id(row.get("id", ""))
        if place is None:
            unknown.setdefault(row.get("id", ""), line)
            continue
        with named(f"{table.path}, line {line}"):
            answer = answer_of(row.get("label", ""))
        name, given = ids[place], find_class(row.get(GIVEN, ""))
        before = found.setdefault(name, Answer(answer, given)).label
        if answer == NO_ANSWER:
            continue
        if before not in (answer, NO_ANSWER):
            first, second = (DROP if k == DROPPED else class_names[k] for k in (before, answer))
            raise UsageError(
                f"{table.path}: the id {quoted(name)} has two answers, {quoted(first)} in line "
                f"{lines[name]} and {quoted(second)} in line {line}; keep one"
            )
        found[name] = Answer(answer, given)
        lines.setdefault(name, line)
    if unknown:
        cell, line = next(iter(unknown.items()))
        more = f", and {len(unknown) - 1} more are unknown" if len(unknown) > 1 else ""
        raise UsageError(
            f"{table.path}, line {line}: no row of the data has the id {quoted(cell)}{more}; "
            f"they have ids such as {quoted(ids[0])}"
        )
    return found


def _answer(label: str, class_names: Sequence[str], find_class: Finder) -> int:
    number, drop = find_class(label), tidy(unsafe(label)) == DROP
    if drop and number is not None:
        raise UsageError(
            f"{DROP!r} may mean to drop the row, or the class of this name; rename the class"
        )
    if drop:
        return DROPPED
    if number is not None:
        return number
    if is_missing(label):
        return NO_ANSWER
    near = suggestion(unsafe(label), (*class_names, DROP))
    classes = f"; the classes are {listed([*map(quoted, class_names)], 10)}"
    raise UsageError(f"the label {quoted(label)} is neither a class nor {DROP!r}{near or classes}")


def _finder(names: Sequence[str]) -> Finder:
    """Returns a function that finds which of the names a cell means: its place, or None.

    That is what it was before `spreadsheet.safe`, so that all tables of ours are read as they were
    meant; else the cell itself, or what it was before a program put blanks around it, took the
    zeros from its beginning, or wrote 7 as 7.0.
    """
    known = {name: place for place, name in enumerate(names)}
    wholes: dict[str, list[int]] = {}
    for name, place in known.items():
        if whole := _WHOLE.fullmatch(name):
            wholes.setdefault(whole[1], []).append(place)

    def find(cell: str) -> int | None:
        if (text := unsafe(cell)) in known:
            return known[text]
        plain = tidy(text)
        if found := [name for name in (cell, plain) if name in known]:
            return known[found[0]]
        whole = _WHOLE.fullmatch(plain)
        alike = wholes.get(whole[1], []) if whole else []
        return alike[0] if len(alike) == 1 else None

    return find
