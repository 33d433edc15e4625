"""Finds wrong labels from Python: of a finished run, of your data, of your own predictions."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.beliefs import label_errors
from jaxcmr.data.own import arraynames, own
from jaxcmr.data.own.complete import BATCH
from jaxcmr.data.own.missing import is_missing
from jaxcmr.errors import UsageError
from jaxcmr.storage import files
from jaxcmr.storage.paths import expanded
from jaxcmr.workdir import labels as label_tables
from jaxcmr.workdir.labels import LabelTable

ARRAYS = "arrays.npz"  # arrays in memory, as the run reads them
STEPS = 400  # of the training, within these epochs: longer ones learn wrong labels by heart
EPOCHS = (15, 60)


def find_label_errors(
    source: str | os.PathLike | Mapping[str, Any],
    labels: Any = None,
    *,
    config: ConfigDict | None = None,
    workdir: str | os.PathLike | None = None,
) -> LabelTable:
    """Find the labels that are probably wrong, and suggest others.

    The folder of a finished run has its answer, which is read. Other data are learned from first,
    by MMCD: five members of which each label is hidden from one, so that every row is judged by a
    member that was not taught its label.

    Args:
        source: the folder of a run; or a manifest, an `.npz`, HDF5 file or folder of `.npy`; or
            arrays by name: a modality `[N, ...]` each (at least two), and the names that files may
            have, such as `ids`, `groups`, `class_names`, `present_<modality>`.
        labels: `[N]` numbers or names, for arrays that have no entry "labels"; -1, "", None or NaN
            where there is none.
        config: of the training; `presets.own_audit()` if absent.
        workdir: the folder of the training, which goes on there if it was stopped; a temporary one
            if absent.

    Returns:
        The table, of arrays in their order; `table.order` has the most suspect rows first.

    Raises:
        UsageError: the data cannot be used, or the folder holds no finished run.

    Example:
        >>> table = jaxcmr.find_label_errors({"image": x, "text": t}, labels)  # doctest: +SKIP
        >>> table.ids[table.looks_wrong], table.suggested[table.looks_wrong]  # doctest: +SKIP
    """
    if isinstance(source, Mapping):
        return _of_arrays(_named(source, labels), config, workdir)
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(
            f"{type(source).__name__} is no source; give arrays by name, "
            '{"image": x, "text": t}, a file of data, or the folder of a run'
        )
    if labels is not None:
        raise UsageError(f"labels are given beside {source}, which holds its own; leave them out")
    source = expanded(source)
    if not _is_run(source):
        return _trained(source, config, workdir)
    if config is not None or workdir is not None:
        raise UsageError(
            f"{source} is the folder of a run, of which the result is read; leave config and "
            "workdir out, or name the data"
        )
    return label_tables.read(source)


def rank_label_errors(
    predictions: Any,
    labels: Any,
    *,
    ids: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
) -> LabelTable:
    """Rank given labels by your own class probabilities (`label_errors.judge`).

    Args:
        predictions: `[N, K]`, rows of sum 1, of a model that was not taught the label of the row,
            such as that of a cross-validation.
        labels: `[N]` whole numbers below K, -1 where there is none.
        ids: `[N]`, the rows' names; their numbers if absent.
        class_names: the K names; their numbers if absent.

    Returns:
        The table; `table.order` has the most suspect rows first.

    Raises:
        UsageError: shapes do not fit, rows are no distributions, or labels are no classes.

    Example:
        >>> p = [[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10
        >>> table = rank_label_errors(p, [0] * 9 + [1] + [1] * 10)
        >>> int(table.order[0]), int(table.suggested[9])
        (9, 0)
    """
    judged = label_errors.judge(_probabilities(predictions), labels)
    rows, classes = judged.predictions.shape
    names = tuple(map(str, range(classes) if class_names is None else class_names))
    ids = np.array([str(name) for name in (range(rows) if ids is None else ids)], np.str_)
    if len(names) != classes or len(ids) != rows:
        raise UsageError(
            f"there are {len(names)} class_names and {len(ids)} ids for predictions of the shape "
            f"[{rows}, {classes}]; give one a class and one a row, or leave them out"
        )
    likeliest, given = judged.predictions.argmax(1).astype(np.int32), np.asarray(labels, np.int32)
    return LabelTable(
        ids=ids,
        split=np.full(rows, "train"),
        class_names=names,
        modalities=(),
        given=given,
        true=None,
        predictions=judged.predictions,
        out_of_fold=np.ones(rows, bool),
        transition=judged.transition,
        probabilities=judged.probabilities,
        agreement=(likeliest == judged.probabilities.argmax(1)).astype(np.float32),
        none_of_these=label_errors.none_of_these(judged, given),
        member_classes=likeliest[:, None],
        modality_classes=np.zeros((rows, 0), np.int32),
        neighbors=np.full((rows, 10), -1, np.int32),
        about={"method": "given predictions", "members": 1, "temperature": judged.temperature},
    )


def _probabilities(predictions: Any) -> np.ndarray:
    """Returns an array of numbers."""
    try:
        return np.asarray(predictions, np.float64)
    except (TypeError, ValueError):  # rows of different lengths, names
        raise UsageError("predictions are no numbers [N, K]; give a probability a class") from None


def _is_run(source: Path) -> bool:
    return any((source / name).is_file() for name in ("config.json", label_tables.NPZ))


def _named(source: Mapping[str, Any], labels: Any) -> dict[str, np.ndarray]:
    """Returns the arrays as they are saved, with the labels among them."""
    arrays = {str(name): _plain(array) for name, array in source.items()}
    if labels is not None:
        if "labels" in arrays:
            raise UsageError("labels are given twice, among the arrays and beside them; leave one")
        arrays["labels"] = _plain(labels)
    return arrays


def _plain(array: Any) -> np.ndarray:
    """Returns an array of numbers or text; of lists with gaps, as of a table's column, texts."""
    try:
        array = np.asarray(array)
    except ValueError:  # rows of different lengths
        raise UsageError("an array has rows of different shapes; give arrays [N, ...]") from None
    if array.dtype != object:
        return array
    cells = ["" if is_missing(value) else value for value in array.ravel().tolist()]
    return np.array([str(value) for value in cells], np.str_).reshape(array.shape)


def _of_arrays(
    arrays: dict[str, np.ndarray], config: ConfigDict | None, workdir: Any
) -> LabelTable:
    """Trains on arrays; returns their rows in their order, where they have no splits."""
    part = arraynames.sort(arrays, "what is given").parts.get("")
    ids = None
    if part is not None:
        rows = len(arrays[part["labels"]])
        named = (f"{row:06d}" for row in range(rows))  # as the run calls them
        ids = arrays[part["ids"]].astype(str) if "ids" in part else np.array([*named])
        if len(np.unique(ids)) < len(ids):
            raise UsageError("two rows have the same id; give each row its own, or leave ids out")
    with _folder(workdir) as folder:
        path = folder / ARRAYS
        files.write_atomically(path, lambda file: np.savez(file, **arrays))
        table = _trained(path, config, folder)
    place = {name: row for row, name in enumerate(table.ids.tolist())}
    if ids is None or set(place) != set(ids.tolist()):
        return table
    return table.rows(np.array([place[name] for name in ids.tolist()], int))


def _trained(source: Path, config: ConfigDict | None, workdir: Any) -> LabelTable:
    """Trains on a file or folder of data, and returns what the run believes of the labels."""
    from jaxcmr.train.run import train_and_evaluate

    chosen = presets.own_audit() if config is None else config.copy_and_resolve_references()
    with chosen.unlocked():
        chosen.data.name, chosen.data.path = "own", str(source)
        if config is None:
            found = own.outline(chosen.data)
            batches = found.rows / BATCH
            chosen.data.standardize = tuple(n for n, k in found.kinds.items() if k == "vector")
            chosen.train.epochs = int(np.clip(np.ceil(STEPS / max(batches, 1)), *EPOCHS))
    with _folder(workdir) as folder:
        table = train_and_evaluate(chosen, folder).labels
    if table is None or table.about.get("labels") == "absent":
        raise UsageError(
            "the config trains without labels, so that there are none to check; set config.labels "
            "to 'given'"
        )
    return table


@contextmanager
def _folder(workdir: Any) -> Iterator[Path]:
    """Gives the folder, or a temporary one for None."""
    if workdir is not None:
        yield expanded(workdir)
        return
    with tempfile.TemporaryDirectory(prefix="jaxcmr-") as folder:
        yield Path(folder)
