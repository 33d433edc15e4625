"""Retrieval on a device: exact scores of all pairs, and a search."""

import time

from retrieval import synthetic

from jaxcmr.retrieval.metrics import retrieval_scores
from jaxcmr.retrieval.search import top_k

CLASSES = 10
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


def search(items: int, dim: int, queries: int) -> dict:
    """Measures a search of the ten nearest; "s" is with the gallery's way to the device."""
    gallery, _ = synthetic(items, CLASSES, seed=1, dim=dim)
    query, _ = synthetic(queries, CLASSES, seed=2, dim=dim)
    for part in (query, query[: queries // 2]):  # blocks depend on the number of queries
        top_k(part, gallery, 10)
    began = time.perf_counter()
    top_k(query[: queries // 2], gallery, 10)
    half = time.perf_counter()
    top_k(query, gallery, 10)
    whole = time.perf_counter() - half
    # What the second half of the queries adds is without the gallery's way.
    alone = max(whole - (half - began), 1e-9) * 2
    return {"s": whole, "pairs/us": items * queries / alone / 1e6}
