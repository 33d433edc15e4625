"""From what a source delivers to what a run trains on: noise, then the validation split."""

import numpy as np
from ml_collections import ConfigDict

from jaxcmr.errors import UsageError
from jaxcmr.labels import noise
from jaxcmr.types import Dataset, Splits

# Noise is drawn from default_rng(seed): with the same generator here, the rows held out would be
# the very rows whose labels are wrong.
SPLIT_STREAM = 1


def inject(train: Dataset, config: ConfigDict) -> noise.NoiseRecord:
    """Draws the noise of `config.noise` over the labels of a whole set."""
    classes = train.class_names
    if config.kind == "file":
        if not config.file:
            raise UsageError("config.noise.kind is 'file'; say which with config.noise.file")
        return noise.from_file(config.file, train.labels, len(classes), key=config.key or None)
    class_map = None
    if config.class_map == "rono":
        class_map = noise.class_map_from_names(noise.RONO_MODELNET10_MAP, classes)
    elif config.class_map:
        raise UsageError(
            f"config.noise.class_map is {config.class_map!r}; use 'rono' for RONO's map of "
            "ModelNet10, or '' for the next class"
        )
    return noise.inject(
        train.labels,
        len(classes),
        kind=config.kind,
        rate=config.rate,
        seed=config.seed,
        class_map=class_map,
    )


def split_validation(train: Dataset, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws which rows train and which validate: `round(share N)` rows, uniformly.

    The rows are drawn after the noise and without regard to labels, so that the validation set
    carries the same noise.

    Returns:
        The rows that train and the rows that validate, both ascending.
    """
    order = np.random.default_rng([seed, SPLIT_STREAM]).permutation(len(train))
    held_out = round(share * len(train))
    if not 2 <= held_out < len(train):
        raise UsageError(
            f"config.data.validation is {share}, which leaves {held_out} of {len(train)} rows to "
            "choose the best epoch by; raise it"
        )
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def prepare(
    splits: Splits, config: ConfigDict
) -> tuple[noise.NoiseRecord, Dataset, Dataset, dict[str, np.ndarray]]:
    """Applies noise and split.

    A source's own validation set gets a draw of the same process; otherwise one is held out.

    Returns:
        The noise record of the source's training rows; the training set; the validation set; and
        which of these rows train and which validate, with their `ids`, for `split.npz`.
    """
    source = splits.train
    record = inject(source, config.noise)
    noisy = source.with_labels(record.labels)
    ids = source.ids.astype(np.str_)
    if splits.validation is not None:
        rows = {"train": np.arange(len(source)), "validation": np.arange(0), "ids": ids}
        return record, noisy, _official(splits.validation, config.noise), rows
    train_rows, validation_rows = split_validation(source, config.data.validation, config.data.seed)
    rows = {"train": train_rows, "validation": validation_rows, "ids": ids}
    return record, noisy.rows(train_rows), noisy.rows(validation_rows), rows


def _official(validation: Dataset, config: ConfigDict) -> Dataset:
    """Puts noise into a source's own validation set."""
    own = config.copy_and_resolve_references()
    own.seed, own.key = config.seed + 1, config.validation_key
    if config.kind == "file" and not config.validation_key:
        raise UsageError(
            "the data have a validation set of their own; name its labels in config.noise.file "
            "with config.noise.validation_key"
        )
    return validation.with_labels(inject(validation, own).labels)
