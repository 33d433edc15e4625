"""What people want to know of the labels that a method found: for reports alone (numpy)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.beliefs import cluster_scores
from jaxcmr.types import Dataset

LOG_LIKELIHOODS = ("likelihood",)  # in nats a label; all other numbers here are shares or indices


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
    classes = _of_present(beliefs, dataset)
    if (classes < 0).all():
        return {}
    majority = majority_class(classes.reshape(-1, classes.shape[-1]))
    found: dict[str, Any] = {}
    if dataset.true_labels is not None:
        found |= cluster_scores.agreement(majority, dataset.true_labels)
    found |= _agreement(np.moveaxis(classes, 1, 0))
    found["largest"], warning = cluster_scores.collapse(majority, num_classes)
    if "below_clip" in beliefs:
        found["below clip"] = float(np.mean(beliefs["below_clip"]))
    return found | {"warning": warning}


def majority_class(votes: np.ndarray) -> np.ndarray:
    """Returns the class with most votes of each row, `[M, N] -> [N]`; -1 where nobody votes.

    The lowest class among equals.
    """
    counts = np.zeros((votes.shape[1], max(int(votes.max()) + 1, 1)), np.int32)
    for voter in votes:
        voting = np.flatnonzero(voter >= 0)
        np.add.at(counts, (voting, voter[voting]), 1)
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)


def believed_labels(beliefs: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Says which labels an ensemble believes, and, where the truth is known, how rightly.

    Args:
        beliefs: `labels [E, N]` int, what each member is taught, -1 for nothing; `classes
            [E, V, N]` int, what each voter predicts; `thresholds` with `value [E, K]`; `memory`
            with `value [E, N]`.
        dataset: the training set.

    Returns:
        `accepted` and `clarified`, the shares of the rows whose given label is taught, or another
        one; `threshold`, the mean over classes; `agreement` of the members' predictions;
        and, with the truth, `precision` and `recall` of the accepted labels as clean ones,
        `clarified accuracy`, and `votes clean`, `votes wrong`: the shares of these labels whose
        remembered vote lies in each tenth of [0, 1]. Means over members. Nothing before labels
        are chosen.
    """
    believed, classes = np.asarray(beliefs["labels"]), _of_present(beliefs, dataset)
    if (believed < 0).all():
        return {}
    return {
        "threshold": float(np.mean(beliefs["thresholds"].value)),
        **_agreement(classes),
        **_taken(believed, np.asarray(beliefs["memory"].value), dataset),
    }


def posterior_labels(beliefs: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Says what an ensemble takes the labels for, and, where the truth is known, how rightly.

    Args:
        beliefs: `labels [E, N]` int, the likeliest class of each row, -1 for none; `right [E, N]`,
            how likely the given label is right; `classes [E, V, N]` int, what each voter predicts;
            `likelihood [E, G]`, sums of log-likelihoods of given labels, over `rows [E]`.
        dataset: the training set.

    Returns:
        `right`, the mean probability of the given label; `likelihood`, the mean log-likelihood of a
        label under votes that were not taught it, by which runs on the same labels can be compared;
        `agreement` of the members' predictions; `accepted` and `clarified`, the shares of the rows
        whose likeliest class is the given one, or another; and, with the truth, `accuracy` of the
        likeliest classes and what `believed_labels` says of these, with the probability of the
        given label in place of the vote. Nothing before labels are judged.
    """
    likeliest, classes = np.asarray(beliefs["labels"]), _of_present(beliefs, dataset)
    if (likeliest < 0).all():
        return {}
    right = np.asarray(beliefs["right"])
    found = {
        "right": float(right.mean()),
        **_likelihood(np.asarray(beliefs["likelihood"]), np.asarray(beliefs["rows"])),
        **_agreement(classes),
        **_taken(likeliest, right, dataset),
    }
    if dataset.true_labels is not None:
        found["accuracy"] = float((likeliest == dataset.true_labels).mean())
    return found


def _of_present(beliefs: Mapping[str, Any], dataset: Dataset) -> np.ndarray:
    """Returns `classes [E, V, N]` with -1 for missing items: what is said of them is of nothing.

    V is in the order in which a jitted function has modalities, that of their names.
    """
    complete = np.ones(len(dataset), bool)
    present = [dataset.present.get(name, complete) for name in sorted(dataset.modalities)]
    return np.where(np.stack(present), np.asarray(beliefs["classes"]), -1)


def _agreement(classes: np.ndarray) -> dict[str, float]:
    """Says on what share of the predictions each of the others is of one mind with the first.

    Predictions that there are not (-1) are left out; nothing is said where all are.
    """
    first, *others = classes
    shares = [(other == first)[(other >= 0) & (first >= 0)] for other in others]
    shares = [float(same.mean()) for same in shares if same.size]
    if others and not shares:
        return {}
    return {"agreement": float(np.mean(shares or [1.0]))}


def _likelihood(sums: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Averages the best of the sums `[E, G]` over the members that judged any of their `rows`."""
    judged = rows > 0
    if not judged.any():
        return {}
    return {"likelihood": float(np.mean(sums.max(-1)[judged] / rows[judged]))}


def _taken(believed: np.ndarray, votes: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    """Says which labels `[E, N]` are taken, and how rightly; `votes [E, N]` for the given ones.

    A share of nothing is left out.
    """
    given = dataset.labels
    accepted = (believed == given) & (believed >= 0)
    clarified = (believed != given) & (believed >= 0)
    found = {"accepted": float(accepted.mean()), "clarified": float(clarified.mean())}
    if dataset.true_labels is not None:
        clean = given == dataset.true_labels
        both, right = accepted & clean, clarified & (believed == dataset.true_labels)
        shares = {
            "precision": (both, accepted.sum()),
            "recall": (both, len(believed) * clean.sum()),
            "clarified accuracy": (right, clarified.sum()),
        }
        found |= {name: float(hits.sum() / of) for name, (hits, of) in shares.items() if of}
        for name, rows in (("clean", clean), ("wrong", ~clean)):
            counts, _ = np.histogram(votes[:, rows], bins=10, range=(0, 1))
            found[f"votes {name}"] = (counts / max(counts.sum(), 1)).round(4).tolist()
    return found
