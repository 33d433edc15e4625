"""How many clusters there are: as many as the modalities agree on."""

from collections.abc import Sequence
from itertools import combinations

import jax
import numpy as np

from jaxcmr import guards
from jaxcmr.beliefs.cluster import kmeans
from jaxcmr.errors import UsageError

ROUNDING = 1e-6
CANDIDATES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50)


def estimate(
    features: Sequence[np.ndarray], *, seed: int, candidates: Sequence[int] = CANDIDATES
) -> tuple[int, dict[int, float]]:
    """Estimates the number of clusters by the agreement of modalities that are clustered apart.

        K = argmax_k mean over pairs (u, v) of ARI( kmeans(features_u, k), kmeans(features_v, k) )

    A true grouping shows in every modality; what k-means makes up where there is none differs from
    one to the other, and the adjusted Rand index is 0 for chance at any k. The largest k among
    equals: modalities may also agree on which two of the groups are alike. It is stability
    (Ben-Hur et al., 2002) with modalities in place of subsamples.

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
    from sklearn.metrics import adjusted_rand_score  # half a second to import

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
        pairs = [adjusted_rand_score(*pair) for pair in combinations(labels, 2)]
        scores[k] = float(np.mean(pairs))
    best = max(scores.values())
    return max(k for k, score in scores.items() if score >= best - ROUNDING), scores
