"""Which given labels are wrong: from class probabilities and given labels to a ranking (numpy).

The probabilities p of a row must come from a model that was not taught its label (out-of-fold);
otherwise they confirm it. With the noise transition matrix `T[k, y] = P(given y | true k)`, Bayes'
rule gives the posterior of the true class,

    q_k = p_k T[k, y] / sum_j p_j T[j, y]

A label is the more suspect the smaller its posterior `q_y`; what is suggested is the likeliest
class. T and a temperature of p are those under which the given labels are likeliest, so that no
true label is needed: T by expectation and maximisation (Dempster et al., 1977), with a prior that
treats a class with few rows as one whose labels say little.
"""

from typing import NamedTuple

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError

TEMPERATURES = tuple(2.0 ** (step / 4) for step in range(-12, 17))  # 1/8 to 16
PRIOR = 5.0  # pseudo-counts a class
ROUNDS = 20  # of expectation and maximisation
TINY = 1e-12


class Judgement(NamedTuple):
    """What is believed of N given labels.

    Attributes:
        predictions: `[N, K]` float32, p at the temperature that was found.
        transition: `[K, K]` float64, T; rows of sum 1.
        probabilities: `[N, K]` float32, the posterior q; p where there is no label.
        temperature: by which log p was divided.
    """

    predictions: np.ndarray
    transition: np.ndarray
    probabilities: np.ndarray
    temperature: float


def judge(predictions: np.ndarray, given: np.ndarray) -> Judgement:
    """Judge given labels by out-of-fold class probabilities.

    Args:
        predictions: `[N, K]`, not negative, rows of sum 1.
        given: `[N]` int class ids, -1 where there is no label.

    Raises:
        UsageError: shapes do not fit, rows are no distributions, or labels are no classes.

    Example:
        >>> p = np.array([[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10)
        >>> given = np.array([0] * 9 + [1] + [1] * 10)
        >>> int(judge(p, given).probabilities[np.arange(20), given].argmin())
        9
    """
    predictions, given = _checked(predictions, given)
    log_p = np.log(np.maximum(predictions, TINY))
    found = [(_fit(log_p, given, value), value) for value in TEMPERATURES]
    (_, transition), temperature = max(found, key=lambda each: each[0][0])
    p = softmax(log_p / temperature)
    return Judgement(p.astype(np.float32), transition, posterior(p, given, transition), temperature)


def posterior(predictions: np.ndarray, given: np.ndarray, transition: np.ndarray) -> np.ndarray:
    """Return `q_k = p_k T[k, y] / sum_j p_j T[j, y]`, `[N, K]`; p where there is no label."""
    joint = predictions * np.where(given[:, None] >= 0, transition.T[given], 1.0)
    total = joint.sum(1, keepdims=True)
    return np.where(total > TINY, joint / np.maximum(total, TINY), predictions).astype(np.float32)


def noise_rate(probabilities: np.ndarray, given: np.ndarray) -> tuple[float, float, float]:
    """Estimate the share of wrong labels, `mean(1 - q_y)`, and its 95 % interval.

    The interval is that of a sum of independent draws with these probabilities.

    Args:
        probabilities: `[N, K]`, posteriors of `judge`.
        given: `[N]` int, -1 where there is no label: such rows do not count.

    Returns:
        The rate, its lower and its upper end; NaN without a label.
    """
    rows = np.flatnonzero(given >= 0)
    if not len(rows):
        return (np.nan, np.nan, np.nan)
    wrong = 1.0 - probabilities[rows, given[rows]].astype(np.float64)
    rate, half = wrong.mean(), 1.96 * np.sqrt((wrong * (1 - wrong)).sum()) / len(rows)
    return float(rate), float(max(rate - half, 0.0)), float(min(rate + half, 1.0))


def suspicion_order(probability_given: np.ndarray) -> np.ndarray:
    """Return the rows `[N]`, the most suspect first, ties in their order; NaN (no label) last."""
    return np.argsort(probability_given, kind="stable")


def _fit(log_p: np.ndarray, given: np.ndarray, temperature: float) -> tuple[float, np.ndarray]:
    """Return the mean log-likelihood of the given labels at a temperature, and the T for it."""
    p, classes = softmax(log_p / temperature), log_p.shape[1]
    rows = np.flatnonzero(given >= 0)
    p, labels = p[rows], given[rows]
    frequencies = (np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes)
    transition = np.full((classes, classes), 0.5 / max(classes - 1, 1))
    np.fill_diagonal(transition, 0.5 if classes > 1 else 1.0)
    for _ in range(ROUNDS):
        q = posterior(p, labels, transition).astype(np.float64)
        counts = np.zeros((classes, classes))
        np.add.at(counts.T, labels, q)
        transition = counts + PRIOR * frequencies
        transition /= transition.sum(1, keepdims=True)
    likelihood = np.log(np.maximum((p * transition.T[labels]).sum(1), TINY))
    return float(likelihood.mean()) if len(rows) else 0.0, transition


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits `[N, K]`."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _checked(predictions: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predictions = np.asarray(guards.check_shape("predictions", predictions, "N", "K"))
    given = np.asarray(guards.class_labels(given, predictions.shape[1], predictions.shape[:1]))
    sums = predictions.sum(1)
    if not (
        np.isfinite(sums).all() and (predictions >= 0).all() and np.allclose(sums, 1, atol=1e-3)
    ):
        raise UsageError("predictions are no distributions; give rows of class probabilities")
    return predictions, given
