"""Retrieval measures written out plainly in numpy, rank by rank, to compare with."""

import math

import numpy as np


def order(scores):
    """Ranks by descending score, ties by index."""
    return sorted(range(len(scores)), key=lambda item: (-scores[item], item))


def average_precision(ranked, k=None):
    hits, total = 0, 0.0
    for rank, relevant in enumerate(ranked[:k], 1):
        if relevant:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def precision_at(ranked, k):
    return sum(ranked[:k]) / k


def recall_at(ranked, k):
    return sum(ranked[:k]) / sum(ranked) if any(ranked) else 0.0


def hit_at(ranked, k):
    return float(any(ranked[:k]))


def ndcg(ranked, k=None):
    gain = lambda relevances: sum(
        relevant / math.log2(rank + 1) for rank, relevant in enumerate(relevances[:k], 1)
    )
    best = gain(sorted(ranked, reverse=True))
    return gain(ranked) / best if best else 0.0


def cosine(query, gallery):
    norms = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(gallery, axis=1)[None, :]
    return query @ gallery.T / np.where(norms > 0, norms, 1)
