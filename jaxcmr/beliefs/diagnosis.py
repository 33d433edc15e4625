"""Diagnosis of the labels that a method found, for reports only (numpy)."""

from typing import Any

import numpy as np

from jaxcmr.beliefs import cluster_scores
from jaxcmr.types import UNKNOWN, Dataset, axis_order

LOG_LIKELIHOODS = ("likelihood",)  # in nats a label; all other numbers here are shares or indices


def pseudo_labels(beliefs: Any, dataset: Dataset, num_classes: int) -> dict[str, Any]:
    """Compares found classes with the truth, with each other, and with collapse.

    Args:
        beliefs: `classes [E, V, N]` int, the class of each row by each voter, -1 where there is
            none; optionally `below_clip [E, V, N]` bool.
        dataset: the training set; true labels where they are known.
        num_classes: K of the classes found.

    Returns:
        `accuracy` (under the best matching of classes found to true ones), `NMI` and `ARI` of the
        majority of the voters, on the rows whose true class is known; `agreement`, the share of
        the rows on which a pair of modalities of a member agrees; `largest`, the share of the
        largest class; `below clip`, the share of the labels that are; and `warning`, a sentence, if
        classes collapsed. Nothing before there are classes.
    """
    classes = _of_present(beliefs.classes, dataset)
    if (classes < 0).all():
        return {}
    majority = majority_class(classes.reshape(-1, classes.shape[-1]))
    found: dict[str, Any] = {}
    if dataset.true_labels is not None and (dataset.true_labels >= 0).any():
        found |= cluster_scores.agreement(majority, dataset.true_labels)
    found |= _agreement(np.moveaxis(classes, 1, 0))
    found["largest"], warning = cluster_scores.collapse(majority, num_classes)
    labelled = np.stack([dataset.labels_of(name) for name in axis_order(dataset.modalities)]) >= 0
    if hasattr(beliefs, "below_clip") and labelled.any():
        found["below clip"] = float(np.mean(np.asarray(beliefs.below_clip)[:, labelled]))
    return found | {"warning": warning}


def majority_class(votes: np.ndarray) -> np.ndarray:
    """Returns the class with most votes of each row, `[M, N] -> [N]`; -1 without a vote.

    The lowest class among equals.
    """
    classes = np.arange(max(int(votes.max()) + 1, 1))
    counts = sum((voter[:, None] == classes).astype(np.int32) for voter in votes)
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)


def believed_labels(beliefs: Any, dataset: Dataset) -> dict[str, Any]:
    """Describes the labels that an ensemble is trained on and, with the truth, their quality.

    Args:
        beliefs: `labels [E, N]` int, what each member is trained on, -1 for nothing; `classes
            [E, V, N]` int, what each voter predicts; `thresholds` with `value [E, K]`; `ballots`
            with `value [E, N]`.
        dataset: the training set.

    Returns:
        `accepted` and `clarified`, the shares of the rows whose given label is kept, or replaced;
        `threshold`, the mean over classes; `agreement` of the members' predictions; and, with the
        truth, `precision` and `recall` of the accepted labels as clean ones, `clarified accuracy`,
        and `votes clean`, `votes wrong`: the shares of these labels whose remembered ballot lies in
        each tenth of [0, 1]. Means over members, and over the rows with a given label; an item of
        none of the classes (-1) has a wrong one. Nothing before labels are chosen.
    """
    labels = np.asarray(beliefs.labels)
    if (labels < 0).all():
        return {}
    return {
        "threshold": float(np.mean(beliefs.thresholds.value)),
        **_agreement(_of_present(beliefs.classes, dataset)),
        **_kept(labels, np.asarray(beliefs.ballots.value), dataset),
    }


