"""A figure to draw on, independent of the user's settings of matplotlib."""

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from jaxcmr import fonts  # before matplotlib: it keeps a notebook's settings from failing
from jaxcmr.display import shown
from jaxcmr.storage.files import write_atomically

# isort: split
import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


@contextlib.contextmanager
def sheet(path: Path, names: Iterable[str], dpi: int) -> Iterator[Figure]:
    """Yields a figure to draw on, then writes it into `path`, whole or not at all.

    Fonts are chosen that have the letters of `names`; a letter that no font has is drawn as a box,
    and logged once.
    """
    letters = "".join(dict.fromkeys("".join(shown(name, 400) for name in names)))
    settings = {"font.family": list(fonts.families(letters))}
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently does not support)")
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)  # keeps what measures texts; else each text makes it anew
        yield figure
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi)
    if lacking := fonts.without_glyph(letters):
        logging.info(
            "%s: no installed font has %s; install one to see more than boxes",
            path.name,
            " ".join(lacking[:8]) + (" ..." if len(lacking) > 8 else ""),
        )
    write_atomically(path, lambda file: file.write(drawn.getvalue()))


def write(text: Text, name: str, width: float, columns: int = 60) -> None:
    """Shows a name as it is (`$` is no formula here), cut to `width` inches and `columns`."""
    text.set_parse_math(False)
    while columns > 1:
        text.set_text(shown(name, columns))
        taken = text.get_window_extent().width / text.get_figure().dpi
        if taken <= width:
            return
        columns = min(columns - 1, int(len(text.get_text()) * width / taken) + 1)


def legend(axes: Axes, handles: Sequence[Artist], names: Sequence[str], **options: Any) -> None:
    """Adds a legend that shows names as they are, also those that begin with `_`."""
    numbers = [str(number) for number in range(len(names))]
    drawn = axes.legend(handles, numbers, frameon=False, fontsize="small", **options)
    for text, name in zip(drawn.get_texts(), names):
        write(text, name, width=2.4)
