"""Class names that a person takes for one and the same."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from absl import logging

from jaxcmr.data.own.missing import WORDS

NAMED = 5  # groups that the line names
# Letters of other scripts that look like Latin ones, once all are small.
_LATIN = str.maketrans("авеѕіјкмнорԛстухѵαειορτυνκ", "abesijkmhopqctyxvaeioptuvk")
# Names that may stand for no label, beside the words of `missing` in other cases.
_DOUBTFUL = frozenset((
    "inf", "-inf", "infinity", "-infinity", "?", "-", "--", ".", "n.a.", "missing", "unknown",
    "unlabeled", "unlabelled",
))  # fmt: skip
# A whole number as people and spreadsheets write it: "+1", "1,0", "1e+05".
_WHOLE = re.compile(r"([+-]?[0-9]+)(?:[.,]0+)?((?:e[+]?[0-9]{1,2})?)")
_BLANK = re.compile(r"[\s_\-]+")


def skeleton(name: str) -> str:
    """Reduces a name to what it looks like: small, compatible forms (NFKC), no blanks or zeros."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    if number := _WHOLE.fullmatch(text.strip().replace("\u2212", "-")):  # the minus sign
        return f"{Decimal(number[1] + number[2]):f}"
    return _BLANK.sub("", text).translate(_LATIN)


def warn_of_look_alikes(counts: Mapping[str, int], name: str) -> None:
    """Names in one line the classes that look alike, or like a missing value; they stay apart.

    Args:
        counts: class -> how often it occurs, in given and true labels.
        name: of the file.
    """
    alike: dict[str, list[str]] = {}
    for label in counts:
        alike.setdefault(skeleton(label), []).append(label)
    found = [
        " and ".join(f"{label!a} ({counts[label]} times)" for label in group)
        for group in alike.values()
        if len(group) > 1
    ]
    if found:
        logging.warning(
            "%s: %d groups of class names look alike, but count as different classes: %s; correct "
            "the labels if they are the same", name, len(found), "; ".join(found[:NAMED]),
        )  # fmt: skip
    nothing = {word.casefold() for word in WORDS} | _DOUBTFUL
    doubtful = [label for label in counts if label.casefold() in nothing and label not in WORDS]
    if doubtful:
        logging.warning(
            "%s: %s is taken for the name of a class; leave out the row if it stands for no label",
            name, " and ".join(f"{label!r} ({counts[label]} times)" for label in doubtful),
        )  # fmt: skip
