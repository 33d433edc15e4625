"""The spellings of the names of columns, arrays and splits.

A name is compared without regard to case, to blanks around it and to Unicode's composed and
decomposed forms.
"""

import unicodedata
from difflib import get_close_matches

from jaxcmr.data.own.missing import strip
from jaxcmr.display import quoted

# A column's canonical name -> how columns and arrays are spelled; an array's name comes first.
ROLES = {
    "label": ("labels", "label"),
    "true_label": ("true_labels", "true_label"),
    "id": ("ids", "id"),
    "split": ("split", "splits"),
    "group": ("groups", "group"),
}
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing"),
}


def tidy(text: str) -> str:
    """Returns a name as it is compared and shown: composed (NFC), without blanks around it."""
    return strip(unicodedata.normalize("NFC", text))


def column(name: str) -> str:
    """Returns the canonical name: `" Labels "` -> `"label"`, `"Image"` -> `"image"`."""
    name = tidy(name).lower()
    return next((role for role, names in ROLES.items() if name in names), name)


def split(name: str) -> str | None:
    """Returns the split that a text means (`" Val"` -> `"validation"`), or None."""
    name = tidy(name).lower()
    return next((ours for ours, names in SPLITS.items() if name in names), None)


def suggestion(name: str, known: tuple[str, ...]) -> str:
    """Returns `"; did you mean 'label'?"` if one of the known names is close, else nothing."""
    spelled = {tidy(text).lower(): text for text in known}
    close = get_close_matches(tidy(name).lower(), spelled, n=1, cutoff=0.75)
    return f"; did you mean {quoted(spelled[close[0]])}?" if close else ""
