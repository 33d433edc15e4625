"""Makes classes of labels of any form: one-hot, columns, floats, names, from 0 or from 1."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
from absl import logging

from jaxcmr.data.own.missing import WORDS, missing
from jaxcmr.data.own.names import suggestion, tidy
from jaxcmr.display import quoted
from jaxcmr.errors import UsageError
from jaxcmr.storage.numpyfiles import as_text

_LARGEST = 2**53  # whole numbers up to here are exact in every type
_NOTHING = np.iinfo(np.int64).min  # among whole numbers, where there is no label
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?[0-9]+\.[0-9]+")
NAMED = 5  # groups that the line names
# Letters of other scripts that look like Latin ones, once all are small.
_LATIN = str.maketrans("авеѕіјкмнорԛстухѵαειορτυνκ", "abesijkmhopqctyxvaeioptuvk")
# Names that may stand for no label, beside the words of `missing` in other cases.
_DOUBTFUL = frozenset((
    "-1", "inf", "-inf", "infinity", "-infinity", "?", "-", "--", ".", "n.a.", "missing", "unknown",
    "unlabeled", "unlabelled",
))  # fmt: skip
# A whole number as people and spreadsheets write it: "+1", "1,0", "1e+05".
_WHOLE = re.compile(r"([+-]?[0-9]+)(?:[.,]0+)?((?:e[+]?[0-9]{1,2})?)")
_BLANK = re.compile(r"[\s_\-]+")


def unify(
    labels: Mapping[str, np.ndarray], class_names: tuple[str, ...], name: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...], str]:
    """Makes the labels of all splits int32, from 0, over the same classes.

    One-hot rows become their index; columns become vectors; whole floats become integers. Without
    `class_names` the classes are the different labels, in the order of the numbers or, if one is
    no number, of the alphabet, and keep the names that they have in the file. With `class_names` a
    text becomes its place among them; numbers count from 0, or from 1 if the largest is K and 0
    occurs in no split. Rows without a label (`without_label`) have -1.

    Args:
        labels: split -> labels as read.
        class_names: the K names, or () if they are not known.

    Returns:
        The labels by split, the class names, and what was done, in words.

    Raises:
        UsageError: labels that are none of this, or of which nobody knows whether they are any.
    """
    done = []
    names = _checked(class_names, name)
    flat = {
        split: _flatten(array, f"{name}: the {split} labels", done)
        for split, array in labels.items()
    }
    if any(array.dtype.kind == "U" for array in flat.values()):
        done.append("text")
        values = clean(np.concatenate([_as_names(array) for array in flat.values()]))
        none = without_label(values) & ~np.isin(values, names)
        _check_words(flat, values, (*names, ""), name)
        found, counts = np.unique(values[~none], return_counts=True)
        if not names:
            warn_of_look_alikes(dict(zip(found.tolist(), counts.tolist())), name)
        names = names or _in_order(found.tolist(), name)
        place = {label: index for index, label in enumerate(names)}
        if unknown := [label for label in found.tolist() if label not in place]:
            raise UsageError(
                f"{name}: the label {quoted(unknown[0])} is none of the class names"
                f"{suggestion(unknown[0], names)}"
            )
        known = np.array([place[label] for label in values[~none].tolist()], np.int32)
    else:
        values = np.concatenate(list(flat.values()))
        none = (values == _NOTHING) | without_label(values)
        known, names = _coded_numbers(values[~none], names, name, done)
    coded = np.full(len(values), -1, np.int32)
    coded[~none] = known
    ends = np.cumsum([len(array) for array in flat.values()])[:-1]
    said = ", ".join(dict.fromkeys(done)) or "integers from 0"
    return dict(zip(flat, np.split(coded, ends))), names, said


def without_label(labels: np.ndarray) -> np.ndarray:
    """Tells which labels of any shape are none: empty texts, NaN, and -1 beside numbers from 0.

    Where no label is 0, -1 may be a class, as in -1 and 1. Texts are those of `clean`.
    """
    if labels.dtype.kind == "U":
        empty, numbers = labels == "", {text for text in labels.ravel().tolist() if text}
        counted = "0" in numbers and all(map(_NUMBER.fullmatch, numbers))
        return empty | (labels == "-1") if counted else empty
    counted = labels.dtype.kind in "if" and (labels == 0).any()
    return missing(labels) | (labels == -1) if counted else missing(labels)


def clean(labels: np.ndarray) -> np.ndarray:
    """Writes names alike: composed (NFC), without blanks around them, `1.0` as `1`.

    Decimals stay as they are if one of them is no whole number: "1.0" beside "1.5" is a name.
    """
    found, inverse = np.unique(as_text(np.asarray(labels)).astype(str), return_inverse=True)
    names = [tidy(text) for text in found.tolist()]
    decimals = [text for text in names if _DECIMAL.fullmatch(text)]
    if decimals and all(not text.partition(".")[2].strip("0") for text in decimals):
        names = [text.partition(".")[0] if text in decimals else text for text in names]
    return np.array(names, np.str_)[inverse].reshape(np.shape(labels))


def _coded_numbers(values: np.ndarray, names: tuple[str, ...], name: str, done: list[str]):
    """Returns the classes of whole numbers and their names."""
    found, coded = np.unique(values, return_inverse=True)
    low, high = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
    if low < 0:
        raise negative_label(low, name)
    if not names:
        done += [f"counted from {low}"] if low > 0 else []
        return coded.astype(np.int32), tuple(str(label) for label in found.tolist())
    base = int(low == 1 and high == len(names))
    done += ["counted from 1"] if base else []
    if high - base >= len(names):
        raise UsageError(f"{name}: the label {high} exceeds the {len(names)} class names")
    return (values - base).astype(np.int32), names


def _in_order(found: list[str], name: str) -> tuple[str, ...]:
    """Sorts class names: whole numbers by their value, others by the alphabet."""
    if not all(map(_NUMBER.fullmatch, found)):
        return tuple(found)
    found = sorted(found, key=int)
    if found and int(found[0]) < 0:
        raise negative_label(found[0], name)
    return tuple(found)


def negative_label(label: int | str, name: str) -> UsageError:
    return UsageError(
        f"{name}: the label {label} is negative; number the classes from 0 or 1, and write -1, "
        "beside classes from 0, or nothing for no label"
    )


def _checked(class_names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Returns the given class names as they are compared; no two may be the same."""
    names = tuple(tidy(text) for text in class_names)
    for place, text in enumerate(names):
        if not text:
            raise UsageError(f"{name}: number {place} of the class names is empty; name it")
        if text in names[:place]:
            raise UsageError(f"{name}: the class name {quoted(text)} occurs twice; rename one")
    return names


