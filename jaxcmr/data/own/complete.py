"""Fills in the fields of a config that depend on your own data."""

from absl import logging
from ml_collections import ConfigDict

from jaxcmr.config import encoder, ranges
from jaxcmr.data import correction_tables, prepare
from jaxcmr.data.own import own
from jaxcmr.errors import UsageError

BATCH = 128
VALIDATION = 0.1  # of the training rows, but at least
FEWEST = 2  # rows to choose the best epoch by


def complete(config: ConfigDict) -> ConfigDict:
    """Returns the config with its open fields chosen from the data of `config.data.path`.

    Only the source "own" leaves fields open: `data.modalities` is empty (all that the data have),
    `encoders` has no entry for a modality (one for the kind of its items), `data.validation` is
    negative (a tenth of the training rows, at least two), `train.batch_size` is 0 (128, or all
    rows where there are fewer). What was chosen is logged. Other configs are returned as they are.

    Raises:
        UsageError: the data cannot be used, or have fewer than two modalities.
    """
    if config.data.name != "own":
        return config
    found = own.outline(config.data)
    config = config.copy_and_resolve_references().unlock()
    config.data.modalities = tuple(config.data.modalities or found.kinds)
    _check(config, found)
    for name in config.data.modalities:
        if name not in config.encoders:
            config.encoders[name] = by_kind(found.kinds[name])
    for name in config.encoders:
        if name not in (*found.kinds, "embedding_size"):
            logging.warning(
                "config.encoders.%s is not used: %s has %s",
                name, config.data.path, ", ".join(found.kinds),
            )  # fmt: skip
    rows = found.rows
    if not found.validates:
        if config.data.validation < 0:
            config.data.validation = max(VALIDATION, FEWEST / max(rows, 1))
        share, seed = config.data.validation, config.data.seed
        rows = len(prepare.draw_validation(rows, found.links, share, seed)[0])
        if rows < 2:
            raise UsageError(
                f"config.data.validation is {share}, which leaves {rows} of "
                f"{found.rows} rows to train on; lower it"
            )
    config.data.validation = max(config.data.validation, 0.0)
    if config.train.batch_size == 0:
        left = rows - correction_tables.drops(config.data.corrections)
        config.train.batch_size = min(BATCH, max(left, FEWEST))
    chosen = ", ".join(f"{n} by {config.encoders[n].name}" for n in config.data.modalities)
    logging.info("%s: %s; batches of %d", config.data.path, chosen, config.train.batch_size)
    return config.lock()


def by_kind(kind: str) -> ConfigDict:
    """Returns the encoder's config for items of a kind (`own.Outline.kinds`)."""
    flips, shaken = {"flip_images": 0.5}, {"scale_points": 0.2, "jitter_points": 0.01}
    return {
        "image": lambda: encoder("compact_cnn", augment=flips),
        "views": lambda: encoder("compact_cnn", views=1, augment=flips),
        "cloud": lambda: encoder("pointnet", widths=(64, 128, 256), augment=shaken),
        "vector": lambda: encoder("fc", hidden=(1024,), normalize=False),
    }[kind]()


def _check(config: ConfigDict, found: own.Outline) -> None:
    path, names = config.data.path, tuple(found.kinds)
    for name in config.data.modalities:
        if expected := ranges.modality(name):
            raise UsageError(f"{path} has a modality {name!r}; rename it, it must be {expected}")
    missing = [name for name in config.data.modalities if name not in names]
    if missing:
        raise UsageError(
            f"{path} has no modality {missing[0]!r}, only {', '.join(names) or 'none'}; "
            "correct config.data.modalities"
        )
    if len(config.data.modalities) < 2:
        raise UsageError(
            f"{path} has the modalities {', '.join(names) or 'none'}, but retrieval across "
            "modalities needs two; a manifest's columns are image, points, mesh, text"
        )
    rows = 2 if found.validates else 2 + FEWEST
    if found.rows < rows:
        raise UsageError(f"{path} has {found.rows} training rows; at least {rows} are needed")
