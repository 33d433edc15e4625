"""How good a clustering is: accuracy under the best matching, NMI, ARI, sizes. For reports (numpy).

Rows with a negative predicted cluster have none: they are never right, and NMI and ARI leave them
out.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment  # a dependency of jax

from jaxcmr import guards
from jaxcmr.errors import UsageError

MOST_IDS = 10_000  # the table of a matching has as many rows and columns


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
        UsageError: no row, different lengths, a negative class, or ids above `MOST_IDS`.
    """
    predicted, true_labels = _checked(predicted, true_labels)
    size = int(max(predicted.max(), true_labels.max())) + 1
    if size > MOST_IDS:
        raise UsageError(
            f"ids of clusters or classes reach {size - 1}: number them from 0, below {MOST_IDS}"
        )
    confusion = np.zeros((size, size), np.int64)
    clustered = predicted >= 0
    np.add.at(confusion, (predicted[clustered], true_labels[clustered]), 1)
    clusters, classes = linear_sum_assignment(confusion, maximize=True)
    hits = confusion[clusters, classes]
    return Matching(float(hits.sum() / len(predicted)), np.where(hits > 0, classes, -1), confusion)


def normalized_mutual_information(predicted: np.ndarray, true_labels: np.ndarray) -> float:
    """Returns NMI, `I(c; y) / ((H(c) + H(y)) / 2)`, in [0, 1].

    1 where neither side splits the rows (scikit-learn's convention); 0 without a clustered row.

    Raises:
        UsageError: no row, different lengths, or a negative class.
    """
    joint, rows, columns = _counts(*_checked(predicted, true_labels))
    if not len(joint):
        return 0.0
    joint, rows, columns = (counts / counts.sum() for counts in (joint, rows, columns))
    mean = (_entropy(rows) + _entropy(columns)) / 2
    information = _entropy(rows) + _entropy(columns) - _entropy(joint)
    return float(np.clip(information / mean, 0, 1)) if mean > 0 else 1.0


def adjusted_rand_index(predicted: np.ndarray, true_labels: np.ndarray) -> float:
    """Returns ARI, the agreement over pairs of rows: 1 for equal partitions, about 0 by chance.

    `(sum_ij C(n_ij, 2) - e) / ((A + B) / 2 - e)` with A, B the pairs together on each side and
    `e = A B / C(n, 2)` (Hubert & Arabie 1985). 1 where both sides are trivial in the same way; 0
    without a clustered row.

    Raises:
        UsageError: no row, different lengths, or a negative class.
    """
    counts = _counts(*_checked(predicted, true_labels))
    if not len(counts[0]):
        return 0.0
    pairs = lambda n: (n * (n - 1) / 2).sum()
    both, rows, columns = map(pairs, counts)
    expected = rows * columns / max(pairs(counts[0].sum()), 1.0)
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
        UsageError: a cluster id is K or more, or no whole number.
    """
    num_clusters = guards.check_whole("num_clusters", num_clusters, 1)
    guards.check_shape("predicted", predicted, "N")
    predicted = guards.whole_numbers(predicted, name="cluster ids")
    if predicted.size and predicted.max() >= num_clusters:
        raise UsageError(f"cluster ids must be below {num_clusters}, got {predicted.max()}")
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
    predicted = guards.whole_numbers(predicted, name="clusters")
    true_labels = guards.whole_numbers(true_labels, name="classes")
    if predicted.shape != true_labels.shape or predicted.ndim != 1 or not len(predicted):
        raise UsageError(
            "clusters and classes must be two vectors of one length, at least 1, "
            f"got {predicted.shape} and {true_labels.shape}"
        )
    if true_labels.min() < 0:
        raise UsageError(f"class ids must not be negative, got {true_labels.min()}")
    return predicted, true_labels


def _counts(predicted: np.ndarray, true_labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Counts the clustered rows: by cluster and class, by cluster, and by class; none is 0."""
    pairs = np.stack([predicted, true_labels])[:, predicted >= 0]
    count = lambda values: np.unique(values, axis=-1, return_counts=True)[1].astype(float)
    return count(pairs), count(pairs[0]), count(pairs[1])


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
