"""Out-of-fold class logits by linear classifiers on vectors, whatever a network was taught (numpy).

A network that shapes a space need not be the best judge of labels. Where items are vectors
(features of a frozen network, words of a text), a linear classifier a fold, which has not seen the
labels of the fold, often knows more. Its loss forgives wrong labels (forward correction: Patrini et
al., "Making deep neural networks robust to label noise", CVPR 2017): with the share e of labels
drawn by their frequencies m,

    mean_i -log((1 - e) softmax(W x_i)_y + e m_y) + penalty / 2 |W|^2

The penalty is the one under which the given labels of one fold, held out, are likeliest. This
choice, of one for all folds, is all that a label has to do with the logits of its own row.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import minimize

from jaxcmr.beliefs.label_errors import softmax

FOLDS = 5
WRONG = 0.3  # e in the loss; what is trained depends little on it
PENALTIES = (3e-3, 1e-3, 3e-4, 1e-4)
ITERATIONS = 40  # of L-BFGS, for each penalty; each starts where the one before has ended
TOLERANCE = 1e-4  # relative change of the loss at which they end
FITTED = 20_000  # rows that the classifiers are fitted on; of more, evenly spread ones
PRODUCTS = 1e9  # multiplications of one pass over them; beyond that, fewer rows are fitted on
FEWEST = 10  # rows a class, or there is no classifier
CONSTANT = np.float32(0.3)  # beside the vectors, for the frequency of each class
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)  # of logits, whose penalty makes them too small
WRONG_SHARES = (0.05, 0.2, 0.35, 0.5, 0.7)
TINY = 1e-30


def out_of_fold_logits(
    vectors: np.ndarray, given: np.ndarray, groups: np.ndarray, num_classes: int
) -> np.ndarray | None:
    """Fits the classifiers; each row is judged by those that have not seen its label.

    Args:
        vectors: `[N, D]`, `scaled`.
        given: `[N]` int, -1 where there is no label.
        groups: `[N]` int; rows of a group share their fold.
        num_classes: K.

    Returns:
        `[N, K]` logits; None where there are too few labels for so many classes and dimensions, or
        in too few groups.
    """
    x = np.concatenate([vectors, np.full((len(vectors), 1), CONSTANT, np.float32)], 1)
    rows = np.flatnonzero(given >= 0)
    most = int(min(FITTED, PRODUCTS / (x.shape[1] * FOLDS * num_classes)))
    fitted = rows[:: max(-(-len(rows) // max(most, 1)), 1)]
    if len(fitted) < max(FEWEST * num_classes, 2 * FOLDS):
        return None
    _, group = np.unique(groups, return_inverse=True)
    folds = np.random.default_rng(0).integers(0, FOLDS, group.max() + 1)[group]
    if len(np.unique(folds[fitted])) < FOLDS:
        return None
    taught = [fitted[folds[fitted] != fold] for fold in range(FOLDS)]
    frequencies = [_frequencies(given[rows], num_classes) for rows in taught]
    fit = lambda fold, penalties: _path(
        x[taught[fold]], given[taught[fold]], frequencies[fold], penalties
    )
    out = fitted[folds[fitted] == 0]
    scores = [_likelihood(x[out] @ w, given[out], frequencies[0]) for w in fit(0, PENALTIES)]
    chosen = int(np.argmax(scores))
    logits = np.empty((len(x), num_classes), np.float32)
    for fold in range(FOLDS):
        *_, weights = fit(fold, PENALTIES[max(chosen - 1, 0) : chosen + 1])
        logits[folds == fold] = x[folds == fold] @ weights
    return logits


def scaled(vectors: np.ndarray) -> np.ndarray:
    """Centers vectors `[N, D]` and scales their mean square length to 1, float32."""
    x = np.asarray(vectors, np.float32)
    x = x - x.mean(0)
    length = np.sqrt(np.einsum("nd,nd->", x, x, dtype=np.float64) / max(len(x), 1))
    return x / np.float32(max(length, TINY))


def _frequencies(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the share of each class `[K]`, with one pseudo-count."""
    counts = np.bincount(labels, minlength=num_classes) + 1
    return counts / counts.sum()


def _path(
    x: np.ndarray, labels: np.ndarray, frequencies: np.ndarray, penalties: Sequence[float]
) -> Iterator[np.ndarray]:
    """Yields the weights `[D, K]` of a classifier under each penalty, the strongest first."""
    shape, place = (x.shape[1], len(frequencies)), np.arange(len(x))
    noise = WRONG * frequencies[labels]

    def loss(flat: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape).astype(np.float32)
        p = softmax(x @ weights)
        right = (1 - WRONG) * p[place, labels]
        share = right / (right + noise)
        p *= share[:, None]
        p[place, labels] -= share
        gradient = x.T @ p / len(x) + penalty * weights
        value = -np.log(right + noise).mean() + penalty / 2 * (weights**2).sum()
        return float(value), gradient.ravel().astype(np.float64)

    flat = np.zeros(shape).ravel()
    options = {"maxiter": ITERATIONS, "ftol": TOLERANCE}
    for penalty in penalties:
        flat = minimize(loss, flat, (penalty,), "L-BFGS-B", jac=True, options=options).x
        yield flat.reshape(shape).astype(np.float32)


def _likelihood(logits: np.ndarray, labels: np.ndarray, frequencies: np.ndarray) -> float:
    """Returns the mean log-likelihood of labels at the best scale and share of wrong labels."""
    place, noise = np.arange(len(logits)), frequencies[labels]
    right = [softmax(scale * logits)[place, labels] for scale in SCALES]
    each = [(1 - wrong) * p + wrong * noise for p in right for wrong in WRONG_SHARES]
    return max(float(np.log(np.maximum(p, TINY)).mean()) for p in each)
