"""What people want to know of the labels that a method found: for reports alone (numpy)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.labels.cluster_scores import (
    adjusted_rand_index,
    match_clusters,
    normalized_mutual_information,
    summarize_sizes,
)
from jaxcmr.types import Dataset


def pseudo_labels(num_classes: int, beliefs: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Compares found classes with the truth, with each other, and with collapse.

    Args:
        num_classes: K of the classes found.
        beliefs: `classes [E, V, N]` int, the class of each row by each voter, -1 where there is
            none; optionally `below_clip [E, V, N]` bool.
        dataset: the training set; true labels where they are known.

    Returns:
        `accuracy` (under the best matching of classes found to true ones), `NMI` and `ARI` of the
        majority of the voters, where the truth is known; `agreement`, the share of the rows on
        which a pair of modalities of a member agrees; `largest`, the share of the largest class;
        `below clip`; and `warning`, a sentence, if classes collapsed. Nothing before there are
        classes.
    """
    classes = np.asarray(beliefs["classes"])
    if (classes < 0).all():
        return {}
    majority = majority_class(classes.reshape(-1, classes.shape[-1]))
    found: dict[str, Any] = {}
    if dataset.true_labels is not None:
        truth = dataset.true_labels
        found["accuracy"] = match_clusters(majority, truth).accuracy
        found["NMI"] = normalized_mutual_information(majority, truth)
        found["ARI"] = adjusted_rand_index(majority, truth)
    first, *others = np.moveaxis(classes, 1, 0)
    found["agreement"] = float(np.mean([(other == first).mean() for other in others]))
    sizes = summarize_sizes(majority, num_classes)
    found["largest"] = sizes.largest
    if "below_clip" in beliefs:
        found["below clip"] = float(np.mean(beliefs["below_clip"]))
    return found | {"warning": sizes.collapsed}


def majority_class(votes: np.ndarray) -> np.ndarray:
    """Returns the class with most votes of each row, `[M, N] -> [N]`; -1 where nobody votes.

    The lowest class among equals.
    """
    counts = np.zeros((votes.shape[1], max(int(votes.max()) + 1, 1)), np.int32)
    for voter in votes:
        voting = np.flatnonzero(voter >= 0)
        np.add.at(counts, (voting, voter[voting]), 1)
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)
