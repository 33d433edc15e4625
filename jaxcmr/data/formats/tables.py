"""Reads tables of text cells: CSV in its usual forms, or a JSON object a line."""

import csv
import io
import json
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.own import names
from jaxcmr.data.own.missing import is_missing
from jaxcmr.display import quoted
from jaxcmr.errors import UsageError

DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", ".tab": "\t,;|"}  # the usual one first
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *JSON_LINES)

HEAD = 1 << 20  # letters in which a header ends

Row = dict[str, str]


class Table(NamedTuple):
    """What a file holds.

    Attributes:
        path: the file.
        rows: (line in the file, column -> cell); the line is that where the row begins. Known
            columns have their canonical name, others that of the file.
        places: of each row, its number in the file, counted from 0, empty rows included.
        columns: the names, in the order of the file.
        empty: lines of the rows that were left out because none of their cells is filled.
    """

    path: Path
    rows: list[tuple[int, Row]]
    places: list[int]
    columns: list[str]
    empty: list[int]


def read_table(path: Path, known: Collection[str]) -> Table:
    """Reads a `.csv`, `.tsv` or `.jsonl` file; its columns are found in every spelling.

    The cells of a `.csv` are parted by commas, semicolons, tabs or bars: whichever parts the header
    into the most columns whose canonical name (`names.column`) is `known`. JSON's numbers and truth
    values become text, `null` and `NaN` empty cells.

    Raises:
        UsageError: the file cannot be used; names the line and the column.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{path} must end in .csv, .tsv or .jsonl; save or export it as one of them"
        )
    text = read_text(path)
    if suffix in JSON_LINES:
        found = _json_rows(text, path, known)
    else:
        found = _csv_rows(text, path, known, DELIMITERS[suffix])
    rows, places, empty = [], [], []
    for place, (line, row) in enumerate(found):
        if all(map(is_missing, row.values())):
            empty.append(line)
        else:
            rows.append((line, row))
            places.append(place)
    if not rows:
        raise UsageError(f"{path} has no row" + (" with a filled cell" if empty else ""))
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    return Table(path, rows, places, columns, empty)


class _Form(NamedTuple):
    """How a CSV file is written, and how many of its lines say that alone."""

    delimiter: str
    quote: str
    skipped: int = 0
    blanks: bool = False  # before quotes


def _csv_rows(text: str, path: Path, known, delimiters: str) -> list[tuple[int, Row]]:
    text, form = _form(text, known, delimiters)
    records = _records(text, path, form)
    first = next(records, None)
    if first is None:
        return []
    header = [names.tidy(cell) for cell in first[1]]
    keys = _keys(header, known, f"{path}, line {first[0]}")
    rows = []
    for line, cells in records:
        if len(cells) != len(keys):
            if not set(keys) & set(known):
                raise UsageError(
                    f"{path}, line {first[0]}: the first line must name the columns, such as "
                    f"label; found {quoted(form.delimiter.join(header))}"
                )
            raise UsageError(
                f"{path}, line {line}: not as many cells as the header, {len(cells)} for "
                f"{len(keys)} columns; put quotes around a cell that holds {form.delimiter!r}"
            )
        rows.append((line, dict(zip(keys, cells))))
    unnamed = [key for key, name in zip(keys, header) if not name]
    for key in unnamed:  # left by a spreadsheet's empty columns; a written index has cells
        if not any(row[key].strip() for _, row in rows):
            rows = [(line, {k: v for k, v in row.items() if k != key}) for line, row in rows]
    return rows


def _records(text: str, path: Path, form: _Form):
    """Yields (line where it begins, cells) of every record that is no blank line."""
    reader, line = _reader(text, form, strict=True), form.skipped + 1
    before = csv.field_size_limit(sys.maxsize >> 1)  # the default of 131,072 letters is one for us
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = form.skipped + reader.line_num + 1
    except csv.Error as error:
        what = f"{error}; put quotes around the whole cell, and double those inside"
        if "unexpected end" in str(error):
            what = "a quote that opens in this row is never closed"
        raise UsageError(f"{path}, line {line}: {what}") from None
    finally:
        csv.field_size_limit(before)


def _reader(text: str, form: _Form, strict: bool):
    lines, style = io.StringIO(text, newline=""), {"skipinitialspace": form.blanks}
    return csv.reader(lines, delimiter=form.delimiter, quotechar=form.quote, strict=strict, **style)


def _form(text: str, known, delimiters: str) -> tuple[str, _Form]:
    """Returns the text and its form: that which gives the most known columns, or the usual one."""
    head, _, rest = text.partition("\n")
    head = head.rstrip("\r")
    if len(head) == 5 and head.lower().startswith("sep="):  # written for spreadsheets
        return rest, _Form(head[4], '"', 1)

    def columns(form: _Form) -> int:
        try:
            cells = next(filter(None, _reader(text[:HEAD], form, strict=False)))
        except (csv.Error, StopIteration):
            return 0
        return sum(names.column(cell) in known for cell in cells)

    forms = [_Form(delimiter, quote) for quote in "\"'" for delimiter in delimiters]
    form = max(forms, key=columns)
    quoted_cell = f"{re.escape(form.delimiter)} +{form.quote}[^{form.quote}\r\n]"
    spaced = form._replace(blanks=True)
    return text, spaced if re.search(quoted_cell, text) and _reads(text, spaced) else form


def _reads(text: str, form: _Form) -> bool:
    """Tells whether a form fits a text: 'a, "old" wood' has no quotes around a cell."""
    try:
        return all(True for _ in _reader(text, form, strict=True))
    except csv.Error:
        return False


def _keys(header: list[str], known, where: str) -> list[str]:
    """Returns the names that columns have in rows; a column twice is refused."""
    keys, seen = [], {}
    for number, name in enumerate(header, 1):
        if not name:
            keys.append(f"column {number}")
            continue
        column = names.column(name)
        if column in seen:
            raise UsageError(
                f"{where}: the column {quoted(column)} occurs twice, as {quoted(seen[column])} and "
                f"{quoted(name)}; remove or rename one"
            )
        seen[column] = name
        keys.append(column if column in known else name)
    return keys


def _json_rows(text: str, path: Path, known) -> list[tuple[int, Row]]:
    # By line feeds alone: other ends of lines may stand inside texts.
    lines = enumerate(text.split("\n"), 1)
    return [
        (line, _object(part, f"{path}, line {line}", known)) for line, part in lines if part.strip()
    ]


def _object(text: str, where: str, known) -> Row:
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        deep = "nested too deep" if isinstance(error, RecursionError) else error
        reason = getattr(error, "msg", deep)
        raise UsageError(f"{where}: no JSON ({reason}): {quoted(text[:80])}") from None
    if not isinstance(pairs, _Pairs):
        raise UsageError(
            f"{where}: a JSON object is needed, one a line and without a list around them, found "
            f"{quoted(text[:80])}"
        )
    keys = _keys([names.tidy(key) for key, _ in pairs], known, where)
    cells = zip(keys, pairs)
    return {key: _cell(value, where, key, key in known) for key, (_, value) in cells}


class _Pairs(list):
    """The keys and values of a JSON object, of which two may have one name."""


def _cell(value: Any, where: str, key: str, used: bool) -> str:
    """Returns a JSON value as the cell of a table would hold it."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, str):
        if broken := re.search("[\ud800-\udfff]", value):
            raise UsageError(
                f"{where}: {quoted(key)} holds half a letter, {broken[0]!a}; write it again"
            )
        return value
    if isinstance(value, list) and used:
        kind = "an object" if isinstance(value, _Pairs) else f"a list of {len(value)}"
        raise UsageError(f"{where}: {quoted(key)} is {kind}, but one text or number is needed")
    if used and isinstance(value, float) and value in (float("inf"), -float("inf")):
        raise UsageError(
            f"{where}: {quoted(key)} is {value}, which is neither a number nor a text; correct it"
        )
    return str(value)
