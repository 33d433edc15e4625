"""Checks every data set before anything is trained on it."""

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data.own.names import suggestion
from jaxcmr.data.splits import parts, present_rows
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits

_NAMES = {"train": "training", "test": "test", "validation": "validation"}


def check(splits: Splits, modalities: tuple[str, ...]) -> None:
    """Raises a `UsageError` that names the first thing wrong with the data.

    Checked: every split by `check_dataset`; a training sample for every class, if any training row
    has a label; the same classes, modalities and shapes in all splits; no id in two splits; of
    every modality a training item, and of two of them an item to test by. A class without items of
    a modality, training rows without any item or without a pair, and a modality without a test item
    are named in the log.
    """
    found = parts(splits)
    sets = {name: found[split] for split, name in _NAMES.items() if split in found}
    classes = splits.train.class_names
    for name, part in sets.items():
        check_dataset(part, f"the {name} set", modalities)
        if part.class_names != classes:
            raise UsageError(f"the {name} set has other classes than the training set")
        for modality in modalities:
            ours, theirs = (_shape(d.inputs[modality]) for d in (part, splits.train))
            if ours != theirs:
                raise UsageError(
                    f"{modality!r} items of the {name} set have the shape {ours}, those of the "
                    f"training set {theirs}; prepare both in the same way"
                )
    counts = _counts(splits.train.labels, len(classes))
    if counts.any() and len(classes) == 1:
        raise UsageError(
            f"all rows have the class {quoted(classes[0])}; at least two classes are needed"
        )
    if counts.any() and (counts == 0).any():  # where no row has a label, see `check_labelled`
        raise UsageError(_without_sample(int(np.argmin(counts)), list(sets.values())))
    _check_presence(sets, modalities)
    ids, times = np.unique(np.concatenate([p.ids for p in sets.values()]), return_counts=True)
    if (times > 1).any():
        twice = ids[times > 1][0]
        where = [name for name, part in sets.items() if (part.ids == twice).any()]
        raise UsageError(
            f"the id {quoted(str(twice))} is used twice, in the {' and the '.join(where)} set; ids "
            "must be unique over all sets"
        )


def check_labelled(train: Dataset, config: ConfigDict) -> None:
    """Raises a `UsageError` where a run needs labels, or a number of classes, and has none.

    Args:
        train: the training set of the run.
        config: the run's.
    """
    if config.labels != "absent" and (train.labels < 0).all():
        raise UsageError(
            "no training row has a label; give some rows theirs, or train without labels, as the "
            "configs romo_* do, with config.labels=absent"
        )
    if config.labels == "absent" and config.classes == 0 and len(train.class_names) < 2:
        raise UsageError(
            "no training row has a label, and the data name no two classes; give the number of "
            "clusters with config.classes, or -1 to estimate it"
        )


