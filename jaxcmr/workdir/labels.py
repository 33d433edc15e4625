"""What a run believes of its labels: `labels.npz` for programs, `labels.csv` for people."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.beliefs import label_errors
from jaxcmr.errors import UsageError
from jaxcmr.storage import files, numpyfiles
from jaxcmr.storage.spreadsheet import blocks_of, safe, write_csv
from jaxcmr.workdir import forms, missing

NPZ, CSV = "labels.npz", "labels.csv"
COLUMNS = ("id", "split", "given", "probability_given", "suggested", "probability_suggested",
           "agreement", "none_of_these", "out_of_fold", "true")  # fmt: skip
NONE_OF_THESE = "(none of these)"  # the true class of an item that belongs to none


@dataclasses.dataclass(frozen=True, repr=False)
class LabelTable:
    """What is believed of the labels of N rows: of the training and the validation set.

    With `config.audit.test` those of the test set follow.

    K classes, V modalities in alphabetical order, E living members.

    Attributes:
        ids: `[N]` str.
        split: `[N]` str, "train", "validation" or "test".
        class_names: the K names.
        modalities: the V names.
        given: `[N]` int32, the label as given, -1 for none.
        true: `[N]` int32, -1 for an item of none of the classes, `types.UNKNOWN` where nobody knows
            it; None where all are unknown.
        predictions: `[N, K]` float32, calibrated class probabilities p.
        out_of_fold: `[N]` bool, whether they come from members that were not taught the label.
        transition: `[K, K]`, the estimated noise transition matrix `T[k, j] = P(given j | true k)`.
        probabilities: `[N, K]` float32, the posterior q of the true class (`label_errors`).
        agreement: `[N]` float32, share of the votes (members times modalities that the row has) for
            the suggested class.
        none_of_these: `[N]` float32 in [0, 1], the higher the less the item resembles any class.
        member_classes: `[N, E]` int32, what each member predicts over its modalities.
        modality_classes: `[N, V]` int32, what each modality predicts over the members; -1 where the
            item is missing.
        neighbors: `[N, k]` int32, the nearest rows of this table in the common space, nearest
            first; -1 where there is none or they were not searched for.
        about: what made the table, ready for JSON.
        raw_predictions: `[N, K]` float32, the mean class probabilities of the members (those that
            were not taught the label, if there are), over the modalities that the row has: before
            other judges and calibration, for comparisons. None in tables of other origin.
    """

    ids: np.ndarray
    split: np.ndarray
    class_names: tuple[str, ...]
    modalities: tuple[str, ...]
    given: np.ndarray
    true: np.ndarray | None
    predictions: np.ndarray
    out_of_fold: np.ndarray
    transition: np.ndarray
    probabilities: np.ndarray
    agreement: np.ndarray
    none_of_these: np.ndarray
    member_classes: np.ndarray
    modality_classes: np.ndarray
    neighbors: np.ndarray
    about: Mapping[str, Any]
    raw_predictions: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return (
            f"LabelTable({len(self)} rows, {len(self.class_names)} classes, "
            f"{self.looks_wrong.sum()} of {self.labelled.sum()} labels look wrong)"
        )

    @cached_property
    def labelled(self) -> np.ndarray:
        """`[N]` bool, which rows have a given label."""
        return self.given >= 0

    @cached_property
    def probability_given(self) -> np.ndarray:
        """`[N]` float32, the probability that the given label is right; NaN without one."""
        of_given = np.take_along_axis(self.probabilities, np.maximum(self.given, 0)[:, None], 1)
        return np.where(self.labelled, of_given[:, 0], np.nan).astype(np.float32)

    @cached_property
    def suggested(self) -> np.ndarray:
        """`[N]` int32, the likeliest class."""
        return self.probabilities.argmax(1).astype(np.int32)

    @cached_property
    def probability_suggested(self) -> np.ndarray:
        """`[N]` float32, how likely it is."""
        return self.probabilities.max(1)

    @cached_property
    def looks_wrong(self) -> np.ndarray:
        """`[N]` bool, rows with a label for which another class is likelier."""
        return self.labelled & (self.suggested != self.given)

    @cached_property
    def order(self) -> np.ndarray:
        """`[N]` rows, the most suspect first, those without a label last."""
        return label_errors.suspicion_order(self.probability_given)

    def name_of(self, label: int, of_none: str = "") -> str:
        """Returns the name of a class; `of_none` for -1."""
        return self.class_names[label] if label >= 0 else of_none

    def to_dict(self) -> dict[str, np.ndarray]:
        """Returns the columns of `labels.csv`, `[N]` each, as `pandas.DataFrame` takes them."""
        names, true = np.array([*self.class_names, ""], object), np.full(len(self), None)
        if self.true is not None:
            true = np.array([*self.class_names, None, NONE_OF_THESE], object)[self.true]
        values = (self.ids, self.split, names[self.given], self.probability_given,
                  names[self.suggested], self.probability_suggested, self.agreement,
                  self.none_of_these, self.out_of_fold, true)  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))

    def rows(self, index: np.ndarray) -> "LabelTable":
        """Returns the table of the rows `index` alone, in that order."""
        place = np.full(len(self) + 1, -1, np.int32)  # the last stands for no neighbor
        place[index] = np.arange(len(index))
        taken = {name: getattr(self, name)[index] for name in ARRAYS
                 if name != "transition" and getattr(self, name) is not None}  # fmt: skip
        taken["neighbors"] = place[taken["neighbors"]]
        return dataclasses.replace(self, **taken)


ARRAYS = tuple(
    field.name
    for field in dataclasses.fields(LabelTable)
    if field.name not in ("about", "class_names", "modalities")
)


def stacked(tables: Sequence[LabelTable]) -> LabelTable:
    """Puts tables of the same classes one below the other; the transition matrix is their mean."""
    first = tables[0]
    if len(tables) == 1:
        return first
    arrays = {name: [getattr(table, name) for table in tables] for name in ARRAYS}
    joined = {
        name: None if values[0] is None else np.concatenate(values)
        for name, values in arrays.items()
    }
    return dataclasses.replace(
        first, **joined | {"transition": np.mean(arrays["transition"], axis=0)}
    )


def save(table: LabelTable, folder: Path) -> None:
    """Writes `labels.npz` and `labels.csv`, each whole or not at all.

    Raises:
        UsageError: the folder cannot be written.
    """
    arrays = {name: getattr(table, name) for name in ARRAYS if getattr(table, name) is not None}
    texts = {
        name: np.array(getattr(table, name), np.str_) for name in ("class_names", "modalities")
    }
    about = {"about": np.array(json.dumps(table.about), np.str_)}
    files.write_npz(folder / NPZ, arrays | texts | about)
    columns = table.to_dict()
    blocks = (cells(columns, rows) for rows in blocks_of(np.arange(len(table))))
    write_csv(folder / CSV, COLUMNS, blocks)


def cells(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> list[list[str]]:
    """Returns the cells of some rows, column by column, safe in a spreadsheet.

    Args:
        columns: of `LabelTable.to_dict`.
        rows: `[n]`.
    """
    return [_as_cells(column[rows]) for column in columns.values()]


def _as_cells(values: np.ndarray) -> list[str]:
    if values.dtype.kind == "f":
        return ["" if value != value else f"{value:.4f}" for value in values.tolist()]
    if values.dtype.kind == "b":
        return np.where(values, "yes", "no").tolist()
    return ["" if value is None else safe(value) for value in values.tolist()]


def read(folder: Path) -> LabelTable:
    """Reads the table of a finished run.

    Raises:
        UsageError: the folder holds no table (no run, one that is not finished, or one of an
            earlier version), the run used no labels, or the file is damaged.
    """
    path = folder / NPZ
    if not path.is_file():
        raise UsageError(missing.why(folder, NPZ))
    arrays = numpyfiles.read_npz(path)
    lacking = [n for n in (*ARRAYS, "class_names", "modalities", "about") if n not in arrays]
    lacking = [name for name in lacking if name not in ("true", "raw_predictions")]
    if lacking:
        raise UsageError(f"{path} lacks {', '.join(lacking)}; run the training again to write it")
    try:
        about = json.loads(str(arrays["about"]))
        wrong = forms.fault(arrays, forms.LABELS) or forms.fault_of_about(about)
    except (ValueError, RecursionError) as error:
        wrong = str(error)
    if wrong:
        raise UsageError(f"{path} is damaged ({wrong}); run the training again to write it")
    if about.get("labels") == "absent":
        raise UsageError(
            f"the run in {folder} was trained without labels (config.labels=absent), so that there "
            "are none to check; train with config.labels=given"
        )
    texts = {name: tuple(arrays[name].tolist()) for name in ("class_names", "modalities")}
    return LabelTable(**{name: arrays.get(name) for name in ARRAYS}, **texts, about=about)
