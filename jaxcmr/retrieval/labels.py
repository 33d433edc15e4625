"""Checks the labels of queries and items and brings them into one form."""

from typing import Any

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError


def check_forms(query_labels: Any, gallery_labels: Any) -> None:
    """Raises a `UsageError` unless both are classes `[Q]`, `[G]` or multi-hot `[Q, C]`, `[G, C]`.

    A single column could be either, and is refused.
    """
    shapes = np.shape(query_labels), np.shape(gallery_labels)
    for name, shape in zip(("query_labels", "gallery_labels"), shapes):
        if len(shape) == 2 and shape[1] < 2:
            raise UsageError(
                f"{name} have shape {shape}: for one class a row give [{shape[0]}], as "
                f"{name}[:, 0]; multi-hot labels need two columns or more"
            )
    forms = [shape[1:] for shape in shapes if shape]
    if len(forms) != 2 or forms[0] != forms[1] or len(forms[0]) > 1:
        raise UsageError(
            f"query labels have shape {shapes[0]} and gallery labels {shapes[1]}; give [Q] and "
            "[G], or multi-hot [Q, C] and [G, C]"
        )


def paired_labels(query_labels: Any, gallery_labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels of both in one form: int32 codes, -1 for none, or multi-hot bool.

    Args:
        query_labels: `[Q]` whole numbers (a negative one is no label) or names, or multi-hot
            `[Q, C]` of 0 and 1.
        gallery_labels: `[G]` or `[G, C]`, likewise.

    Raises:
        UsageError: forms differ, or the labels are something else.
    """
    check_forms(query_labels, gallery_labels)
    query, gallery = guards.on_host(query_labels), guards.on_host(gallery_labels)
    if query.ndim == 2:
        return multi_hot(query, "query_labels"), multi_hot(gallery, "gallery_labels")
    query, gallery = _classes(query, "query_labels"), _classes(gallery, "gallery_labels")
    if len(query) and len(gallery) and (query.dtype.kind in "SU") != (gallery.dtype.kind in "SU"):
        raise UsageError(
            f"query_labels are {query.dtype} and gallery_labels {gallery.dtype}: give both as "
            "numbers or both as names"
        )
    both = np.concatenate([query, gallery])
    codes = np.unique(both, return_inverse=True)[1].astype(np.int32)
    if both.dtype.kind == "i":
        codes[both < 0] = -1
    return codes[: len(query)], codes[len(query) :]


def multi_hot(labels: Any, name: str) -> np.ndarray:
    """Returns multi-hot labels as bool.

    Raises:
        UsageError: they hold something else than 0 and 1.
    """
    host = guards.on_host(labels)
    if not guards.is_real(host) or not np.isin(host, (0, 1)).all():
        raise UsageError(
            f"{name} of shape {host.shape} are no multi-hot labels, of 0 and 1: for one class a "
            f"row give [{len(host)}]"
        )
    return host.astype(bool)


def _classes(labels: np.ndarray, name: str) -> np.ndarray:
    """Returns classes as int64 or as names."""
    if labels.dtype == object and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    whole = labels.dtype.kind in "bi" or (
        labels.dtype.kind in "uf"
        and np.array_equal(labels, np.round(labels))
        and (np.abs(labels) < 2**63).all()
    )
    if not whole and labels.dtype.kind not in "SU":
        raise UsageError(f"{name} are {labels.dtype} {labels[:3]}...: give whole numbers or names")
    return labels.astype(np.int64) if whole else labels
