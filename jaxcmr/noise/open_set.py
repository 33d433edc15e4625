"""Open-set label noise: items of classes that nobody listed carry labels of the others.

After Wang et al., "Iterative Learning with Open-set Noisy Labels", CVPR 2018, where images of
another data set take the place of some of each class. Here the items come from classes of the same
data, which are taken out of the label set, as where a catalogue has a kind of item without a class.
"""

from typing import NamedTuple

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.guards import given_labels
from jaxcmr.noise.injection import check_rate, generators
from jaxcmr.noise.record import NoiseRecord


class OpenSet(NamedTuple):
    """A draw of open-set noise over N rows of K classes.

    Attributes:
        record: of the M rows that stay, of kind "open_set", over K - n classes numbered anew; the
            true label of an item of none of them is -1.
        rows: `[M]` rows that stay, ascending.
        classes: `[K - n]` the classes that are left, ascending; class k was `classes[k]`.
        open_classes: `[n]` the classes that are taken out, ascending.
    """

    record: NoiseRecord
    rows: np.ndarray
    classes: np.ndarray
    open_classes: np.ndarray

    def renumbered(self, labels: np.ndarray) -> np.ndarray:
        """Returns labels in the new numbers, -1 for classes taken out; negative ones stay."""
        return _renumbered(labels, self.classes, len(self.classes) + len(self.open_classes))


def inject_open_set(
    labels: np.ndarray, num_classes: int, *, open_classes: int = 1, rate: float, seed: int
) -> OpenSet:
    """Take classes out of the label set, and give part of their rows labels of the others.

    Which n classes are taken out depends on the seed alone. Of their N_o rows exactly
    `round(r N_o)` stay (halves round to even), each with a uniform label of the K - n other
    classes, which is wrong; the others leave. The rows of a lower rate are among those of a higher
    one. With M rows left the share of wrong labels is `round(r N_o) / M`.

    Args:
        labels: `[N]` whole numbers in [0, K), taken as true; rows with -1 have no label, stay, and
            get none.
        num_classes: K.
        open_classes: n, which leaves at least 2 classes.
        rate: r in [0, 1), the share of the rows of these classes that stay.
        seed: of the draw, not negative.

    Raises:
        UsageError: for too few classes, a rate outside [0, 1), labels out of range or of a wrong
            shape, a negative seed.

    Example:
        >>> drawn = inject_open_set(np.arange(12) % 3, 3, rate=0.5, seed=0)
        >>> len(drawn.rows), len(drawn.record.rows), drawn.record.actual_rate
        (10, 2, 0.2)
    """
    check_rate(rate)
    num_classes = guards.check_whole("num_classes", num_classes, 0)
    open_classes = guards.check_whole("open_classes", open_classes, 1)
    if num_classes - open_classes < 2:
        raise UsageError(
            f"of {num_classes} classes {open_classes} would be taken out, but at least 2 must be "
            "left; lower open_classes"
        )
    labels = given_labels(labels, num_classes, least=-1)
    (rng,) = generators(seed, ())
    order = rng.permutation(num_classes)
    taken, left = np.sort(order[:open_classes]), np.sort(order[open_classes:])
    candidates = rng.permutation(np.flatnonzero(np.isin(labels, taken)))
    kept = candidates[: round(rate * len(candidates))]
    noisy = labels.copy()
    noisy[kept] = left[rng.integers(0, len(left), len(candidates))[: len(kept)]]
    rows = np.setdiff1d(np.arange(len(labels)), candidates[len(kept) :])
    given, truth = (_renumbered(part[rows], left, num_classes) for part in (noisy, labels))
    record = NoiseRecord(given, truth, len(left), "open_set", float(rate), int(seed))
    return OpenSet(record, rows, left, taken)


def _renumbered(labels: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    new = np.full(num_classes, -1, np.int32)
    new[classes] = np.arange(len(classes))
    return np.where(labels < 0, labels, new[labels]).astype(np.int32)
