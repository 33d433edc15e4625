"""Which given labels are wrong: from class probabilities and given labels to a ranking (numpy).

The probabilities p of a row must come from a model that was not taught its label (out-of-fold);
otherwise they confirm it. With the noise transition matrix `T[k, y] = P(given y | true k)`, Bayes'
rule gives the posterior of the true class,

    q_k = p_k T[k, y] / sum_j p_j T[j, y]

A label is the more suspect the smaller its posterior `q_y`; what is suggested is the likeliest
class. No true label is needed: T is found by expectation and maximisation (Dempster et al., 1977),
under a prior that all classes are mislabelled alike and in proportion to the frequency of labels.
How strong the prior is, and the temperature of p, are chosen by the likelihood of given labels.
"""

from typing import NamedTuple

import numpy as np

from jaxcmr import guards

STRENGTHS = (1.0, 10.0, 100.0, 1000.0, 1e5)  # of the prior of T, in pseudo-counts a class
RIGHT = 0.8  # share of right labels from which T starts
ROUNDS = 10  # of expectation and maximisation
# Rows, and their probabilities, by which temperature and T are found; of more, evenly spread ones.
FITTED, FITTED_VALUES = 20_000, 2_000_000
TINY = 1e-30


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
    guards.check_shape("predictions", predictions, "N", "K")
    guards.check_distributions("predictions", predictions)
    predictions = np.asarray(predictions, np.float64)
    return judge_logits(np.log(np.maximum(predictions, TINY)), given)


def judge_logits(
    logits: np.ndarray, given: np.ndarray, out_of_fold: np.ndarray | None = None
) -> Judgement:
    """Judge given labels by logits `[N, K]`, as `judge` by their softmax.

    The temperature and T are found by the rows that are `out_of_fold`, `[N]` bool, if there are.
    """
    classes = guards.check_shape("logits", logits, "N", "K").shape[1]
    given = np.asarray(guards.class_labels(given, classes, logits.shape[:1]))
    counted = given >= 0
    if out_of_fold is not None and (counted & out_of_fold).any():
        counted &= out_of_fold
    rows = np.flatnonzero(counted)
    most = max(min(FITTED, FITTED_VALUES // classes), 1)
    rows = rows[:: max(-(-len(rows) // most), 1)]
    labels, values = given[rows], np.asarray(logits[rows], np.float64)
    if len(rows) < 2:  # nothing to choose by
        return _judgement(logits, given, _alike(1.0, np.full(classes, 1 / classes)), 1.0)
    temperature, strength = _likeliest(values, labels)
    p = softmax(values / temperature)
    return _judgement(logits, given, transition(p, labels, strength, 2 * ROUNDS), temperature)


def _judgement(logits, given, transition: np.ndarray, temperature: float) -> Judgement:
    p = softmax(logits / temperature)
    return Judgement(p.astype(np.float32), transition, posterior(p, given, transition), temperature)


def posterior(predictions: np.ndarray, given: np.ndarray, transition: np.ndarray) -> np.ndarray:
    """Return `q_k = p_k T[k, y] / sum_j p_j T[j, y]`, `[N, K]` float32; p without a label."""
    joint = predictions * np.where(given[:, None] >= 0, transition.T[given], 1.0)
    total = joint.sum(1, keepdims=True)
    return np.where(total > TINY, joint / np.maximum(total, TINY), predictions).astype(np.float32)


def none_of_these(judgement: Judgement, given: np.ndarray) -> np.ndarray:
    """Score how little an item resembles any class, `(1 - max_k p_k) (1 - q_y)`, `[N]` float32.

    Such an item has a label that looks wrong, and no other class is likely either. Without a label
    the score is `1 - max_k p_k`. It ranks; it is no probability.
    """
    labelled, rows = given >= 0, np.arange(len(given))
    of_given = np.where(labelled, judgement.probabilities[rows, given], 0.0)
    return ((1 - judgement.predictions.max(1)) * (1 - of_given)).astype(np.float32)


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


def transition(
    predictions: np.ndarray, given: np.ndarray, strength: float, rounds: int = ROUNDS
) -> np.ndarray:
    """Estimate T by expectation and maximisation, `T_k = (n_k + s P_k) / (sum_y n_ky + s)`.

    n counts given labels by posteriors; P, the prior, has the share of right labels over all
    classes on its diagonal, and the other labels by their frequency beside it.

    Args:
        predictions: p, `[N, K]`.
        given: `[N]` int, all of them labels.
        strength: s, pseudo-counts a class.
        rounds: of expectation and maximisation.

    Returns:
        `[K, K]`, rows of sum 1.
    """
    classes = predictions.shape[1]
    frequencies = (np.bincount(given, minlength=classes) + 1) / (len(given) + classes)
    order = np.argsort(given, kind="stable")
    present, starts = np.unique(given[order], return_index=True)
    sorted_p, found = predictions[order], _alike(RIGHT, frequencies)
    for _ in range(rounds):
        q = posterior(sorted_p, given[order], found)
        counts = np.zeros((classes, classes))
        counts[:, present] = np.add.reduceat(q, starts, axis=0, dtype=np.float64).T
        right = (np.trace(counts) + 1) / (counts.sum() + 2)
        prior = strength * _alike(right, frequencies)
        found = (counts + prior) / (counts.sum(1, keepdims=True) + strength)
    return found


def _alike(right: float, frequencies: np.ndarray) -> np.ndarray:
    """Return the T `[K, K]` of classes that are all mislabelled alike."""
    classes = len(frequencies)
    others = frequencies * (1 - np.eye(classes))
    others /= np.maximum(others.sum(1, keepdims=True), TINY)
    return right * np.eye(classes) + (1 - right) * (others if classes > 1 else 1.0)


def _likeliest(logits: np.ndarray, given: np.ndarray) -> tuple[float, float]:
    """Return the temperature, a power of the fourth root of 2, and strength of largest likelihood.

    They are changed in turn. Where predictions say nothing of labels, the temperature is large.
    """
    power, strength, before = 0.0, STRENGTHS[-1], None
    likelihood = lambda power, strength: _held_out_likelihood(
        softmax(logits / 2.0**power), given, strength
    )
    while before != (power, strength):
        before = (power, strength)
        found = {float(whole): likelihood(whole, strength) for whole in range(10, -6, -1)}
        power = max(found, key=found.get)
        for step in (0.5, 0.25):
            found |= {near: likelihood(near, strength) for near in (power - step, power + step)}
            power = max(found, key=found.get)
        strength = max(reversed(STRENGTHS), key=lambda strength: likelihood(power, strength))
        if strength == before[1]:
            break
    return 2.0**power, strength


def _held_out_likelihood(p: np.ndarray, given: np.ndarray, strength: float) -> float:
    """Return how likely given labels are under the T of the other half of the rows."""
    half = np.random.default_rng(0).permutation(len(given)) % 2 == 0
    total = 0.0
    for side in (half, ~half) if len(given) > 1 else ():
        found = transition(p[~side], given[~side], strength)
        likelihood = (p[side] * found.T[given[side]]).sum(1)  # sum_k p_k T[k, y]
        total += np.log(np.maximum(likelihood, TINY)).sum()
    return float(total)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits `[N, K]`."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)
