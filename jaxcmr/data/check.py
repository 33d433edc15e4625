"""The checks that every data set passes before anything is trained on it."""

import jax
import numpy as np
from absl import logging

from jaxcmr.data.own.names import suggestion
from jaxcmr.display import quoted
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits

NAMED = 5  # classes that a message names


def check(splits: Splits, modalities: tuple[str, ...]) -> None:
    """Raises a `UsageError` that names the first thing wrong with the data.

    Checked: every split by `check_dataset`; a training sample for every class; the same classes,
    modalities and shapes in all splits; no id in two splits; of every modality a training item, and
    of two of them an item to test by. A class without items of a modality, training rows without
    any item or without a pair, and a modality without a test item are named in the log.
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
    if len(splits.train.class_names) == 1:
        raise UsageError(
            f"all rows have the class {quoted(splits.train.class_names[0])}; at least two classes "
            "are needed"
        )
    counts = np.bincount(splits.train.labels, minlength=len(splits.train.class_names))
    if (counts == 0).any():
        number = int(np.argmin(counts))
        empty = splits.train.class_names[number]
        if not any((part.labels == number).any() for part in parts.values()) and any(
            part.true_labels is not None and (part.true_labels == number).any()
            for part in parts.values()
        ):
            raise UsageError(
                f"the true label {quoted(empty)} is no row's label; name the classes alike in "
                "both, or leave out such rows"
            )
        raise UsageError(
            f"the class {quoted(empty)} has no sample in the training set; add some or remove the "
            "class"
        )
    _check_presence(parts, modalities)
    _check_ids({name: part.ids for name, part in parts.items()})


def _check_ids(ids: dict[str, np.ndarray]) -> None:
    found, times = np.unique(np.concatenate(list(ids.values())), return_counts=True)
    if (times == 1).all():
        return
    twice = found[times > 1][0]
    where = [name for name, own in ids.items() if (own == twice).any()]
    raise UsageError(
        f"the id {quoted(str(twice))} is used twice, in the {' and the '.join(where)} set; ids "
        "must be unique over all sets"
    )


def _check_presence(parts: dict[str, Dataset], modalities: tuple[str, ...]) -> None:
    """Checks which items are there at all, and names what cannot be learned or measured."""
    there = {
        name: {m: part.present.get(m, np.ones(len(part), bool)) for m in modalities}
        for name, part in parts.items()
    }
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
        alone = int((sum(mask.astype(int) for mask in masks.values()) == 0).sum())
        if alone:
            logging.warning("%d rows of the %s set have no item at all", alone, name)
    train, masks = parts["training"], there["training"]
    if len(masks) > 1 and not (sum(mask.astype(int) for mask in masks.values()) > 1).any():
        logging.warning("no training row has a pair of items: nothing is learned from pairs")
    for m, mask in masks.items():
        if _all_alike(train.inputs[m], mask):
            logging.warning("all items of %r in the training set are the same: nothing is "
                            "learned from them", m)  # fmt: skip
        counts = np.bincount(train.labels[mask], minlength=len(train.class_names))
        if (counts == 0).any():
            names = [train.class_names[k] for k in np.flatnonzero(counts == 0)]
            shown = ", ".join(map(repr, names[:NAMED])) + (", ..." if names[NAMED:] else "")
            logging.warning("no training item of %r in %d classes: %s", m, len(names), shown)


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
        mask = dataset.present.get(modality, np.ones(len(dataset), bool))
        if mask.dtype != bool or mask.shape != (len(dataset),):
            raise UsageError(f"{name} has {len(dataset)} labels but {len(mask)} flags {modality!r}")
        for array in jax.tree.leaves(dataset.inputs[modality]):
            _check_array(array, mask, f"{modality!r} of {name}", dataset.ids)
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


def _check_array(array: np.ndarray, present: np.ndarray, name: str, ids: np.ndarray) -> None:
    if len(array) != len(present):
        raise UsageError(f"{name} has {len(array)} rows, but there are {len(present)} labels")
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} is of type {array.dtype}; numbers are needed")
    if array.dtype.kind != "f":
        return
    # In pieces: isfinite of the whole would need as much memory again.
    for start in range(0, len(array), 4096):
        bad = ~np.isfinite(array[start : start + 4096]).reshape(len(present[start:][:4096]), -1)
        bad = bad.any(1) & present[start : start + 4096]
        if bad.any():
            row = start + int(np.argmax(bad))
            raise UsageError(
                f"{name} has a value that is not finite in row {row} ({ids[row]}); repair it, or "
                "mark the item as missing"
            )


def _shape(items) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in jax.tree.leaves(items)]
