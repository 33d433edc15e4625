"""What is known of a run's labels, and what is said of it before the first epoch."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.display import by_reason, shown
from jaxcmr.noise.injection import NoiseRecord
from jaxcmr.types import UNKNOWN, Dataset

PURPOSES = {"train": "to train on", "validation": "to validate", "test": "to test"}
OWN = ("own", "arrays", "manifest")  # sources whose labels nobody has checked for us
FEW = 200  # steps; a network that takes fewer from its random start often ranks near chance


def made(record: NoiseRecord) -> bool:
    """Says whether a run puts wrong labels into the training set: a drawn rate of 0 does not."""
    return record.kind == "file" or record.rate > 0


def wrong_labels(dataset: Dataset | None) -> dict[str, Any] | None:
    """Counts the given labels that differ from the true ones; None where these are not known.

    The label of an item of none of the classes is wrong; a row without a label has no wrong one.

    Returns:
        `labels`, how many there are (one a row, or one a row and modality), `wrong`, and `rate`.
    """
    if dataset is None or dataset.true_labels is None or (dataset.labels < 0).all():
        return None
    truth = dataset.true_labels
    truth = truth if dataset.labels.ndim == 1 else truth[:, None]
    counted = (dataset.labels >= 0) & (truth != UNKNOWN)
    wrong, labels = int((counted & (dataset.labels != truth)).sum()), int(counted.sum())
    return {"labels": labels, "wrong": wrong, "rate": wrong / max(labels, 1)}


def without_label(dataset: Dataset | None) -> int:
    """Counts the rows that have no label in any modality."""
    if dataset is None:
        return 0
    return int((dataset.labels.reshape(len(dataset), -1) < 0).all(1).sum())


def what_is_known(
    config: ConfigDict,
    record: NoiseRecord,
    source: Dataset,
    train: Dataset,
    validation: Dataset | None,
    test: Dataset,
) -> dict[str, Any]:
    """Says for `result.json` how many labels are wrong, and by which labels the scores are.

    This is apart from the noise that the run itself makes (`NoiseRecord.summary`).

    Args:
        config: the run's.
        record: the noise that was made.
        source: the training set before noise and split.
        train, validation, test: what the run uses.

    Returns:
        `wrong_labels`: set -> `wrong_labels` of it, and `truth`, what "wrong" is measured by: "true
        labels" of the data, "labels before the noise", or None; `scored_by`: of the test set the
        "true labels", the "labels of the data set", or of data of one's own the "given labels",
        which may be wrong; `without_label`: set -> how many of its rows have none.
    """
    sets = {"train": train, "validation": validation, "test": test}
    by = "given labels" if config.data.name in OWN else "labels of the data set"
    truth = "labels before the noise" if made(record) else None
    if source.true_labels is not None:
        truth = "true labels"
    return {
        "wrong_labels": {"truth": truth, **{name: wrong_labels(own) for name, own in sets.items()}},
        "scored_by": by if test.true_labels is None else "true labels",
        "without_label": {name: without_label(own) for name, own in sets.items()},
    }


def introduce(
    config: ConfigDict,
    train: Dataset,
    validation: Dataset | None,
    test: Dataset,
    record: NoiseRecord,
    known: dict[str, Any],
    not_measured: Mapping[str, str],
) -> None:
    """Says what is about to be trained on what.

    Args:
        config: the run's.
        train, validation, test: what it uses.
        record: the noise that was made.
        known: from `what_is_known`.
        not_measured: direction of the test set -> why it has no score.
    """
    source = train.provenance
    loud = logging.warning if source.get("source") == "stand-in" else logging.info
    name = shown(str(source.get("name")))
    place = f" ({source['path']})" if source.get("path") else ""
    loud("data: %s, %s%s", name, source.get("source"), place)
    sets = {"train": train, "validation": validation, "test": test}
    sizes = {name: 0 if own is None else len(own) for name, own in sets.items()}
    logging.info(
        "%d rows to train on, %d to validate, %d to test; %d classes",
        *sizes.values(), len(train.class_names),
    )  # fmt: skip
    for sentence in [*_of_labels(config, record, known), *_of_none(config, known, sizes)]:
        logging.info("%s", sentence)
    drawn = record.kind not in ("file", "open_set") and record.rate > 0
    if drawn and config.data.name in OWN and config.labels != "absent":
        logging.warning("to train on your labels as they are, set config.noise.rate to 0")
    for line in by_reason(not_measured):
        logging.warning("test %s", line)
    logging.info(
        "method %s, %d member(s), %d epochs of batches of %d on %d x %s",
        config.method.name,
        config.ensemble.members,
        config.train.epochs,
        config.train.batch_size,
        jax.device_count(),
        jax.devices()[0].device_kind,
    )
    steps = len(train) // config.train.batch_size  # of an epoch
    if config.data.name == "own" and config.train.epochs * steps < FEW:
        logging.info(
            "%d steps in all are few; with config.train.epochs=%d there are %d",
            config.train.epochs * steps, -(-FEW // steps), -(-FEW // steps) * steps,
        )  # fmt: skip


def _of_none(config: ConfigDict, known: dict[str, Any], sizes: dict[str, int]) -> list[str]:
    """Says how many rows have no label."""
    if config.labels == "absent":
        known = {**known, "without_label": {"test": known["without_label"]["test"]}}
    counts = [
        f"{count} of {sizes[name]} {PURPOSES[name]}"
        for name, count in known["without_label"].items()
        if count
    ]
    return [f"rows without a label: {', '.join(counts)}"] if counts else []


def _of_labels(config: ConfigDict, record: NoiseRecord, known: dict[str, Any]) -> list[str]:
    """Says what is done to the labels, what is known of them, and by which ones the scores are."""
    own, found = config.data.name in OWN, dict(known["wrong_labels"])
    lines = ["labels as given"]
    if config.labels == "absent":
        lines = ["no label is used in training"]
        if own and found["truth"] != "true labels":
            lines.append("found classes are compared with the given labels, which may be wrong")
    elif made(record):
        what = f"{record.kind} noise of rate {record.rate:.2f} is put in"
        what = f"labels of {config.noise.file}" if record.kind == "file" else what
        labels = np.count_nonzero(record.labels >= 0)
        changed = f"{np.count_nonzero(record.changed)} of {labels} labels are changed"
        lines = [f"{what}: {changed}"]
    truth = found.pop("truth")
    counts = [
        f"{count['wrong']} of {count['labels']} {PURPOSES[name]}"
        for name, count in found.items()
        if count is not None and (truth == "true labels" or name == "test")
    ]
    if own and counts:
        lines.append(f"given labels that differ from the true ones: {', '.join(counts)}")
    if own and known["scored_by"] == "true labels":
        lines.append("test scores are by the true labels")
    if known["scored_by"] == "given labels":
        lines.append("test scores are by the given test labels, which may be wrong")
    return lines
