"""Lists or changes all splits of a data set at once."""

from collections.abc import Callable

import numpy as np

from jaxcmr.types import Dataset, Splits


def parts(splits: Splits) -> dict[str, Dataset]:
    """Returns the splits that there are, by the names "train", "validation" and "test"."""
    found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: part for name, part in found.items() if part is not None}


def changed(splits: Splits, change: Callable[[str, Dataset], Dataset]) -> Splits:
    """Returns `change(name, part)` of every split that there is."""
    return Splits(**{name: change(name, part) for name, part in parts(splits).items()})


def present_rows(part: Dataset, modality: str) -> np.ndarray:
    """Returns `[N]` bool, False where the item of a modality is missing."""
    return part.present.get(modality, np.ones(len(part), bool))
