"""Calls of what clusters rows and compares them with their neighbours."""

import extremes as x
import numpy as np
from extremes import CLASSES, ROWS
from table import CLASS, FEATURES, KEY, LOGITS, PRESENT, call, everything

from jaxcmr.beliefs import cluster_scores, clusters, neighbors

ROWS_AND_MASK = {"features": x.rows(FEATURES), "mask": x.mask(everything(ROWS), x.FINE)}
ITERATIONS = {"max_iterations": x.whole(20, 0)}
call(
    clusters.kmeans,
    key=KEY,
    **ROWS_AND_MASK,
    num_clusters=x.whole(2),
    restarts=x.whole(2),
    **ITERATIONS,
)
call(clusters.lloyd, **ROWS_AND_MASK, centers=x.plain(FEATURES[:2] + 1), **ITERATIONS)
call(
    cluster_scores.number_of_clusters,
    features=(np.tile(FEATURES, (2, 1)), np.tile(FEATURES, (2, 1))),
    seed=x.whole(0, 0),
    candidates=(2, 3),
)
call(cluster_scores.agreement, predicted=x.partition(CLASS), true_labels=x.partition(CLASS))
call(
    cluster_scores.collapse,
    predicted=x.free(x.partition(CLASS)),
    num_clusters=x.whole(CLASSES),
)
call(
    neighbors.neighbor_counts,
    **ROWS_AND_MASK,
    k=x.whole(2),
    block=x.whole(2),
    labels=x.labels(CLASS, x.FINE),
    num_classes=x.whole(CLASSES),
)
call(neighbors.neighbor_labels, counts=x.scores(np.abs(LOGITS)))
call(
    neighbors.divide,
    labels=x.ids(CLASS),
    predicted=x.ids([CLASS, CLASS]),
    present=x.mask(PRESENT),
)