def posterior_labels(beliefs: Any, dataset: Dataset) -> dict[str, Any]:
    """Describes the posteriors of an ensemble and, if the truth is known, how often they are right.

    Args:
        beliefs: `labels [E, N]` int, the likeliest class of each row, -1 for none;
            `self_confidence [E, N]`, the posterior of the given label; `classes [E, V, N]` int,
            what each voter predicts; `likelihoods [E, S]`, sums of log-likelihoods of given labels,
            over `counted [E]` rows.
        dataset: the training set.

    Returns:
        `right`, the mean posterior of the given label; `likelihood`, the mean log-likelihood of a
        label under its out-of-fold votes, by which runs on the same labels can be compared;
        `agreement` of the members' predictions; `accepted` and `clarified`, the shares of the rows
        whose likeliest class is the given one, or another; and, with the truth, `accuracy` of the
        likeliest classes and what `believed_labels` returns of these, with the posterior of the
        given label in place of the ballot. Rows without a given label are left out. Nothing before
        there are posteriors.
    """
    labels, right = np.asarray(beliefs.labels), np.asarray(beliefs.self_confidence)
    if (labels < 0).all():
        return {}
    found = {
        "right": float(right[:, dataset.labels >= 0].mean()),
        **_likelihood(np.asarray(beliefs.likelihoods), np.asarray(beliefs.counted)),
        **_agreement(_of_present(beliefs.classes, dataset)),
        **_kept(labels, right, dataset),
    }
    rows, truth = _known(dataset)
    if len(rows):
        found["accuracy"] = float((labels[:, rows] == truth).mean())
    return found


def _known(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows that have a given label and whose true one is known, and the true ones."""
    if dataset.true_labels is None:
        return np.arange(0), np.arange(0)
    rows = np.flatnonzero((dataset.labels >= 0) & (dataset.true_labels != UNKNOWN))
    return rows, dataset.true_labels[rows]


def _of_present(classes: Any, dataset: Dataset) -> np.ndarray:
    """Returns `classes [E, V, N]` with -1 for missing items, whose predictions are meaningless."""
    complete = np.ones(len(dataset), bool)
    present = [dataset.present.get(name, complete) for name in axis_order(dataset.modalities)]
    return np.where(np.stack(present), np.asarray(classes), -1)


def _agreement(classes: np.ndarray) -> dict[str, float]:
    """Returns the share of its predictions on which each of the others agrees with the first.

    Rows without a prediction (-1) are left out; nothing is returned where all are.
    """
    first, *others = classes
    shares = [(other == first)[(other >= 0) & (first >= 0)] for other in others]
    shares = [float(same.mean()) for same in shares if same.size]
    if others and not shares:
        return {}
    return {"agreement": float(np.mean(shares or [1.0]))}


def _likelihood(sums: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Averages the best of the sums `[E, S]` over the members that counted any `rows [E]`."""
    counted = rows > 0
    if not counted.any():
        return {}
    return {"likelihood": float(np.mean(sums.max(-1)[counted] / rows[counted]))}


def _kept(labels: np.ndarray, votes: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    """Describes chosen labels `[E, N]` of rows that have one, with the votes `[E, N]` for those.

    A share over no labels is left out.
    """
    given = dataset.labels
    accepted = (labels == given) & (labels >= 0)
    clarified = (labels != given) & (labels >= 0)
    share = lambda chosen: float(chosen[:, given >= 0].mean())
    found = {"accepted": share(accepted), "clarified": share(clarified)}
    rows, truth = _known(dataset)
    if len(rows):
        labels, votes, accepted, clarified = (
            of[:, rows] for of in (labels, votes, accepted, clarified)
        )
        clean = given[rows] == truth
        both, right = accepted & clean, clarified & (labels == truth)
        shares = {
            "precision": (both, accepted.sum()),
            "recall": (both, len(labels) * clean.sum()),
            "clarified accuracy": (right, clarified.sum()),
        }
        found |= {name: float(hits.sum() / of) for name, (hits, of) in shares.items() if of}
        for name, of in (("clean", clean), ("wrong", ~clean)):
            counts, _ = np.histogram(votes[:, of], bins=10, range=(0, 1))
            found[f"votes {name}"] = (counts / max(counts.sum(), 1)).round(4).tolist()
    return found
