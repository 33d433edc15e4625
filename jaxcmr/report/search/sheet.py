"""Contact sheets of a search: queries at the left, their hits beside them; `.html` or `.png`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcmr.display import shown
from jaxcmr.errors import UsageError
from jaxcmr.report.items.part import Part
from jaxcmr.report.pages.page import render
from jaxcmr.storage import files

if TYPE_CHECKING:
    from jaxcmr.index import Hits
    from jaxcmr.report.search.pictures import Pictures

ENDINGS = (".png", ".html")
MOST = 1000  # hits on a sheet; a picture of an HTML page takes up to 20 kB
LINES, A_LINE = 40, 10  # of a PNG, and hits in a line; it takes 80 MB while it is drawn


class Query(NamedTuple):
    """What was searched with.

    Attributes:
        name: what is written with them, as the name of a file or the id of a row; "": nothing, for
            words speak for themselves.
        parts: its items; several if their mean was searched with.
    """

    name: str
    parts: Sequence[Part]


class Hit(NamedTuple):
    """What a sheet says of a hit.

    Attributes:
        name: its id.
        modality: its modality.
        score: its score, a cosine, in three digits.
        facts: its metadata, field -> value; those that it lacks are left out.
        part: its picture or text.
    """

    name: str
    modality: str
    score: str
    facts: Mapping[str, str]
    part: Part


def check_sheet(path: Path, queries: int, k: int) -> None:
    """Checks before a search that its sheet can be made.

    Raises:
        UsageError: the file's name has another ending, or the hits are too many for a sheet.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"a sheet is a .png or .html file, but {path} is neither; name it so")
    if queries * k > MOST:
        raise UsageError(
            f"a sheet holds up to {MOST} hits, but {queries} x {k} are asked for; ask for fewer"
        )
    if path.suffix.lower() == ".png" and queries * -(-k // A_LINE) > LINES:
        raise UsageError(
            f"a .png holds up to {LINES} lines of {A_LINE} hits, but {queries} x {k} are asked "
            "for; ask for fewer, or for an .html"
        )


def write_sheet(path: Path, queries: Sequence[Query], hits: Hits, pictures: Pictures) -> None:
    """Writes the sheet of a search, whole or not at all.

    An HTML page is one file that loads nothing; a PNG shows as much, but of long names and texts
    only the beginning.

    Args:
        path: a file whose name ends in `.png` or `.html`.
        queries: Q queries.
        hits: their hits, `[Q][k]` each.
        pictures: shows the rows of the index that was searched.

    Raises:
        UsageError: as `check_sheet`, or jinja2 or matplotlib is not installed, or the file cannot
            be written.
    """
    check_sheet(path, len(queries), max((len(rows) for rows in hits.rows), default=0))
    found = [_hits(hits, number, pictures) for number in range(len(queries))]
    if path.suffix.lower() == ".html":
        searches = [
            {"name": query.name, "parts": _for_page(query.parts), "hits": each}
            for query, each in zip(queries, found, strict=True)
        ]
        files.write_text(path, render("search/sheet.html.jinja", searches=searches))
        return
    from jaxcmr.report.search.drawing import draw_sheet

    draw_sheet(path, queries, found, A_LINE)


def _hits(hits: Hits, number: int, pictures: Pictures) -> list[Hit]:
    """Returns the hits of one query."""
    columns = (hits.ids, hits.modalities, hits.scores, hits.metadata, hits.rows)
    return [
        Hit(str(name), str(modality), f"{score:.3f}", _facts(metadata), pictures.part(int(row)))
        for name, modality, score, metadata, row in zip(*(column[number] for column in columns))
    ]


def _facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Writes metadata in words."""
    return {field: _word(value) for field, value in metadata.items() if value is not None}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else shown(str(value), 200)


def _for_page(parts: Sequence[Part]) -> list[dict[str, str]]:
    return [part.for_page() for part in parts]
