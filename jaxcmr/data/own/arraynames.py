"""Reads the names of arrays: `train_image`, `val/labels`, `present_text`, `class_names`."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from jaxcmr.data.own import names
from jaxcmr.errors import UsageError

CLASSES = "class_names"
FLAGS = "present_"
ROLES = {role: spellings[0] for role, spellings in names.ROLES.items()}
_SCHEMA = (
    "; arrays are called train_labels, train_image, test_labels, ...; launch/prepare.py features "
    "renames those of a file"
)


class Names(NamedTuple):
    """Which array of a file is what.

    Attributes:
        parts: split, or "" for all rows -> role or modality -> the array's name.
        classes: the name of the class names' array; "": none.
        unused: names of arrays that are none of this.
    """

    parts: dict[str, dict[str, str]]
    classes: str
    unused: tuple[str, ...]

    def modalities(self) -> tuple[str, ...]:
        """Returns the names of the training set's modalities."""
        return _modalities(self.parts.get("train", self.parts.get("", {})))


def sort(keys: Iterable[str], file: str) -> Names:
    """Finds the role of every array of a file by its name.

    `<split>_<role or modality>`, where an HDF5 group may stand for the split (`train/image`); or
    the same without a split. Splits and roles may be spelled as people do (`val`, `label`), in any
    case. A modality is called what the training set calls it.

    Raises:
        UsageError: two arrays mean the same; labels are missing; a split has not the modalities of
            the training set; flags are those of no modality.
    """
    keys = list(keys)
    top = _common_group(keys)
    splits = {key: _split(key.removeprefix(top)) for key in keys}
    roles = {key: _role(key.removeprefix(top)) for key in keys}
    whole = [key for key in keys if not splits[key][0]]
    labelled = any(split and role == "labels" for split, role in splits.values())
    if labelled or (len(whole) < len(keys) and "labels" not in [roles[key] for key in whole]):
        found = _by_split({key: pair for key, pair in splits.items() if pair[0]}, keys, file)
        unused = [key for key in whole if roles[key] != CLASSES]
    else:
        pairs = [(role, key) for key, role in roles.items() if role != CLASSES]
        found, unused = {"": _distinct(pairs, file)}, []
        if "labels" not in found[""]:
            raise UsageError(
                f"{file} has no array 'labels', only {', '.join(keys) or 'none'}"
                f"{names.suggestion('labels', tuple(keys)) or _SCHEMA}"
            )
    classes = _distinct([(CLASSES, key) for key in whole if roles[key] == CLASSES], file)
    train = _modalities(found.get("train", found.get("", {})))
    if not train:
        raise UsageError(
            f"{file} has labels but no modality; see the schema in jaxcmr/data/README.md"
        )
    for split, part in found.items():
        if split and "split" in part:
            unused.append(part.pop("split"))
        unused += _check_part(split, part, train, file)
    return Names(found, classes.get(CLASSES, ""), tuple(unused))


def _common_group(keys: list[str]) -> str:
    """Returns the HDF5 groups ("data/") in which all arrays are, but for those that are a split."""
    top = ""
    while len(firsts := {key.removeprefix(top).partition("/")[0] for key in keys}) == 1:
        if not all("/" in key.removeprefix(top) for key in keys) or names.split(*firsts):
            break
        top += f"{firsts.pop()}/"
    return top


def _split(key: str) -> tuple[str, str]:
    """Returns split and role of `train_image`, `train/image`, ...; ("", role) without a split."""
    match = re.fullmatch(r"([^-_/.]+)[-_/.](.+)", names.tidy(key))
    split = names.split(match[1]) if match else None
    role = _role(match[2]) if split else CLASSES
    return ("", _role(key)) if role == CLASSES else (split, role)


def _role(text: str) -> str:
    """Returns "labels", ..., "present_<modality>", or the modality as it is spelled."""
    text = names.tidy(text.replace("/", "_"))
    role = names.column(text)
    if role in ROLES:
        return ROLES[role]
    if text.lower() in ("class_name", CLASSES):
        return CLASSES
    if text.lower().startswith(FLAGS):
        return FLAGS + text[len(FLAGS) :]
    return text


def is_role(name: str) -> bool:
    """Tells whether `_role`'s result is no modality."""
    return name in ROLES.values() or name.startswith(FLAGS)


def is_modality(name: str) -> bool:
    """Tells whether an array of this name, behind the split's, is a modality and nothing else."""
    role = _role(name)
    return role != CLASSES and not is_role(role)


def _modalities(part: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in part if not is_role(name))


def _by_split(splits: dict[str, tuple[str, str]], keys: list[str], file: str) -> dict[str, dict]:
    train = {role.lower(): role for split, role in splits.values() if split == "train"}
    found: dict[str, list[tuple[str, str]]] = {}
    for key, (split, role) in splits.items():
        found.setdefault(split, []).append((train.get(role.lower(), role), key))
    parts = {split: _distinct(found[split], file) for split in names.SPLITS if split in found}
    for split in ("train", "test", *parts):
        if "labels" not in parts.get(split, {}):
            alike = names.suggestion("labels", tuple(role for role, _ in found.get(split, [])))
            raise UsageError(f"{file} has no array {split}_labels, only {', '.join(keys)}{alike}")
    return parts


def _distinct(pairs: list[tuple[str, str]], file: str) -> dict[str, str]:
    """Returns role -> array; two arrays of one role, whatever their case, are a mistake."""
    found: dict[str, tuple[str, str]] = {}
    for role, key in pairs:
        other = found.setdefault(role.lower(), (role, key))[1]
        if other != key:
            raise UsageError(f"{file} has {other} and {key}, which mean the same; remove one")
    return dict(found.values())


def _check_part(split: str, part: dict[str, str], train: tuple[str, ...], file: str) -> list[str]:
    """Takes out of a part the modalities that the training set lacks, and returns their arrays."""
    others = [name for name in _modalities(part) if name not in train]
    for name in train:
        if name not in part:
            close = get_close_matches(name.lower(), others, 1, 0.6)
            alike = f"; is it {part[close[0]]}? give it one name in all splits" if close else ""
            raise UsageError(f"{file} has no {split} items of the modality {name!r}{alike}")
    owners = {name.lower(): name for name in (*train, *others)}
    for role in [role for role in part if role.startswith(FLAGS)]:
        owner = owners.get(role[len(FLAGS) :].lower())
        if owner is None:
            alike = names.suggestion(role[len(FLAGS) :], tuple(owners))
            raise UsageError(
                f"{file}: {part[role]} says which items are present of no modality that it has"
                f"{alike or '; it has ' + ', '.join(train)}"
            )
        part[FLAGS + owner] = part.pop(role)
    gone = [role for name in others for role in (name, FLAGS + name) if role in part]
    return [part.pop(role) for role in gone]
