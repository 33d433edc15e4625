"""Ways to find wrong labels: the audit, cleanlab, and logistic regression on the inputs."""

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxcmr.beliefs.label_errors import TINY, judge, noise_rate
from jaxcmr.errors import UsageError

PACKAGES = {"cleanlab": "cleanlab", "sklearn": "scikit-learn"}
MISSING = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
QUALITY = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
FILTERS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning",
           "predicted_neq_given")  # fmt: skip
FOLDS = 5
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # C of scikit-learn


class Answer(NamedTuple):
    """What a way to find wrong labels says of N rows with a label, of K classes.

    Attributes:
        scores: `[N]`, the higher the more suspect.
        flagged: `[N]` bool, the labels that it calls wrong.
        suggested: `[N]` int, the label after its corrections.
        other: `[N]` int, the likeliest class but the given one.
        probability_suggested: `[N]`, how sure it is of the suggested label.
        probability_given: `[N]`, that the given label is right.
        noise_rate: the share of wrong labels that it estimates.
    """

    scores: np.ndarray
    flagged: np.ndarray
    suggested: np.ndarray
    other: np.ndarray
    probability_suggested: np.ndarray
    probability_given: np.ndarray
    noise_rate: float


def by_posterior(probabilities: np.ndarray, given: np.ndarray) -> Answer:
    """Returns what the audit says, by posteriors `[N, K]` of the true class."""
    suggested, of_given = probabilities.argmax(1), _of(probabilities, given)
    rate, _, _ = noise_rate(probabilities, given)
    flagged, surest = suggested != given, probabilities.max(1)
    other = likeliest_other(probabilities, given)
    return Answer(-of_given, flagged, suggested, other, surest, of_given, rate)


def by_judge(predictions: np.ndarray, given: np.ndarray) -> Answer:
    """Returns what the audit would say of cross-validated probabilities of another model."""
    return by_posterior(judge(predictions, given).probabilities, given)


def by_cleanlab(predictions: np.ndarray, given: np.ndarray) -> dict[str, Answer]:
    """Returns what cleanlab says: its scores, and its filters ranked by self-confidence.

    The rows that a filter finds come before the others. A score flags as many rows as cleanlab
    counts wrong labels, the filter flags its own; what is flagged gets the likeliest class for its
    label. The noise rate is one less the trace of the joint distribution of given and true labels.

    Args:
        predictions: `[N, K]` raw cross-validated probabilities.
        given: `[N]` int class ids.
    """
    from cleanlab import count, filter, rank

    joint = np.asarray(count.estimate_joint(given, predictions))
    rate, issues = 1.0 - float(np.trace(joint)), count.num_label_issues(given, predictions)
    likeliest, of_given = predictions.argmax(1), _of(predictions, given)
    other = likeliest_other(predictions, given)

    def answer(scores: np.ndarray, flagged: np.ndarray) -> Answer:
        suggested = np.where(flagged, likeliest, given)
        of_suggested = _of(predictions, suggested)
        return Answer(scores, flagged, suggested, other, of_suggested, of_given, rate)

    found = {}
    for name in QUALITY:
        scores = -rank.get_label_quality_scores(given, predictions, method=name)
        flagged = np.zeros(len(given), bool)
        flagged[np.argsort(-scores, kind="stable")[:issues]] = True
        found[name] = answer(scores, flagged)
    for name in FILTERS:
        flagged = filter.find_label_issues(given, predictions, filter_by=name, n_jobs=1)
        found[f"find_label_issues, {name}"] = answer(flagged - of_given, flagged)
    return found


def likeliest_other(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Returns the likeliest class but the given one, `[N]`."""
    return np.where(np.arange(probabilities.shape[1]) == given[:, None], -1, probabilities).argmax(
        1
    )


def logistic_regression(
    inputs: Sequence[np.ndarray], given: np.ndarray, classes: int, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Returns out-of-fold class probabilities `[N, K]` of logistic regression, and its C.

    C is the one under which the given labels of held-out rows are likeliest: no true label is
    needed. From the strongest regularization on, the search ends where the likelihood falls.

    Args:
        inputs: a matrix `[N, D]` a modality (`standardized`).
        given: `[N]` int class ids.
        classes: K.
        seed: of the folds.

    Raises:
        UsageError: no class has a row a fold.
    """
    if np.bincount(given).max() < FOLDS:
        raise UsageError(
            f"no class has {FOLDS} rows, as many as there are folds; leave the regression out with "
            "--nologistic_regression"
        )
    x = np.concatenate(inputs, axis=1)
    best, chosen, found = -np.inf, STRENGTHS[0], np.empty((len(x), classes))
    for strength in STRENGTHS:
        predictions = _out_of_fold(x, given, classes, strength, seed)
        likelihood = float(np.log(_of(predictions, given) + TINY).mean())
        if likelihood < best:
            break
        best, chosen, found = likelihood, strength, predictions
    return found, chosen


def standardized(items: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Centers features `[N, D]` and divides all by one number; missing rows are zeros."""
    centered = items.astype(np.float64) - items[present].mean(0, dtype=np.float64)
    centered[~present] = 0.0
    scale = np.sqrt((centered[present] ** 2).mean())
    return (centered / max(scale, TINY)).astype(np.float32)


def _out_of_fold(
    x: np.ndarray, given: np.ndarray, classes: int, strength: float, seed: int
) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    predictions = np.zeros((len(x), classes))
    for taught, judged in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, given):
        model = LogisticRegression(C=strength, max_iter=300).fit(x[taught], given[taught])
        predictions[np.ix_(judged, model.classes_)] = model.predict_proba(x[judged])
    return predictions


def _of(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
