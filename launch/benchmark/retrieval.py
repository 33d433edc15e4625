"""The speed of retrieval scores against other ways to compute the same mAP.

One line a way: best wall time, CPU time, mAP. The embeddings are class centers plus noise, 256-d.
"""

import time

import numpy as np
from resident import mebibytes


def synthetic(rows, classes, seed, dim=256):
    """Returns `rows` unit embeddings around common class centers, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    centers = np.random.default_rng(0).standard_normal((classes, dim))
    x = (0.3 * centers[labels] + rng.standard_normal((rows, dim))).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True), labels


def released_way(query, gallery, query_labels, gallery_labels):
    """Sorts cosine distances, then walks the ranks in Python, as the published codes do."""
    from scipy.spatial.distance import cdist

    order = cdist(query, gallery, "cosine").argsort()
    scores = []
    for i in range(len(query)):
        hits, total = 0.0, 0.0
        for rank in range(len(gallery)):
            if query_labels[i] == gallery_labels[order[i][rank]]:
                hits += 1
                total += hits / (rank + 1)
        scores.append(total / hits if hits else 0.0)
    return np.mean(scores)


def numpy_way(query, gallery, query_labels, gallery_labels):
    """Computes the same without Python loops: a stable argsort and a running sum."""
    order = np.argsort(-(query @ gallery.T), axis=1, kind="stable")
    ranked = gallery_labels[order] == query_labels[:, None]
    hits = ranked.cumsum(axis=1)
    precision = hits / np.arange(1, len(gallery) + 1)
    return np.mean((precision * ranked).sum(axis=1) / np.maximum(hits[:, -1], 1))


def sort_alone(query, gallery, query_labels, gallery_labels):
    """Sorts the bare scores by numpy: the floor of every way that sorts on a CPU."""
    np.sort(query @ gallery.T, axis=1)
    return np.nan


def ours(query, gallery, query_labels, gallery_labels):
    """Computes all measures at once: `retrieval_scores`."""
    from jaxcmr.retrieval.metrics import retrieval_scores

    scores = retrieval_scores(query, gallery, query_labels, gallery_labels)
    return scores.mean_average_precision


def measure(way, repeats, data):
    """Prints the best of `repeats` runs of `way`."""
    best = (np.inf, np.inf, np.nan)
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        value = way(*data)
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu, float(value)))
    print(
        f"{way.__name__:14} {best[0]:8.2f} s wall {best[1]:8.2f} s CPU   mAP {best[2]:.7f}",
        flush=True,
    )


def run(queries, items, classes, repeats, ours_only):
    """Prints all ways, run in one process so that their ratios mean something."""
    query, query_labels = synthetic(queries, classes, seed=1)
    gallery, gallery_labels = synthetic(items, classes, seed=2)
    data = (query, gallery, query_labels, gallery_labels)
    if ours_only:
        measure(ours, 1, data)
    else:
        ours(*data)  # compiles
        for way in (ours, sort_alone, numpy_way):
            measure(way, repeats, data)
        measure(released_way, 1, data)
    peak = mebibytes("VmHWM") / 1024
    print(f"peak memory of the process {peak:.2f} GiB (maximum resident size)")
