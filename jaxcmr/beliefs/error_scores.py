"""How well a list of suspects finds the wrong labels, where the true ones are known (numpy).

A score says how suspect a row is; `positive` says which rows are wrong. Rows of equal scores have
no order: the scores here are those of a random one, so that they do not depend on how rows lie.
"""

from typing import NamedTuple

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError

BINS = 15  # of probabilities, equally wide


class Reliability(NamedTuple):
    """What probabilities promise and what happened, by bins of the probability.

    Attributes:
        edges: `[B + 1]`, of the bins; a bin holds its upper edge.
        rows: `[B]`, how many there are.
        probability: `[B]`, their mean probability; NaN without a row.
        share: `[B]`, the share of them that came true; NaN without a row.
    """

    edges: np.ndarray
    rows: np.ndarray
    probability: np.ndarray
    share: np.ndarray


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve.

    It is the probability that a positive row has a higher score than a negative one, where equal
    scores count one half (Mann and Whitney, 1947).

    Args:
        scores: `[N]`, finite.
        positive: `[N]` bool.

    Returns:
        The area in [0, 1]; NaN unless there are both kinds of rows.

    Raises:
        UsageError: shapes differ, or a score is not finite.

    Example:
        >>> roc_auc(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
        0.875
    """
    scores, positive = _checked(scores, positive)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]  # equal scores share the mean of their ranks, from 1
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the average precision, `sum_n (R_n - R_(n-1)) P_n` over the distinct scores n.

    P_n and R_n are precision and recall of the rows whose score is at least the n-th highest.

    Returns:
        A number in [0, 1]; NaN without a positive row.

    Raises:
        UsageError: as `roc_auc`.
    """
    scores, positive = _checked(scores, positive)
    if not positive.any():
        return float("nan")
    taken, found = _by_threshold(scores, positive)
    gained = np.diff(found, prepend=0)
    return float((gained * found / taken).sum() / found[-1])


def precision_at(scores: np.ndarray, positive: np.ndarray, k: int) -> float:
    """Return the share of positive rows among the k of the highest scores (all, if fewer).

    Where the k-th score is shared, its rows count by the share of them that fits.

    Raises:
        UsageError: as `roc_auc`, or k is below 1.
    """
    scores, positive = _checked(scores, positive)
    k = min(guards.check_whole("k", k, 1), len(scores))
    if not k:
        return float("nan")
    taken, found = _by_threshold(scores, positive)
    return float(np.interp(k, np.append(0, taken), np.append(0, found)) / k)


def reliability(probabilities: np.ndarray, came_true: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare probabilities with what came true, in bins of equal width.

    Args:
        probabilities: `[N]` in [0, 1].
        came_true: `[N]` bool.
        bins: how many.

    Raises:
        UsageError: shapes differ, a probability is outside [0, 1], or bins is below 1.
    """
    probabilities, came_true = _checked(probabilities, came_true)
    guards.check_range("probabilities", probabilities, 0.0, 1.0, slack=guards.SLACK)
    edges = np.linspace(0, 1, guards.check_whole("bins", bins, 1) + 1)
    place = np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    mean = lambda values: np.divide(
        np.bincount(place, values, bins), rows, out=np.full(bins, np.nan), where=rows > 0
    )
    return Reliability(edges, rows, mean(probabilities), mean(came_true.astype(np.float64)))


def calibration_error(probabilities: np.ndarray, came_true: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error (Naeini et al., 2015).

    The distance of mean probability and share that came true, averaged over bins by their rows.

    Returns:
        A number in [0, 1]; NaN without a row.

    Raises:
        UsageError: as `reliability`.
    """
    found = reliability(probabilities, came_true, bins)
    if not found.rows.sum():
        return float("nan")
    distance = np.abs(found.probability - found.share)
    return float((np.nan_to_num(distance) * found.rows).sum() / found.rows.sum())


def _by_threshold(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many rows, and how many positive ones, have at least each distinct score."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return ends + 1, np.cumsum(positive[order])[ends]


def _checked(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(guards.check_shape("scores", scores, "N"), np.float64)
    positive = np.asarray(guards.check_shape("positive", positive, len(scores)), bool)
    if not np.isfinite(scores).all():
        raise UsageError("scores hold NaN or infinity; leave rows without a score out")
    return scores, positive
