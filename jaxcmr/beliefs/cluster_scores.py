"""How many clusters there are, and how good a clustering is (numpy)."""

from collections.abc import Sequence
from itertools import combinations

import jax
import numpy as np

from jaxcmr import guards
from jaxcmr.beliefs.clusters import kmeans
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later

optimize = Later("scipy.optimize")

CANDIDATES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50)
_ROUNDING = 1e-6


def number_of_clusters(
    features: Sequence[np.ndarray], *, seed: int, candidates: Sequence[int] = CANDIDATES
) -> tuple[int, dict[int, float]]:
    """Estimates the number of clusters by the agreement of modalities that are clustered apart.

        K = argmax_k mean over pairs (u, v) of ARI( kmeans(features_u, k), kmeans(features_v, k) )

    A true grouping shows in every modality; where there is none, the clusters of k-means differ
    between modalities, and the adjusted Rand index is 0 for chance at any k. Among equal scores the
    largest k is taken: modalities may also agree on which two of the groups are alike. It is
    stability (Ben-Hur et al., 2002) with modalities in place of subsamples.

    Args:
        features: `[N, d_v]` a modality, two or more; row i of all shows the same thing.
        seed: of the k-means starts.
        candidates: numbers to try; those above N / 2 are left out.

    Returns:
        K, and the score of each candidate.

    Raises:
        UsageError: fewer than two modalities, different lengths, no candidate left, or a row holds
            NaN or infinity.
    """
    for one in features:
        guards.check_rows("features", one)
    rows = {len(one) for one in features}
    if len(features) < 2 or len(rows) != 1:
        raise UsageError("the estimate needs two or more modalities of the same rows")
    most = rows.pop() / 2
    seed = guards.check_whole("seed", seed, 0, 2**32 - 1)
    candidates = [guards.check_whole("a candidate", k, 0) for k in candidates]
    tried = [k for k in candidates if 2 <= k <= most]
    if not tried:
        raise UsageError(f"none of {tuple(candidates)} is between 2 and half the rows")
    scores = {}
    for k in tried:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), k), len(features))
        labels = [np.asarray(kmeans(key, one, k).labels) for key, one in zip(keys, features)]
        pairs = [_adjusted_rand_index(_shared_rows(*pair)) for pair in combinations(labels, 2)]
        scores[k] = float(np.mean(pairs))
    best = max(scores.values())
    return max(k for k, score in scores.items() if score >= best - _ROUNDING), scores


def agreement(predicted: np.ndarray, true_labels: np.ndarray) -> dict[str, float]:
    """Compares a clustering with the true classes, both numbered in any way.

    Args:
        predicted: `[N]` clusters, negative for none.
        true_labels: `[N]` classes; rows with a negative one belong to none, and are left out.

    Returns:
        `accuracy`, the share of all rows with a class whose cluster is matched to it, under the
        one-to-one matching with most hits (Hungarian method; surplus clusters or classes stay
        unmatched); and, of those with a cluster, the normalized mutual information `NMI` and
        the adjusted Rand index `ARI`. 0 where no row has a cluster.

    Raises:
        UsageError: no row has a class, different lengths, or no whole numbers.
    """
    predicted = guards.whole_numbers(predicted, name="clusters")
    true_labels = guards.whole_numbers(true_labels, name="classes")
    if predicted.shape != true_labels.shape or predicted.ndim != 1 or not len(predicted):
        raise UsageError(
            "clusters and classes must be two vectors of one length, at least 1, "
            f"got {predicted.shape} and {true_labels.shape}"
        )
    classed = true_labels >= 0
    if not classed.any():
        raise UsageError(f"no row has a class: all class ids are negative, {true_labels[0]}, ...")
    predicted, true_labels = predicted[classed], true_labels[classed]
    clustered = predicted >= 0
    if not clustered.any():
        return dict.fromkeys(("accuracy", "NMI", "ARI"), 0.0)
    counts = _shared_rows(true_labels[clustered], predicted[clustered])
    hits = counts[optimize.linear_sum_assignment(counts, maximize=True)].sum()
    return {
        "accuracy": float(hits / len(predicted)),
        "NMI": float(_normalized_mutual_information(counts)),
        "ARI": float(_adjusted_rand_index(counts)),
    }


def _shared_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Counts the rows `[A, B]` that each group of one partition `[N]` shares with each of another.

    Groups are numbered in any way; the counts have them in the order of their numbers.
    """
    (a, first), (b, second) = (np.unique(one, return_inverse=True) for one in (first, second))
    counts = np.bincount(first * len(b) + second, minlength=len(a) * len(b))
    return counts.reshape(len(a), len(b))


def _adjusted_rand_index(counts: np.ndarray) -> float:
    """Compute the share of pairs of rows on which two partitions agree, corrected for chance.

        ARI = 2 (s d - a b) / ((s + a) (a + d) + (s + b) (b + d))

    over ordered pairs of rows: s are together in both partitions, d in none, a in the first alone,
    b in the second alone. 1 for equal partitions, 0 for random ones on average.

    Args:
        counts: of `_shared_rows`.

    Source: Hubert & Arabie, Comparing partitions, Journal of Classification 1985.
    """
    squares = lambda numbers: sum(int(n) ** 2 for n in numbers)  # whole numbers of any size
    rows, both = int(counts.sum()), squares(counts.flat)
    a, b = squares(counts.sum(1)) - both, squares(counts.sum(0)) - both
    s, d = both - rows, rows**2 - both - a - b
    if a == b == 0:
        return 1.0
    return 2.0 * (s * d - a * b) / ((s + a) * (a + d) + (s + b) * (b + d))


def _normalized_mutual_information(counts: np.ndarray) -> float:
    """Compute the mutual information of two partitions over the mean of their entropies.

        NMI = 2 sum_ij p_ij log(p_ij / (p_i p_j)) / (H(i) + H(j))

    1 for equal partitions, those of a single group among them; 0 for independent ones.

    Args:
        counts: of `_shared_rows`.
    """
    joint = counts / counts.sum()
    first, second = joint.sum(1), joint.sum(0)
    entropies = -sum((p * np.log(p)).sum() for p in (first, second))
    if entropies == 0:
        return 1.0
    some = joint > 0
    information = joint[some] * np.log(joint[some] / np.outer(first, second)[some])
    return max(2 * information.sum() / entropies, 0.0)


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
