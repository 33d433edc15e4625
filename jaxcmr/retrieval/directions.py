"""The directions of retrieval in a data set: queries of one modality, gallery of another."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import jax
import numpy as np

from jaxcmr.retrieval import metrics
from jaxcmr.types import Dataset


class Direction(NamedTuple):
    """One ordered pair of modalities.

    Missing items, and rows without a label, of which nobody knows to whom they are relevant, are
    neither queries nor in the gallery.

    Attributes:
        source: modality of the queries.
        target: modality of the gallery.
        queries: `[N]` bool, the rows that are queries.
        gallery: `[N]` bool, the rows that are in the gallery.
        query_labels: `[N]`, negative for none.
        gallery_labels: `[N]`, likewise.
        keep_self: whether a query's own row is in its gallery.
    """

    source: str
    target: str
    queries: np.ndarray
    gallery: np.ndarray
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    keep_self: bool

    @property
    def name(self) -> str:
        """The direction as results name it."""
        return f"{self.source}->{self.target}"

    def why_not(self) -> str:
        """The reason why nothing can be measured; "" where something can."""
        for modality, rows in ((self.source, self.queries), (self.target, self.gallery)):
            if not rows.any():
                labelled = self.query_labels >= 0
                of = "row" if labelled.all() else "row with a label"
                return f"no {of} has {modality!r}" if labelled.any() else "no row has a label"
        known, counts = np.unique(self.gallery_labels[self.gallery], return_counts=True)
        count = dict(zip(known.tolist(), counts.tolist()))
        relevant = np.array([count.get(label, 0) for label in self.query_labels.tolist()])
        if not self.keep_self:
            relevant -= self.gallery & (self.gallery_labels == self.query_labels)
        return "" if relevant[self.queries].any() else "no query has an item of its class to find"

    def measure(
        self, embeddings: Mapping[str, np.ndarray], at: Sequence[int], mesh: jax.sharding.Mesh
    ) -> metrics.RetrievalScores:
        """Ranks the gallery for each query; `embeddings` are `[N, d]`, modality by modality."""
        found = metrics.retrieval_scores(
            embeddings[self.source],
            embeddings[self.target],
            self.query_labels,
            self.gallery_labels,
            at=at,
            keep_self=self.keep_self,
            gallery_mask=self.gallery,
            mesh=mesh,
        )
        return found.rows(self.queries)

    def chance(self) -> float:
        """Returns the mAP that random rankings of the same gallery have for the same queries.

        Its own row must be in the gallery of a query.
        """
        return metrics.chance_level(
            self.query_labels[self.queries], self.gallery_labels[self.gallery]
        )


def directions(
    dataset: Dataset, labels: Mapping[str, np.ndarray], keep_self: bool = True
) -> list[Direction]:
    """Returns every ordered pair of the modalities of `labels`, `[N]` each."""
    everything = np.ones(len(dataset), bool)
    exists = {name: dataset.present.get(name, everything) & (labels[name] >= 0) for name in labels}
    return [
        Direction(one, other, exists[one], exists[other], labels[one], labels[other], keep_self)
        for one, other in permutations(labels, 2)
    ]
