"""Draws noise from a noise transition matrix, and estimates one from beliefs about true labels."""

from collections.abc import Sequence

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.guards import given_labels
from jaxcmr.noise.injection import generators
from jaxcmr.noise.record import NoiseRecord


def inject_transition(
    labels: np.ndarray,
    transition: np.ndarray,
    *,
    seed: int,
    modalities: Sequence[str] = (),
) -> NoiseRecord:
    """Draw labels from a transition matrix, with counts as exact as whole rows allow.

    Of the N_c rows of class c, `N_c T[c, j]` get the label j, rounded up or down to a whole number:
    at random, such that the expected count is exact and the counts of a class add up to N_c
    (systematic sampling). Which rows is random, too.

    Args:
        labels: `[N]` whole numbers in [0, K), taken as true; rows with -1 have no label, and get
            none.
        transition: `T [K, K]`, row c is P(given label | true label c) and sums to 1.
        seed: seed of the draw, not negative.
        modalities: names of the modalities that draw separately; empty for shared labels.

    Returns:
        The record, of kind "transition"; its nominal rate is the expected `mean_i 1 - T[y_i, y_i]`.

    Raises:
        UsageError: if T is not square, has a negative entry or a row that does not sum to 1, or
            the labels or the seed are wrong.
    """
    transition = _check_transition(transition)
    num_classes = len(transition)
    labels = given_labels(labels, num_classes, least=-1)
    drawn = [_draw(labels, transition, rng) for rng in generators(seed, modalities)]
    labelled = labels[labels >= 0]
    rate = float((1 - np.diagonal(transition)[labelled]).mean()) if len(labelled) else 0.0
    return NoiseRecord(
        np.stack(drawn) if modalities else drawn[0], labels, num_classes, "transition", rate,
        int(seed), transition=transition, modalities=tuple(modalities),
    )  # fmt: skip


def _draw(labels, transition, rng):
    noisy = labels.copy()
    for k, probabilities in enumerate(transition):
        rows = rng.permutation(np.flatnonzero(labels == k))
        # Ends of the K intervals of lengths N_c T[c, j]; rounding first keeps whole ends whole.
        ends = np.round(np.cumsum(probabilities) * len(rows), 6)
        ends[-1] = len(rows)
        counts = np.diff(np.floor(ends + rng.random()), prepend=0.0).astype(int)
        noisy[rows] = np.repeat(np.arange(len(transition), dtype=np.int32), counts)
    return noisy


def _check_transition(transition: np.ndarray) -> np.ndarray:
    matrix = np.asarray(transition, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise UsageError(f"the transition matrix has shape {matrix.shape}; give [K, K]")
    if not (np.isfinite(matrix).all() and (matrix >= 0).all()):
        raise UsageError(
            f"the transition matrix holds {matrix.min():g}; give probabilities of at least 0"
        )
    sums = matrix.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[worst] - 1) > 1e-4:
        raise UsageError(
            f"row {worst} of the transition matrix sums to {sums[worst]:.6g}; "
            "give P(given label | true label), rows that sum to 1"
        )
    return matrix / sums[:, None]


def estimate_transition(labels: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """Estimate how true labels turned into given ones, from beliefs about the true labels.

    `T[k, j] = sum_i q_i(k) [y_i = j] / sum_i q_i(k)`, the maximum-likelihood step for the
    transition matrix when the true label of row i has the distribution `q_i`. A class without
    any belief gets the identity row. Beliefs of a model that has memorised the given labels yield
    the identity: use beliefs from early training, from votes, or from held-out rows. Soft beliefs
    blur T towards the frequencies of the labels; sharpen them (one-hot of their arg max) if they
    are under-confident.

    Args:
        labels: `[N]` given labels in [0, K); a row with -1 has none and is left out.
        posterior: `q [N, K]`, non-negative rows that sum to 1; a row of zeros is left out.

    Returns:
        `T [K, K]` float64, every row sums to 1.

    Raises:
        UsageError: if the shapes do not fit, rows are no probabilities, or labels leave [-1, K).
    """
    q = guards.on_host(posterior).astype(np.float64)
    if q.ndim != 2 or np.ndim(labels) != 1 or len(q) != len(labels):
        raise UsageError(
            f"posterior has shape {q.shape}; give [{np.size(labels)}, K], a row a label"
        )
    if not (np.isfinite(q).all() and (q >= 0).all()):
        raise UsageError(f"posterior holds {q.min():g}; give finite probabilities of at least 0")
    guards.check_distributions("posterior", q, q.any(axis=1))
    num_classes = q.shape[1]
    labels = given_labels(labels, num_classes, least=-1)
    given = np.eye(num_classes)[labels] * (labels >= 0)[:, None]
    joint = q.T @ given
    mass = joint.sum(axis=1, keepdims=True)
    return np.where(mass > 0, joint / np.where(mass > 0, mass, 1), np.eye(num_classes))
