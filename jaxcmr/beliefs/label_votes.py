"""What the voters of an ensemble, its members in each modality, say of rows (numpy)."""

from typing import NamedTuple

import numpy as np

from jaxcmr.beliefs.label_errors import softmax


class Votes(NamedTuple):
    """The predictions for N rows by E members in V modalities.

    Attributes:
        logits: `[N, V, K]`, the mean over the members that count; 0 where the item is missing.
        classes: `[N, E, V]` int32, what each voter predicts, -1 where the item is missing.
        member_classes: `[N, E]` int32, what each member predicts over its modalities.
        modality_classes: `[N, V]` int32, what each modality predicts over the members.
    """

    logits: np.ndarray
    classes: np.ndarray
    member_classes: np.ndarray
    modality_classes: np.ndarray


def votes(logits: np.ndarray, present: np.ndarray, counted: np.ndarray) -> Votes:
    """Counts the votes on rows.

    Args:
        logits: `[E, V, N, K]`.
        present: `[V, N]` bool, which items are there.
        counted: `[E, N]` bool, the members whose logits are averaged; all of them where none is.
    """
    there = np.broadcast_to(present[None], logits.shape[:3])
    counted = counted | ~counted.any(0)
    return Votes(
        np.moveaxis(_mean(logits, there & counted[:, None], 0), 0, 1),
        np.moveaxis(_likeliest(logits, there), 2, 0),
        _likeliest(_mean(logits, there, 1), there.any(1)).T,
        _likeliest(_mean(logits, there, 0), there.any(0)).T,
    )


def _mean(values: np.ndarray, mask: np.ndarray, axis: int) -> np.ndarray:
    """Averages values `[E, V, N, K]` where the mask `[E, V, N]` holds; 0 where it never does."""
    count = np.maximum(mask.sum(axis), 1)[..., None]
    return np.where(mask[..., None], values, 0.0).sum(axis) / count


def _likeliest(logits: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.where(there, logits.argmax(-1), -1).astype(np.int32)


def agreement(classes: np.ndarray, suggested: np.ndarray) -> np.ndarray:
    """Returns the share of the votes `[N, E, V]` that are for the class `[N]`; 0 without a vote."""
    cast = classes >= 0
    agree = (classes == suggested[:, None, None]) & cast
    return (agree.sum((1, 2)) / np.maximum(cast.sum((1, 2)), 1)).astype(np.float32)


def mean_predictions(cast: Votes) -> np.ndarray:
    """Returns the class probabilities `[N, K]` float32, averaged over the modalities of each row.

    A row without any item has the same probability for all classes.
    """
    there = cast.modality_classes >= 0
    there |= ~there.any(1, keepdims=True)  # logits of missing items are zeros
    weights = there / there.sum(1, keepdims=True)
    shares = [softmax(cast.logits[:, v]) * weights[:, v, None] for v in range(there.shape[1])]
    return sum(shares).astype(np.float32)


def votes_of_neighbors(neighbors: np.ndarray, labels: np.ndarray, num_classes: int) -> Votes:
    """Lets neighbors vote by their labels, where a method has no classes: one member, one modality.

    The logits are those of the shares of their labels, with one pseudo-count in all. A row's own
    label takes no part.

    Args:
        neighbors: `[N, k]` rows, -1 for none.
        labels: `[N]` as given, -1 for none.
        num_classes: K.
    """
    of_neighbors = np.where(neighbors >= 0, labels[neighbors], -1)
    counts = np.full((len(neighbors), num_classes), 1.0 / num_classes)
    rows, places = np.nonzero(of_neighbors >= 0)
    np.add.at(counts, (rows, of_neighbors[rows, places]), 1.0)
    logits = np.log(counts / counts.sum(1, keepdims=True))
    return votes(
        logits[None, None], np.ones((1, len(counts)), bool), np.ones((1, len(counts)), bool)
    )
