"""How good a clustering is: agreement with the true classes, and collapse. For reports (numpy).

A row with a negative cluster has none.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxcmr import guards
from jaxcmr.errors import UsageError


def agreement(predicted: np.ndarray, true_labels: np.ndarray) -> dict[str, float]:
    """Compares a clustering with the true classes, both numbered in any way.

    Args:
        predicted: `[N]` clusters, negative for none.
        true_labels: `[N]` classes, not negative.

    Returns:
        `accuracy`, the share of all rows whose cluster is matched to their class, under the
        one-to-one matching with most hits (Hungarian method; surplus clusters or classes stay
        unmatched); and, of the rows with a cluster, scikit-learn's normalized mutual information
        `NMI` and adjusted Rand index `ARI`. 0 where no row has a cluster.

    Raises:
        UsageError: no row, different lengths, no whole numbers, or a negative class.
    """
    # Not at the top: scikit-learn takes half a second to import.
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    predicted = guards.whole_numbers(predicted, name="clusters")
    true_labels = guards.whole_numbers(true_labels, name="classes")
    if predicted.shape != true_labels.shape or predicted.ndim != 1 or not len(predicted):
        raise UsageError(
            "clusters and classes must be two vectors of one length, at least 1, "
            f"got {predicted.shape} and {true_labels.shape}"
        )
    if true_labels.min() < 0:
        raise UsageError(f"class ids must not be negative, got {true_labels.min()}")
    clustered = predicted >= 0
    if not clustered.any():
        return dict.fromkeys(("accuracy", "NMI", "ARI"), 0.0)
    classes, clusters = true_labels[clustered], predicted[clustered]
    counts = contingency_matrix(classes, clusters)
    hits = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return {
        "accuracy": float(hits / len(predicted)),
        "NMI": float(normalized_mutual_info_score(classes, clusters)),
        "ARI": float(adjusted_rand_score(classes, clusters)),
    }


def collapse(predicted: np.ndarray, num_clusters: int, giant: float = 0.5) -> tuple[float, str]:
    """Measures the largest cluster, and warns where clusters are empty or one is giant.

    Args:
        predicted: `[N]` clusters, negative for none.
        num_clusters: K.
        giant: the share of the rows from which a cluster counts as giant; with K = 1 or 2, where
            such a share is normal, pass more.

    Returns:
        The share of the clustered rows in the largest cluster, in [0, 1]; and a sentence that names
        the collapse, or "" if there is none.

    Raises:
        UsageError: a cluster is K or more, or no whole number.
    """
    num_clusters = guards.check_whole("num_clusters", num_clusters, 1)
    guards.check_shape("predicted", predicted, "N")
    predicted = guards.whole_numbers(predicted, name="cluster ids")
    if predicted.size and predicted.max() >= num_clusters:
        raise UsageError(f"cluster ids must be below {num_clusters}, got {predicted.max()}")
    sizes = np.bincount(predicted[predicted >= 0], minlength=num_clusters)
    shares = sizes / max(sizes.sum(), 1)
    empty, largest = int((sizes == 0).sum()), float(shares.max())
    troubles = [f"{empty} of {num_clusters} clusters are empty"] if empty else []
    if largest >= giant:
        troubles.append(f"cluster {shares.argmax()} holds {largest:.0%} of the rows")
    return largest, " and ".join(troubles)
