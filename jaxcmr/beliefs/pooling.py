"""One prediction of several voters: their logits, weighed by how likely they make given labels."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from jaxcmr.beliefs.label_errors import softmax

FITTED = 20_000  # rows by which voters are weighed; of more, evenly spread ones


def pooled(logits: Sequence[np.ndarray], given: np.ndarray) -> np.ndarray:
    """Returns `sum_s w_s logits_s`, `[N, K]`, with the weights w >= 0 of the largest likelihood.

    The likelihood is that of given labels of which the share e is drawn by their frequencies m:
    `sum_i log((1 - e) softmax(sum_s w_s logits_s)_y + e m_y)`; e is found with the weights.

    Args:
        logits: of S voters, `[N, K]` each, that have not seen the labels.
        given: `[N]` int, -1 where there is no label, or a voter has seen it.
    """
    if len(logits) == 1:
        return logits[0]
    rows = np.flatnonzero(given >= 0)
    rows = rows[:: max(-(-len(rows) // FITTED), 1)]
    if not len(rows):
        return sum(logits) / len(logits)
    labels, place = given[rows], np.arange(len(rows))
    values = np.stack([voter[rows] for voter in logits]).astype(np.float64)
    values -= values.max(-1, keepdims=True)
    scale = np.maximum(np.abs(values).mean((1, 2)), 1e-12)
    values /= scale[:, None, None]
    counts = np.bincount(labels, minlength=values.shape[-1]) + 1
    frequencies = (counts / counts.sum())[labels]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        *weights, wrong = parameters
        p = softmax(np.tensordot(weights, values, 1))
        right = p[place, labels]
        mixed = (1 - wrong) * right + wrong * frequencies
        above = [voter[place, labels] - (p * voter).sum(1) for voter in values]
        slopes = [((1 - wrong) * right / mixed * each).mean() for each in above]
        return -np.log(mixed).mean(), -np.array([*slopes, ((frequencies - right) / mixed).mean()])

    start = [2.0 / len(logits)] * len(logits) + [0.3]
    bounds = [(0.0, None)] * len(logits) + [(1e-3, 1 - 1e-3)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return sum(weight * voter for weight, voter in zip(found.x[:-1] / scale, logits))