def _as_names(array: np.ndarray) -> np.ndarray:
    """Returns labels as text, "" where there is none."""
    texts = array.astype(str)
    return np.where(array == _NOTHING, "", texts) if array.dtype.kind == "i" else texts


def _check_words(flat, values: np.ndarray, names: tuple[str, ...], name: str) -> None:
    """Refuses words that may stand for no label, or be the name of a class not among `names`."""
    lost = np.flatnonzero(missing(values) & ~np.isin(values, names))
    if not len(lost):
        return
    value, ends = str(values[lost[0]]), np.cumsum([len(array) for array in flat.values()])
    place = int(np.searchsorted(ends, lost[0], "right"))
    split, array = list(flat.items())[place]
    row = int(lost[0] - ends[place]) + len(array)
    raise UsageError(
        f"{name}: the {split} labels have {quoted(value)} in row {row}, which may stand for no "
        "label; then leave it empty, or, if it is the name of a class, list it in class_names"
    )


def _flatten(array: np.ndarray, name: str, done: list[str]) -> np.ndarray:
    """Returns one label a row, `[N]`: text, truth values or whole numbers (NaN: `_NOTHING`)."""
    array = np.asarray(array)
    kind = array.dtype.kind
    if kind not in "fiubUS":
        raise UsageError(f"{name} are of type {array.dtype}; save numbers or text")
    if kind == "f":
        _check_whole(array, name)
    if array.ndim > 2 or (array.ndim == 2 and min(array.shape) > 1 and kind in "US"):
        raise UsageError(f"{name} have the shape {list(array.shape)}; one label a row is needed")
    if array.ndim == 2 and min(array.shape) > 1:
        if not (np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()):
            why, empty = "rows with several labels are not supported", np.flatnonzero(~array.any(1))
            if len(empty):
                why = f"row {empty[0]} has no class: leave it out"
            shape = list(array.shape)
            raise UsageError(f"{name} have the shape {shape} but are not one-hot; {why}")
        done.append("one-hot")
        return array.argmax(1)
    if kind in "US":
        return as_text(array).ravel()
    if kind == "b":
        return array.ravel()
    none, numbers = missing(array).ravel(), array.ravel()
    there = numbers[~none]
    if there.size and max(-int(there.min()), int(there.max())) > _LARGEST:
        raise UsageError(f"{name} hold a number beyond 2**53, which is too large for a class")
    return np.where(none, _NOTHING, np.where(none, 0, numbers).astype(np.int64))


def _check_whole(array: np.ndarray, name: str) -> None:
    array = array[~missing(array)]
    wrong = array[~np.isfinite(array) | (array != np.floor(array))]
    if wrong.size:
        raise UsageError(f"{name} must be whole numbers, found {wrong.flat[0]}")


def skeleton(name: str) -> str:
    """Reduces a name to what it looks like: small, compatible forms (NFKC), no blanks or zeros."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    if number := _WHOLE.fullmatch(text.strip().replace("\u2212", "-")):  # the minus sign
        return f"{Decimal(number[1] + number[2]):f}"
    return _BLANK.sub("", text).translate(_LATIN)


def warn_of_look_alikes(counts: Mapping[str, int], name: str) -> None:
    """Names in one line the classes that look alike, or like a missing value; they stay apart.

    `counts` says how often a class occurs in given and true labels.
    """
    alike: dict[str, list[str]] = {}
    for label in counts:
        alike.setdefault(skeleton(label), []).append(label)
    times = lambda label, text: f"{text} ({counts[label]} times)"
    groups = [group for group in alike.values() if len(group) > 1]
    found = [" and ".join(times(label, ascii(label)) for label in group) for group in groups]
    if found:
        logging.warning(
            "%s: %d groups of class names look alike, but count as different classes: %s; correct "
            "the labels if they are the same", name, len(found), "; ".join(found[:NAMED]),
        )  # fmt: skip
    nothing = {word.casefold() for word in WORDS} | _DOUBTFUL
    doubtful = [label for label in counts if label.casefold() in nothing and label not in WORDS]
    if doubtful:
        logging.warning(
            "%s: %s is taken for the name of a class; leave it empty if it stands for no label",
            name, " and ".join(times(label, repr(label)) for label in doubtful),
        )  # fmt: skip
