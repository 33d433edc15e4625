"""What the arrays of a run's files are: anybody's file may have such a name."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.types import UNKNOWN

# Kind of dtype, and axes: N rows, K classes, V modalities, E members, any number k of neighbors, d
# of an embedding.
LABELS = {  # of `labels.npz`
    "class_names": ("U", "K"), "modalities": ("U", "V"), "ids": ("U", "N"), "split": ("U", "N"),
    "given": ("i", "N"), "true": ("i", "N"), "out_of_fold": ("b", "N"),
    "transition": ("f", "KK"), "predictions": ("f", "NK"), "raw_predictions": ("f", "NK"),
    "probabilities": ("f", "NK"), "agreement": ("f", "N"), "none_of_these": ("f", "N"),
    "member_classes": ("i", "NE"), "modality_classes": ("i", "NV"), "neighbors": ("i", "Nk"),
}  # fmt: skip
EMBEDDINGS = {  # of a file of `embeddings/`
    "class_names": ("U", "K"), "ids": ("U", "N"), "split": ("U", "N"), "modality": ("U", ""),
    "labels": ("i", "N"), "true_labels": ("i", "N"), "present": ("b", "N"),
    "embeddings": ("f", "Nd"),
}  # fmt: skip
LOWEST = {
    "true": UNKNOWN,
    "true_labels": UNKNOWN,
}  # of whole numbers; of the others -1, which is none
ABOUT = {"method": str, "members": int, "labels": str, "data": dict, "runs": list}


def fault(arrays: Mapping[str, np.ndarray], forms: Mapping[str, tuple[str, str]]) -> str:
    """Says what is wrong with the first of the arrays that has not its form; "": nothing.

    Whether numbers are finite is not looked at where they stay on the disk.
    """
    sizes: dict[str, int] = {}
    for name, (kind, axes) in forms.items():
        if name not in arrays:
            continue
        array = arrays[name]
        shape = array.shape
        if array.dtype.kind != kind and array.size:
            return f"{name} holds {array.dtype}"
        if len(shape) != len(axes) or any(
            sizes.setdefault(axis, size) != size for axis, size in zip(axes, shape)
        ):
            return f"{name} has the shape {list(shape)}"
        if kind == "f" and not isinstance(array, np.memmap) and not np.isfinite(array).all():
            return f"{name} holds a number that is not finite"
        most = sizes["N"] if name == "neighbors" else sizes["K"]
        if kind == "i" and array.size:
            low, high = array.min(), array.max()
            if low < LOWEST.get(name, -1) or high >= most:
                return f"{name} holds {low if high < most else high}"
    return ""


def fault_of_about(about: Any) -> str:
    """Says what is wrong with what made the table; "": nothing."""
    if not isinstance(about, dict):
        return f"about is a {type(about).__name__}"
    odd = [name for name, kind in ABOUT.items() if not isinstance(about.get(name, kind()), kind)]
    return f"about[{odd[0]!r}] is {about[odd[0]]!r:.50}" if odd else ""
