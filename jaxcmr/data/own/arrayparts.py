"""Brings the arrays of one split, or of a file without splits, to a row for each label."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.data.heldout import GROUP, held_out
from jaxcmr.data.own import arraynames, missing, names
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy, numpyfiles


def part(arrays: Mapping[str, np.ndarray], keys: Mapping[str, str], name: str) -> dict[str, Any]:
    """Brings what belongs to one split, or to all, to a row for each label.

    Args:
        arrays: by name; of items only the shape matters.
        keys: role or modality -> the array's name.

    Returns:
        Role or modality -> array: flags are booleans, ids and splits text, roles `[N]`.

    Raises:
        UsageError: an array has not as many rows as there are labels, or is no such role.
    """
    found = {}
    for role, key in keys.items():
        array = arrays[key]
        if arraynames.is_role(role):
            array = column(np.asarray(array))
        if role.startswith(arraynames.FLAGS):
            array = missing.flags(array, f"{name}: {key}")
        elif role in ("ids", "split"):
            array = _texts(array, f"{name}: {key}")
        if array.ndim != 1 and arraynames.is_role(role) and "label" not in role:
            raise UsageError(f"{name}: {key} has the shape {list(array.shape)}, not [N]")
        found[role] = array
    if found["labels"].ndim not in (1, 2):
        raise UsageError(
            f"{name}: {keys['labels']} has the shape {list(found['labels'].shape)}; labels must "
            "have a row each, [N]"
        )
    for role, array in found.items():
        if array.ndim and len(array) == found["labels"].shape[-1] != len(found["labels"]):
            raise UsageError(
                f"{name}: {keys['labels']} has the shape {list(found['labels'].shape)} for "
                f"{len(array)} rows of {keys[role]}; labels have a row each: save their transpose"
            )
        _check_rows(array, len(found["labels"]), f"{name}: {keys[role]}")
    return found


def splits_of(part: Mapping[str, Any], name: str, seed: int) -> np.ndarray:
    """Returns the split's name of every row of a `part` without splits in its arrays' names, `[N]`.

    Where it has no array `split`, the split is drawn with `seed`.

    Raises:
        UsageError: a split is none of ours, or has no row.
    """
    if not len(part["labels"]):
        raise UsageError(f"{name} has no row: its labels are empty")
    if "split" not in part:
        return held_out(part["labels"], seed, links_of(part))
    found, place = np.unique(part["split"], return_inverse=True)
    meant = [names.split(text) for text in found.tolist()]
    if None in meant:
        wrong = str(found[meant.index(None)])
        raise UsageError(f"{name}: the split {wrong!r} is none of {', '.join(names.SPLITS)}")
    named = np.array(meant, "U10")[place]
    for split in ("train", "test"):
        if split not in named:
            raise UsageError(f"{name} has no row whose split is {split!r}")
    return named


def links_of(part: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns what the rows of `part` have in common: their `groups`, if there are."""
    return {GROUP: numbered(part["groups"])} if "groups" in part else {}


def numbered(array: np.ndarray) -> np.ndarray:
    """Numbers groups `[N]`; a row without one has -1."""
    return np.where(missing.missing(array), -1, np.unique(array, return_inverse=True)[1])


def _check_rows(array: np.ndarray | lazy.LazyRows, rows: int, name: str) -> None:
    if array.ndim and len(array) == rows:
        return
    advice = ""
    if array.ndim == 2 and 1 != array.shape[1] == rows:
        advice = "; an item is a row: save its transpose"
    elif array.ndim > 2 and rows and len(array) % rows == 0:
        advice = f"; if each has {len(array) // rows} views, save them as [N, V, H, W, C]"
    raise UsageError(f"{name} has the shape {list(array.shape)} for {rows} labels{advice}")


def column(array: np.ndarray) -> np.ndarray:
    """Makes `[N]` of a column `[N, 1]`, or of a row `[1, N]`, as MATLAB has them."""
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def _texts(array: np.ndarray, name: str) -> np.ndarray:
    """Returns names `[N]`, such as ids, as text; each must be there."""
    array = numpyfiles.as_text(array)
    if array.ndim != 1 or array.dtype.kind not in "fiubU":
        held = f"{array.dtype} {list(array.shape)}"
        raise UsageError(f"{name} holds {held}; it must be text, and have a row each, [N]")
    lost = missing.missing(array)
    if lost.any():
        row = int(np.argmax(lost))
        raise UsageError(
            f"{name} has {str(array[row])!r} in row {row}, which is no name; fill it in"
        )
    return array.astype(str)
