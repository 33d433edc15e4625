"""Calls of what ranks, measures and finds."""

import extremes as x
import numpy as np
from extremes import CLASSES, ROWS, STORED, WIDTH
from table import CLASS, FEATURES, LOGITS, call, everything, exempt, normal, rng

from jaxcmr.retrieval import blocks, directions, measures, metrics, nearest, ranking, search
from jaxcmr.retrieval import labels as retrieval_labels

ITEMS = normal(STORED, WIDTH)
RANKED = {
    "query": x.rows(FEATURES),
    "gallery": ITEMS,
    "query_labels": x.names(CLASS),
    "gallery_labels": np.array([0, 1, 2, 0, 1, 2, 0]),
    "block": x.whole(2),
}
call(metrics.retrieval_scores, {"block/None": None}, **RANKED, at=(2,))
call(
    metrics.chance_level,
    query_labels=x.free(x.names(CLASS)),
    gallery_labels=RANKED["gallery_labels"],
)
call(search.top_k, query=x.rows(FEATURES), gallery=ITEMS, k=x.whole(2))
call(
    retrieval_labels.paired_labels, query_labels=x.free(x.names(CLASS)), gallery_labels=np.arange(3)
)
HOT = np.eye(CLASSES)[CLASS]
call(retrieval_labels.multi_hot, labels=x.distributions(HOT), name="labels")
call(ranking.unit_scores, query=x.scores(FEATURES), gallery=x.plain(ITEMS))
call(
    ranking.relevance,
    {"query_labels/2**32": None, "query_labels/floats": None, "query_labels/bool": None},
    query_labels=x.free(x.ids(CLASS)),
    gallery_labels=x.plain(np.arange(3, dtype=np.int32)),
)
call(ranking.ordered, scores=x.scores(LOGITS), excluded=x.mask(everything(ROWS, CLASSES)))
call(
    ranking.rank_relevance,
    scores=x.scores(LOGITS),
    relevant=x.mask(everything(ROWS, CLASSES)),
    excluded=x.mask(~everything(ROWS, CLASSES)),
)
LISTS = {"ranked": x.lists(rng.random((ROWS, CLASSES)) < 0.5)}
call(measures.cumulative_hits, **LISTS)
for measure in (measures.average_precision, measures.ndcg):
    call(measure, {"k/None": None}, **LISTS, k=x.whole(2))
for measure in (measures.precision_at, measures.recall_at, measures.hit_at):
    call(measure, **LISTS, k=x.whole(2))
exempt("guards, called by all others", blocks.check_pairs, retrieval_labels.check_forms)
exempt("how retrieval is spread over devices", blocks.map_blocks, blocks.one_device)
exempt("how retrieval is spread over devices", blocks.spread_units)
exempt("how retrieval is spread over devices", blocks.place, blocks.padded)
exempt("compiled by galleries alone", nearest.nearest)
call(
    blocks.checked_rows,
    {"gallery/float16": None, "gallery/bfloat16": None},  # brought to the host as they are
    query=ITEMS,
    gallery=x.rows(FEATURES),
    gallery_mask=x.mask(everything(ROWS)),
)

exempt("of a data set", directions.directions)
