"""How good a clustering is: accuracy under the best matching, NMI, ARI, sizes. For reports (numpy).

Rows with a negative predicted cluster have none: they are never right, and NMI and ARI leave them
out.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment  # a dependency of jax


class Matching(NamedTuple):
    """The best one-to-one matching of clusters to classes.

    Attributes:
        accuracy: share of all rows whose cluster is matched to their class.
        classes: `[C]` int, the class of each cluster id, -1 if they have no row in common.
        confusion: `[C, C]` int counts, `confusion[cluster, class]`; C is the highest id + 1.
    """

    accuracy: float
    classes: np.ndarray
    confusion: np.ndarray


def match_clusters(predicted: np.ndarray, true_labels: np.ndarray) -> Matching:
    """Matches clusters to classes so that most rows agree (Hungarian method).

    Clusters and classes may differ in number: the surplus of either stays unmatched, and its rows
    are wrong.

    Args:
        predicted: `[N]` cluster ids, negative for none.
        true_labels: `[N]` class ids.

    Raises:
        ValueError: no row, different lengths, or a negative class.
    """
    predicted, true_labels = _checked(predicted, true_labels)
    confusion = _contingency(predicted, true_labels)
    clusters, classes = linear_sum_assignment(confusion, maximize=True)
    hits = confusion[clusters, classes]
    return Matching(float(hits.sum() / len(predicted)), np.where(hits > 0, classes, -1), confusion)


def normalized_mutual_information(predicted: np.ndarray, true_labels: np.ndarray) -> float:
    """Returns NMI, `I(c; y) / ((H(c) + H(y)) / 2)`, in [0, 1].

    1 where neither side splits the rows (scikit-learn's convention); 0 without a clustered row.

    Raises:
        ValueError: no row, different lengths, or a negative class.
    """
    joint = _contingency(*_checked(predicted, true_labels)).astype(float)
    if joint.sum() == 0:
        return 0.0
    joint /= joint.sum()
    rows, columns = joint.sum(1), joint.sum(0)
    mean = (_entropy(rows) + _entropy(columns)) / 2
    information = _entropy(rows) + _entropy(columns) - _entropy(joint.ravel())
    return float(np.clip(information / mean, 0, 1)) if mean > 0 else 1.0


def adjusted_rand_index(predicted: np.ndarray, true_labels: np.ndarray) -> float:
    """Returns ARI, the agreement over pairs of rows: 1 for equal partitions, about 0 by chance.

    `(sum_ij C(n_ij, 2) - e) / ((A + B) / 2 - e)` with A, B the pairs together on each side and
    `e = A B / C(n, 2)` (Hubert & Arabie 1985). 1 where both sides are trivial in the same way.

    Raises:
        ValueError: no row, different lengths, or a negative class.
    """
    table = _contingency(*_checked(predicted, true_labels)).astype(float)
    pairs = lambda n: (n * (n - 1) / 2).sum()
    both, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    expected = rows * columns / max(pairs(table.sum()), 1.0)
    most = (rows + columns) / 2
    return float((both - expected) / (most - expected)) if most != expected else 1.0


class SizeSummary(NamedTuple):
    """What the sizes of K clusters say about collapse.

    Attributes:
        sizes: `[K]` int.
        empty: number of clusters without a row.
        largest: share of the clustered rows in the largest cluster, in [0, 1].
        effective: `exp(entropy of the sizes)`, the number of equally large clusters that would be
            as diverse: K when balanced, 1 when all rows are in one.
        collapsed: a sentence that names the collapse, or "" if there is none.
    """

    sizes: np.ndarray
    empty: int
    largest: float
    effective: float
    collapsed: str


def summarize_sizes(predicted: np.ndarray, num_clusters: int, giant: float = 0.5) -> SizeSummary:
    """Summarises cluster sizes, and says so where one is empty or giant.

    Args:
        predicted: `[N]` cluster ids, negative for none.
        num_clusters: K.
        giant: the share of the rows from which a cluster counts as giant; with K = 1 or 2, where
            such a share is normal, pass more.

    Raises:
        ValueError: a cluster id is K or more.
    """
    predicted = np.asarray(predicted)
    if predicted.size and predicted.max() >= num_clusters:
        raise ValueError(f"cluster ids must be below {num_clusters}, got {predicted.max()}")
    sizes = np.bincount(predicted[predicted >= 0], minlength=num_clusters)
    shares = sizes / max(sizes.sum(), 1)
    empty, largest = int((sizes == 0).sum()), float(shares.max())
    troubles = []
    if empty:
        troubles.append(f"{empty} of {num_clusters} clusters are empty")
    if largest >= giant:
        troubles.append(f"cluster {shares.argmax()} holds {largest:.0%} of the rows")
    effective = float(np.exp(_entropy(shares)))
    return SizeSummary(sizes, empty, largest, effective, " and ".join(troubles))


def _checked(predicted: np.ndarray, true_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted, true_labels = np.asarray(predicted), np.asarray(true_labels)
    if predicted.shape != true_labels.shape or predicted.ndim != 1 or not len(predicted):
        raise ValueError(
            "clusters and classes must be two vectors of one length, at least 1, "
            f"got {predicted.shape} and {true_labels.shape}"
        )
    if true_labels.min() < 0:
        raise ValueError(f"class ids must not be negative, got {true_labels.min()}")
    return predicted, true_labels


def _contingency(predicted: np.ndarray, true_labels: np.ndarray) -> np.ndarray:
    """Counts the clustered rows by cluster and class, in a square table."""
    size = max(predicted.max(), true_labels.max()) + 1
    table = np.zeros((size, size), np.int64)
    clustered = predicted >= 0
    np.add.at(table, (predicted[clustered], true_labels[clustered]), 1)
    return table


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
