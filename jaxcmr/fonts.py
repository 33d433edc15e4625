"""Finds the installed fonts that have the letters of a text: class names come in every script."""

import contextlib
import functools
import logging
import os
import sys
import unicodedata
from collections.abc import Iterator

from jaxcmr import packages

_speaks = logging.getLogger("matplotlib")
_level = _speaks.level
if "matplotlib" in sys.modules:
    import matplotlib
else:
    # A notebook sets its backend for every process that it starts; where that one is not installed,
    # the import fails. Pictures are drawn into files here, which needs none. Without a home folder
    # matplotlib works, but warns.
    _backend = os.environ.pop("MPLBACKEND", None)
    _speaks.setLevel(logging.ERROR)
    matplotlib = packages.load("matplotlib")
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = _backend

from matplotlib import font_manager, ft2font  # noqa: E402

_speaks.setLevel(_level)

FIRST = "DejaVu Sans"  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew, symbols
_NOT_DRAWN = ("Color", "Last Resort", "LastResort")  # bitmaps in colors; boxes for every letter


def families(text: str) -> tuple[str, ...]:
    """Returns `FIRST` and the families that have the letters of `text` that it lacks."""
    missing, chosen = _missing(text, font_manager.findfont(FIRST)), [FIRST]
    for name, file in _others() if missing else ():
        left = _missing(missing, file)
        if len(left) < len(missing):
            missing = left
            chosen.append(name)
        if not missing:
            break
    return tuple(chosen)


def best_file(text: str) -> str:
    """Returns the file of the one font that lacks the fewest letters of `text`."""
    first = font_manager.findfont(FIRST)
    if not _missing(text, first):
        return first
    files = [first, *(file for _, file in _others())]
    return min(files, key=lambda file: len(_missing(text, file)))


def without_glyph(text: str) -> str:
    """Returns the letters of `text` that no installed font has; they are drawn as boxes."""
    for _, file in [(FIRST, font_manager.findfont(FIRST)), *_others()]:
        text = _missing(text, file)
        if not text:
            break
    return text


def _others() -> Iterator[tuple[str, str]]:
    """Yields (family, file) of the installed upright fonts."""
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: entry.name):
        plain = entry.style == "normal" and entry.weight in (400, "normal", "regular")
        if plain and not any(word in entry.name for word in _NOT_DRAWN):
            yield entry.name, entry.fname


def _missing(text: str, file: str) -> str:
    """Returns the different letters of `text` that a font lacks; marks that are not drawn aside."""
    font = _opened(file)
    letters = [c for c in dict.fromkeys(text) if unicodedata.category(c) not in ("Cf", "Cc", "Mn")]
    return "".join(c for c in letters if font is None or not font.get_char_index(ord(c)))


@functools.lru_cache(maxsize=64)
def _opened(file: str) -> ft2font.FT2Font | None:
    try:
        return ft2font.FT2Font(file)
    except (OSError, RuntimeError):  # a broken file, or a kind that matplotlib cannot draw
        return None
