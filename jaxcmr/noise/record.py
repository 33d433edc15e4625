"""The record of a draw of label noise, and its file."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.guards import given_labels
from jaxcmr.storage import files, numpyfiles
from jaxcmr.storage.paths import expanded


@dataclasses.dataclass(frozen=True)
class NoiseRecord:
    """Labels before and after noise, and how the noise was drawn.

    Attributes:
        labels: the labels as given to the training, int32: `[N]` if one label serves all
            modalities of an item, `[M, N]` in the order of `modalities` if each has its own; -1
            where there is none.
        true_labels: `[N]` int32, the labels before the noise; -1 for a row without a label, and,
            where there is one now, for an item of none of the classes.
        num_classes: K.
        kind: the convention (`jaxcmr.noise.KINDS`, "open_set", "transition" or "file").
        rate: the nominal rate, of the rows with a label; for "transition" the expected and for
            "file" the actual one; for "open_set" the share of the rows of open classes that stay.
        seed: the seed of the draw; None for "file", which draws nothing.
        class_map: `[K]` int32, the class that class k flips to (k itself: it never flips), or
            None where the convention has no map.
        transition: `[K, K]` float64, row k holds P(given label | true label k), or None where
            the convention has none.
        modalities: the names of the rows of `labels`; empty where the labels are shared.
    """

    labels: np.ndarray
    true_labels: np.ndarray
    num_classes: int
    kind: str
    rate: float
    seed: int | None
    class_map: np.ndarray | None = None
    transition: np.ndarray | None = None
    modalities: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether one label serves all modalities of an item."""
        return not self.modalities

    @property
    def changed(self) -> np.ndarray:
        """Boolean, shaped like `labels`: True where the given label is wrong."""
        return (self.labels != self.true_labels) & (self.labels >= 0)

    @property
    def rows(self) -> np.ndarray:
        """Rows with a wrong label in at least one modality, ascending."""
        return np.flatnonzero(self.changed if self.shared else self.changed.any(axis=0))

    @property
    def actual_rate(self) -> float:
        """The share of wrong labels among all, of all modalities; 0 where there is none."""
        return float(self.changed.sum() / max((self.labels >= 0).sum(), 1))

    def summary(self) -> dict[str, Any]:
        """Returns the record without its long arrays, ready for JSON."""
        listed = lambda array: None if array is None else array.tolist()
        return {
            "kind": self.kind, "rate": self.rate, "actual_rate": self.actual_rate,
            "rows_changed": len(self.rows), "num_rows": len(self.true_labels),
            "num_classes": self.num_classes, "seed": self.seed,
            "class_map": listed(self.class_map), "transition": listed(self.transition),
            "shared": self.shared, "modalities": list(self.modalities),
        }  # fmt: skip

    def save(self, path: str | os.PathLike) -> None:
        """Writes the record as a compressed `.npz` without pickles.

        Keys are the attributes, and `rows`, `actual_rate`, `shared` for readers without this
        library; attributes that are None are left out. The file appears whole or not at all.

        Raises:
            UsageError: if `path` does not end in `.npz`, or cannot be written.
        """
        path = expanded(path)
        if path.suffix != ".npz":
            raise UsageError(f"a noise record is an .npz file, not {path.name!r}; rename it")
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields |= {"rows": self.rows, "actual_rate": self.actual_rate, "shared": self.shared}
        fields["modalities"] = np.array(self.modalities, dtype=np.str_)
        files.write_npz(path, {k: v for k, v in fields.items() if v is not None})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "NoiseRecord":
        """Reads a record written by `save`.

        Raises:
            UsageError: if the file is missing, is no noise record, or contradicts itself.
        """
        arrays = read_arrays(path)
        missing = {"labels", "true_labels", "num_classes", "kind", "rate"} - set(arrays)
        if missing:
            raise UsageError(
                f"{path} is no noise record: it lacks {', '.join(sorted(missing))}; "
                "read a file of labels with from_file instead"
            )
        field = lambda name, kinds, *shape: _field(arrays, name, kinds, shape, path)
        maybe = lambda name, *more: field(name, *more) if name in arrays else None
        classes = int(field("num_classes", "iu"))
        seed = maybe("seed", "iu")
        names = np.atleast_1d(arrays.get("modalities", np.array([], np.str_)))
        truth = given_labels(arrays["true_labels"], classes, f"true labels in {path}", -1)
        rows = np.atleast_2d(arrays["labels"])
        labels = [given_labels(row, classes, f"labels in {path}", -1) for row in rows]
        record = cls(
            labels=np.reshape(labels, arrays["labels"].shape).astype(np.int32),
            true_labels=truth,
            num_classes=classes,
            kind=str(field("kind", "U")),
            rate=float(field("rate", "iuf")),
            seed=None if seed is None else int(seed),
            class_map=maybe("class_map", "iuf", classes),
            transition=maybe("transition", "iuf", classes, classes),
            modalities=tuple(names.ravel().tolist()) if names.dtype.kind == "U" else (),
        )
        shape = record.true_labels.shape
        if record.modalities:
            shape = (len(record.modalities), *shape)
        if record.labels.shape != shape:
            raise UsageError(
                f"{path} holds labels of shape {record.labels.shape} where {shape} belongs; "
                "write it again with save"
            )
        if "rows" in arrays and not np.array_equal(arrays["rows"], record.rows):
            raise UsageError(
                f"{path} lists {arrays['rows'].size} changed rows but its labels differ in "
                f"{record.rows.size}; write it again with save"
            )
        return record


def _field(
    arrays: Mapping[str, np.ndarray], name: str, kinds: str, shape: tuple[int, ...], path: Any
) -> np.ndarray:
    """Returns an array of a record's file, of a shape and one of the `kinds` of dtypes."""
    array = arrays[name]
    fits = array.shape == shape and array.dtype.kind in kinds
    if not fits or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        wrong = f"has shape {array.shape} ({array.dtype}) where numbers of shape {shape} belong"
        if not shape:
            wrong = f"is not {({'U': 'text', 'iu': 'a whole number'}).get(kinds, 'a number')}"
        raise UsageError(
            f"{path} is no noise record: its {name!r} {wrong}; write it again with save"
        )
    return array


def read_arrays(path: str | os.PathLike) -> Mapping[str, np.ndarray]:
    """Reads all arrays of an `.npz`, or the one of an `.npy` under the key "", never unpickling.

    Raises:
        UsageError: if the file is missing or cannot be read.
    """
    path = expanded(path)
    if not path.is_file():
        raise UsageError(f"no file at {path}; give the path of an .npz or .npy file")
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"PK"
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    return numpyfiles.read_npz(path) if zipped else {"": numpyfiles.read_npy(path)}
