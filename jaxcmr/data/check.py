"""The checks that every data set passes before anything is trained on it."""

import jax
import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits


def check(splits: Splits, modalities: tuple[str, ...]) -> None:
    """Raises a `UsageError` that names the first thing wrong with the data.

    Checked: every split by `check_dataset`; a training and a test sample for every class; the
    same classes, modalities and shapes in all splits; no id in two splits.
    """
    parts = {"training": splits.train, "test": splits.test, "validation": splits.validation}
    parts = {name: part for name, part in parts.items() if part is not None}
    for name, part in parts.items():
        check_dataset(part, f"the {name} set", modalities)
        if part.class_names != splits.train.class_names:
            raise UsageError(f"the {name} set has other classes than the training set")
        for modality in modalities:
            ours, theirs = (_shape(d.inputs[modality]) for d in (part, splits.train))
            if ours != theirs:
                raise UsageError(
                    f"{modality!r} items of the {name} set have the shape {ours}, those of the "
                    f"training set {theirs}; prepare both in the same way"
                )
    counts = np.bincount(splits.train.labels, minlength=len(splits.train.class_names))
    if (counts == 0).any():
        empty = splits.train.class_names[int(np.argmin(counts))]
        raise UsageError(
            f"the class {empty!r} has no sample in the training set; add some or remove the class"
        )
    ids = np.concatenate([part.ids for part in parts.values()])
    if len(np.unique(ids)) < len(ids):
        names, times = np.unique(ids, return_counts=True)
        raise UsageError(f"the id {str(names[times > 1][0])!r} is used twice; ids must be unique")


def check_dataset(dataset: Dataset, name: str, modalities: tuple[str, ...]) -> None:
    """Checks one split: lengths, labels, ids, and that every number is finite."""
    if len(dataset) == 0:
        raise UsageError(f"{name} has no sample")
    for modality in modalities:
        if modality not in dataset.inputs:
            raise UsageError(
                f"{name} has no modality {modality!r}, only {', '.join(dataset.inputs)}; "
                "correct config.data.modalities"
            )
        for array in jax.tree.leaves(dataset.inputs[modality]):
            _check_array(array, len(dataset), f"{modality!r} of {name}", dataset.ids)
    labels = [("labels", dataset.labels)]
    if dataset.true_labels is not None:
        labels.append(("true labels", dataset.true_labels))
    for kind, values in labels:
        if values.shape != (len(dataset),) or not np.issubdtype(values.dtype, np.integer):
            raise UsageError(
                f"{kind} of {name} must be one integer a row, not {values.dtype} {values.shape}"
            )
        wrong = (values < 0) | (values >= len(dataset.class_names))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UsageError(
                f"{kind} of {name} hold {values[row]} in row {row}, but there are "
                f"{len(dataset.class_names)} classes, 0 to {len(dataset.class_names) - 1}"
            )
    if len(dataset.ids) != len(dataset):
        raise UsageError(f"{name} has {len(dataset)} labels but {len(dataset.ids)} ids")
    for modality, mask in dataset.present.items():
        if len(mask) != len(dataset):
            raise UsageError(f"{name} has {len(dataset)} labels but {len(mask)} flags {modality!r}")


def _check_array(array: np.ndarray, length: int, name: str, ids: np.ndarray) -> None:
    if len(array) != length:
        raise UsageError(f"{name} has {len(array)} rows, but there are {length} labels")
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} is of type {array.dtype}; numbers are needed")
    if array.dtype.kind != "f":
        return
    # In pieces: isfinite of the whole would need as much memory again.
    for start in range(0, length, 4096):
        bad = ~np.isfinite(array[start : start + 4096])
        if bad.any():
            row = start + int(np.argmax(bad.reshape(len(bad), -1).any(1)))
            raise UsageError(
                f"{name} has a value that is not finite in row {row} ({ids[row]}); "
                "repair or remove the item"
            )


def _shape(items) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in jax.tree.leaves(items)]
