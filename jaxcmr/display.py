"""Shows a user's names in terminals and pictures: on one line, of limited width."""

import unicodedata
from collections.abc import Mapping, Sequence

# Invisible, but part of how a name is written: joiners of letters and of emoji.
_JOINERS = "\u200c\u200d"
_NO_WIDTH = ("Mn", "Me", "Cf")
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, lone surrogate, line, paragraph


def shown(name: str, width: int = 40) -> str:
    r"""Returns a name as one line of at most `width` columns, a longer one cut with an ellipsis.

    What would break the line or the terminal (newlines, escapes, marks that turn the direction of
    what follows) is written as in Python, `\n`. Letters of any script, emoji, `$` and backslashes
    stay as they are.
    """
    text = "".join(_visible(letter) for letter in unicodedata.normalize("NFC", name))
    if columns(text) <= width:
        return text
    kept, taken = "", 0
    for letter in text:
        taken += columns(letter)
        if taken > width - 1:
            break
        kept += letter
    return kept.rstrip(_JOINERS) + "…"


def quoted(text: str) -> str:
    """Returns a text as `shown`, in quotes."""
    return f"'{shown(text)}'"


def listed(texts: Sequence[str], most: int = 5) -> str:
    """Returns texts in a row, of more than `most` the first and how many others there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def shown_direction(direction: str) -> str:
    """Returns `image->text` with both names as `shown`."""
    source, arrow, target = direction.partition("->")
    return shown(source, 24) + arrow + shown(target, 24)


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """Returns a line a reason, and the directions that are not measured for it."""
    lines: dict[str, list[str]] = {}
    for direction, reason in reasons.items():
        lines.setdefault(reason, []).append(shown_direction(direction))
    return [f"{', '.join(names)}: not measured, {reason}" for reason, names in lines.items()]


def columns(text: str) -> int:
    """Returns how many columns of a terminal a text takes: Chinese letters and emoji are two."""
    marks = lambda c: unicodedata.combining(c) or unicodedata.category(c) in _NO_WIDTH
    drawn = [letter for letter in text if not marks(letter)]
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in drawn)


def padded(text: str, width: int) -> str:
    """Fills a text up with blanks to `width` columns."""
    return text + " " * (width - columns(text))


def _visible(letter: str) -> str:
    if letter in _JOINERS or unicodedata.category(letter) not in _HIDDEN:
        return letter
    return letter.encode("unicode_escape").decode()
