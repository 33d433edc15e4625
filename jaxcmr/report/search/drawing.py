"""A contact sheet as a PNG: each query begins a line, with its hits beside and below it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxcmr.packages import Later
from jaxcmr.report import canvas  # before matplotlib, which it imports with care
from jaxcmr.report.items.part import Part
from jaxcmr.report.items.thumbnails import SIDE

# isort: split
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from jaxcmr.report.search.sheet import Hit, Query

Image = Later("PIL.Image")
DPI = 100
BOX = SIDE + 8  # pixels of the frame around an item
GAP, EDGE = 16, 16  # pixels between cells, and around them
LINE = 15  # pixels of a line of text
FACTS = 3  # fields of the metadata that have room
PARTS = 4  # items of a query that have room
LETTERS = 25  # of words in a line
INK, SOFT, FRAME, QUERY = "#1a2129", "#4d5966", "#c9d0d8", "#0b57b7"


def draw_sheet(
    path: Path, queries: Sequence[Query], hits: Sequence[Sequence[Hit]], a_line: int
) -> None:
    """Draws queries and their hits `[Q][k]`, `a_line` of them in a line; whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    facts = min(max((len(hit.facts) for each in hits for hit in each), default=0), FACTS)
    step = BOX + (2 + facts) * LINE + GAP
    parts = [query.parts[:PARTS] for query in queries]
    lines = [max(-(-len(each) // a_line), len(shown)) for shown, each in zip(parts, hits)]
    columns = 1 + min(max(map(len, hits), default=0), a_line)
    with canvas.sheet(path, _texts(queries, hits), DPI) as figure:
        figure.set_layout_engine("none")
        width = 2 * EDGE + columns * (BOX + GAP) - GAP
        height = sum(lines) * step + 2 * EDGE + GAP * (len(lines) - 1)
        figure.set_size_inches(width / DPI, height / DPI)
        top = height - EDGE
        for number, (query, each, count) in enumerate(zip(queries, hits, lines)):
            if number:
                _add(figure, Line2D([EDGE, width - EDGE], [top + GAP] * 2, color=FRAME, lw=1))
            for line, part in enumerate(parts[number]):
                below = ([query.name] if query.name and not line else []) + [part.modality]
                _cell(figure, EDGE, top - line * step, part, below, QUERY)
            for place, hit in enumerate(each):
                line, column = divmod(place, a_line)
                left = EDGE + (column + 1) * (BOX + GAP)
                _cell(figure, left, top - line * step, hit.part, _said(hit)[: 2 + facts], FRAME)
            top -= count * step + GAP


def _said(hit: Hit) -> list[str]:
    """Returns the lines below a hit."""
    facts = [f"{field}: {value}" for field, value in hit.facts.items()]
    return [f"{hit.score}  {hit.modality}", hit.name, *facts]


def _texts(queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> Iterator[str]:
    """Yields all that is written, for the choice of fonts."""
    parts = [part for query in queries for part in query.parts]
    for each in hits:
        for hit in each:
            yield from _said(hit)
            parts.append(hit.part)
    for part in parts:
        yield part.modality
        yield part.note if part.kind == "picture" else part.data or part.note
    yield from (query.name for query in queries)


def _cell(
    figure: Figure, left: float, top: float, part: Part, below: Sequence[str], frame: str
) -> None:
    """Draws an item in a frame, its upper left corner at a place in pixels, and lines below it."""
    _add(figure, Rectangle((left, top - BOX), BOX, BOX, fill=False, edgecolor=frame))
    if part.kind == "picture":
        with Image.open(io.BytesIO(part.data)) as image:
            pixels = np.asarray(image.convert("RGB"))
        across, down = (BOX - pixels.shape[1]) // 2, (BOX - pixels.shape[0]) // 2
        figure.figimage(pixels, left + across, top - down - len(pixels))
    else:
        words = textwrap.wrap(part.data or part.note, LETTERS)[: (BOX - 8) // LINE]
        for number, line in enumerate(words):
            place = top - 6 - number * LINE
            _write(figure, left + 6, place, line, INK if part.data else SOFT, BOX - 12)
    for number, line in enumerate(below):
        _write(figure, left, top - BOX - 5 - number * LINE, line, SOFT if number else INK, BOX)


def _write(figure: Figure, left: float, top: float, name: str, color: str, width: int) -> None:
    """Writes a line of text, cut to a width in pixels."""
    text = figure.text(left, top, "", fontsize=8, va="top", color=color, transform=None)
    canvas.write(text, name, width / DPI)


def _add(figure: Figure, artist: Line2D | Rectangle) -> None:
    """Adds what is placed in pixels."""
    artist.set_transform(None)
    figure.add_artist(artist)