def _counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts the rows of each class, `[K]`."""
    return np.bincount(labels[labels >= 0], minlength=classes)


def _without_sample(number: int, sets: list[Dataset]) -> str:
    """Says why a class has no training sample: it may be named as a true label alone."""
    name = quoted(sets[0].class_names[number])
    given = any((part.labels == number).any() for part in sets)
    if not given and any(
        part.true_labels is not None and (part.true_labels == number).any() for part in sets
    ):
        return (
            f"the true label {name} is no row's label; name the classes alike in both, or leave "
            "out such rows"
        )
    return f"the class {name} has no sample in the training set; add some or remove the class"


def _check_presence(sets: dict[str, Dataset], modalities: tuple[str, ...]) -> None:
    """Checks which items are there at all, and names what cannot be learned or measured."""
    there = {name: {m: present_rows(part, m) for m in modalities} for name, part in sets.items()}
    for name, masks in there.items():
        empty = [m for m, mask in masks.items() if not mask.any()]
        if empty and (name == "training" or len(modalities) - len(empty) < 2):
            raise UsageError(
                f"no row of the {name} set has an item of the modality {empty[0]!r}, so nothing "
                f"can be {'learned about it' if name == 'training' else 'measured'}; give some "
                "rows theirs, or leave it out of config.data.modalities"
            )
        for m in empty:
            logging.warning("no row of the %s set has %r: nothing is measured by it", name, m)
        alone = int((np.sum(list(masks.values()), 0) == 0).sum())
        if alone:
            logging.warning("%d rows of the %s set have no item at all", alone, name)
    train, masks = sets["training"], there["training"]
    if len(masks) > 1 and not (np.sum(list(masks.values()), 0) > 1).any():
        logging.warning("no training row has a pair of items: nothing is learned from pairs")
    for m, mask in masks.items():
        if _all_alike(train.inputs[m], mask):
            logging.warning(
                "all items of %r in the training set are the same: nothing is learned from them", m
            )
        counts = _counts(train.labels[mask], len(train.class_names))
        if train.labels.max() >= 0 and (counts == 0).any():
            names = [repr(train.class_names[k]) for k in np.flatnonzero(counts == 0)]
            logging.warning(
                "no training item of %r in %d classes: %s", m, len(names), listed(names)
            )


def _all_alike(items, present: np.ndarray) -> bool:
    """Tells whether several items are there, all with the same numbers; not of what is on disk."""
    rows, leaves = np.flatnonzero(present), jax.tree.leaves(items)
    if len(rows) < 2 or not all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return False
    return all((leaf[row] == leaf[rows[0]]).all() for row in rows[1:] for leaf in leaves)


def check_dataset(dataset: Dataset, name: str, modalities: tuple[str, ...]) -> None:
    """Checks one split: lengths, labels, ids, flags, and that every number present is finite."""
    if len(dataset) == 0:
        raise UsageError(f"{name} has no sample")
    for modality in modalities:
        if modality not in dataset.inputs:
            raise UsageError(
                f"{name} has no modality {modality!r}, only {', '.join(dataset.inputs)}"
                f"{suggestion(modality, tuple(dataset.inputs))}; correct config.data.modalities"
            )
        mask = present_rows(dataset, modality)
        if mask.dtype != bool or mask.shape != (len(dataset),):
            raise UsageError(f"{name} has {len(dataset)} labels but {len(mask)} flags {modality!r}")
        for array in jax.tree.leaves(dataset.inputs[modality]):
            _check_array(array, mask, f"{modality!r} of {name}", dataset.ids)
    for kind, values in (("labels", dataset.labels), ("true labels", dataset.true_labels)):
        if values is None:
            continue
        if values.shape != (len(dataset),) or not np.issubdtype(values.dtype, np.integer):
            raise UsageError(
                f"{kind} of {name} must be one integer a row, not {values.dtype} {values.shape}"
            )
        least = -1 if kind == "labels" else 0  # -1: no label
        wrong = (values < least) | (values >= len(dataset.class_names))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UsageError(
                f"{kind} of {name} hold {values[row]} in row {row}, but there are "
                f"{len(dataset.class_names)} classes, 0 to {len(dataset.class_names) - 1}"
            )
    if len(dataset.ids) != len(dataset):
        raise UsageError(f"{name} has {len(dataset)} labels but {len(dataset.ids)} ids")


def _check_array(array: np.ndarray, present: np.ndarray, name: str, ids: np.ndarray) -> None:
    if len(array) != len(present):
        raise UsageError(f"{name} has {len(array)} rows, but there are {len(present)} labels")
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} is of type {array.dtype}; numbers are needed")
    # In pieces: isfinite of the whole would need as much memory again.
    for start in range(0, len(array), 4096) if array.dtype.kind == "f" else ():
        piece = array[start : start + 4096]
        bad = ~np.isfinite(piece).reshape(len(piece), -1).all(1) & present[start : start + 4096]
        if bad.any():
            row = start + int(np.argmax(bad))
            raise UsageError(
                f"{name} has a value that is not finite in row {row} ({ids[row]}); repair it, or "
                "mark the item as missing"
            )


def _shape(items) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in jax.tree.leaves(items)]
