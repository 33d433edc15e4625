"""Retrieval: exact ranking, scores and search, in bounded memory, on one device or many.

| public name | what it is |
|---|---|
| `retrieval_scores` -> `RetrievalScores` | mAP, NDCG, precision, recall and hits at k, by query |
| `chance_level` | the mAP that random rankings have |
| `Gallery`, its `search` -> `Found` | the nearest items of each query; prepared once |
| `top_k` -> `Found` | the same, of a gallery that is searched once |
| `unit_scores`, `relevance`, `rank_relevance` | from embeddings and labels to ranked lists |
| `average_precision`, `precision_at`, `recall_at`, `hit_at`, `ndcg` | measures of ranked lists |
"""

from jaxcmr.retrieval.gallery import Found, Gallery
from jaxcmr.retrieval.measures import average_precision, hit_at, ndcg, precision_at, recall_at
from jaxcmr.retrieval.metrics import RetrievalScores, chance_level, retrieval_scores
from jaxcmr.retrieval.ranking import rank_relevance, relevance, unit_scores
from jaxcmr.retrieval.search import top_k

__all__ = [
    "Found",
    "Gallery",
    "RetrievalScores",
    "average_precision",
    "chance_level",
    "hit_at",
    "ndcg",
    "precision_at",
    "rank_relevance",
    "recall_at",
    "relevance",
    "retrieval_scores",
    "top_k",
    "unit_scores",
]
