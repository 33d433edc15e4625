"""Puts noise into the labels of a data set and splits off the validation set that a run needs."""

import dataclasses

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import noise
from jaxcmr.data import heldout
from jaxcmr.errors import UsageError
from jaxcmr.types import UNKNOWN, Dataset, Splits

# Noise is drawn from default_rng(seed): with the same generator here, the rows held out would be
# the very rows whose labels are wrong.
SPLIT_STREAM = 1


def prepare(
    splits: Splits, config: ConfigDict, drawn: noise.NoiseRecord | None = None
) -> tuple[noise.NoiseRecord, Dataset, Dataset | None, dict[str, np.ndarray]]:
    """Puts noise into the labels of the training set, then splits off the validation set.

    A source's own validation set gets a draw of the same process; otherwise one is held out. If
    `config.labels` is "absent", no label is left in what trains, and there is nothing to choose an
    epoch by: every row trains, and there is no validation set.

    Where the source knows no `true_labels` and noise is put in, the labels before the noise
    become the true ones of both sets, for reports.

    Args:
        splits: what the source delivers.
        config: the run's.
        drawn: noise of the training rows that is drawn already (`open_classes.take_out`), of which
            a source's own validation set has none.

    Returns:
        The noise record of the source's training rows; the training set; the validation set, if
        there is one; and which of these rows train and which validate, with their `ids`, for
        `split.npz`.
    """
    source = splits.train
    record = inject(source, config.noise) if drawn is None else drawn
    rows = {"train": np.arange(len(source)), "validation": np.arange(0)}
    rows["ids"] = source.ids.astype(np.str_)
    if config.labels == "absent":
        # The labels as given serve reports where no better ones are known.
        truth = _before(record) if source.true_labels is None else source.true_labels
        without = np.full(len(source), -1, np.int32)
        train = dataclasses.replace(source, labels=without, true_labels=truth)
        return record, train, None, rows
    noisy = _with_noise(source, record)
    if splits.validation is not None:
        official = splits.validation
        official = _official(official, config.noise) if drawn is None else official
        return record, noisy, official, rows
    rows["train"], rows["validation"] = draw_validation(
        len(source), source.links, config.data.validation, config.data.seed
    )
    train, validation = noisy.rows(rows["train"]), None
    if len(rows["validation"]):
        validation = noisy.rows(rows["validation"])
        _warn_of_lost_classes(noisy, train, validation)
    return record, train, validation, rows


def inject(train: Dataset, config: ConfigDict) -> noise.NoiseRecord:
    """Draws the noise of `config.noise` over the labels of a whole set."""
    classes, modalities = train.class_names, train.modalities if config.per_modality else ()
    if config.kind == "file":
        if not config.file:
            raise UsageError("config.noise.kind is 'file'; say which with config.noise.file")
        names = {"key": config.key or None, "modalities": modalities, "class_names": classes}
        return noise.from_file(config.file, train.labels, len(classes), **names)
    if config.class_map and config.class_map != "rono":
        raise UsageError(
            f"config.noise.class_map is {config.class_map!r}; use 'rono' for RONO's map of "
            "ModelNet10, or '' for the next class"
        )
    class_map = None
    if config.class_map:
        class_map = noise.class_map_from_names(noise.RONO_MODELNET10_MAP, classes)
    draw = {"kind": config.kind, "rate": config.rate, "seed": config.seed, "class_map": class_map}
    return noise.inject(train.labels, len(classes), **draw, modalities=modalities)


def _with_noise(source: Dataset, record: noise.NoiseRecord) -> Dataset:
    """Replaces the labels as given by those of the record: `[N]`, or a column a modality.

    The labels before the noise are the truth, unless the source knows better. Where nothing was
    put in (a drawn rate of 0) they are no truer than before.
    """
    truth = source.true_labels
    if truth is None and (record.kind == "file" or record.rate > 0):
        truth = _before(record)
    labels = record.labels if record.shared else record.labels.T
    return dataclasses.replace(source, labels=labels, true_labels=truth)


def _before(record: noise.NoiseRecord) -> np.ndarray:
    """Returns the labels before the noise as true ones: of a row without any nobody knows it."""
    given = record.labels if record.shared else record.labels.max(0)
    none = (record.true_labels < 0) & (given < 0)
    return np.where(none, UNKNOWN, record.true_labels).astype(np.int32)


def _official(validation: Dataset, config: ConfigDict) -> Dataset:
    """Puts noise into a source's own validation set."""
    settings = config.copy_and_resolve_references()
    settings.seed, settings.key = config.seed + 1, config.validation_key
    if config.kind == "file" and not config.validation_key:
        raise UsageError(
            "the data have a validation set of their own; name its labels in config.noise.file "
            "with config.noise.validation_key"
        )
    return _with_noise(validation, inject(validation, settings))


def draw_validation(
    rows: int, links: heldout.Links, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws which of `N = rows` rows train, and which `round(share N)` validate, uniformly.

    The rows are drawn after the noise and without regard to labels, so that the validation set
    carries the same noise. Rows that are linked stay together (`heldout.draw`); without links the
    number is exact. A share of 0 leaves all rows to training, and nothing to choose by.

    Returns:
        The rows that train and the rows that validate, both ascending.
    """
    order = np.random.default_rng([seed, SPLIT_STREAM]).permutation(rows)
    wanted = round(share * rows)
    if wanted >= rows > 0:
        raise UsageError(
            f"config.data.validation is {share}, which leaves 0 of {rows} rows to train on; "
            "lower it"
        )
    if share > 0 and wanted < 2:
        raise UsageError(
            f"config.data.validation is {share}, which leaves {wanted} of {rows} rows to "
            "choose the best epoch by; raise it"
        )
    validation = heldout.draw(order, wanted, heldout.cut(links, rows), np.arange(0))
    if share > 0 and len(validation) < 2:
        raise UsageError(
            "the training rows belong together in groups too large to keep one for validation; "
            "split the groups, name validation rows in a column or an array 'split', or set "
            "config.data.validation to 0"
        )
    return np.setdiff1d(np.arange(rows), validation), np.sort(validation)


def _warn_of_lost_classes(source: Dataset, train: Dataset, validation: Dataset) -> None:
    """Warns of what the draw of the validation rows, which does not look at labels, takes away."""
    given = validation.labels[validation.labels >= 0]
    if len(given) and len(np.unique(given)) < 2:
        logging.warning(
            "all %d validation rows have the same label, so that they tell no epoch from another; "
            "raise config.data.validation", len(validation),
        )  # fmt: skip
    lost = np.setdiff1d(source.labels[source.labels >= 0], train.labels)
    if len(lost):
        logging.warning(
            "all rows of %d of %d classes validate, and none is left to train on (such as %r); "
            "lower config.data.validation, or name the split of every row",
            len(lost), len(source.class_names), source.class_names[lost[0]],
        )  # fmt: skip
