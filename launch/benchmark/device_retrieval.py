"""Retrieval on a device: exact scores of all pairs, and searches of a prepared gallery."""

import functools
import time

import numpy as np
from retrieval import synthetic
from stopwatch import median_seconds

from jaxcmr.retrieval.gallery import Gallery
from jaxcmr.retrieval.metrics import retrieval_scores

CLASSES = 10
K = 10  # nearest items
WARM_UP = 5000  # queries that compile the blocks of any larger number


def scores(size: int) -> dict:
    """Measures all scores of `size` queries against `size` items of 256 dimensions, once."""
    query, query_labels = synthetic(size, CLASSES, seed=1)
    gallery, gallery_labels = synthetic(size, CLASSES, seed=2)
    few = slice(min(size, WARM_UP))
    retrieval_scores(query[few], gallery, query_labels[few], gallery_labels)
    began = time.perf_counter()
    found = retrieval_scores(query, gallery, query_labels, gallery_labels)
    seconds = time.perf_counter() - began
    return {"s": seconds, "pairs/us": size**2 / seconds / 1e6, "mAP": found.mean_average_precision}


@functools.cache
def _prepared(items: int, dim: int) -> tuple[Gallery, float]:
    """Returns a gallery on the device, and the seconds of its way there."""
    rows, _ = synthetic(items, CLASSES, seed=1, dim=dim)
    began = time.perf_counter()
    gallery = Gallery(rows)
    gallery.search(rows[:1], K)  # waits for the rows
    return gallery, time.perf_counter() - began


def prepared(items: int, dim: int) -> dict:
    """Measures the way of a gallery to the device, checks and compilation of a search included."""
    return {"s": _prepared(items, dim)[1]}


def search(items: int, dim: int, queries: int, approx: bool) -> dict:
    """Measures a search of the ten nearest in a gallery that is on the device."""
    gallery, _ = _prepared(items, dim)
    query, _ = synthetic(queries, CLASSES, seed=2, dim=dim)
    found = lambda approx: gallery.search(query, K, approx=approx)
    seconds = median_seconds(lambda: found(approx), wait=lambda found: found)
    exact, ours = found(False).index, found(approx).index
    recall = np.mean([len(np.intersect1d(*pair)) for pair in zip(exact, ours)]) / K
    return {"s": seconds, "pairs/us": items * queries / seconds / 1e6, "recall": recall}
