"""The older name of `cluster_scores.number_of_clusters`."""

from jaxcmr.beliefs.cluster_scores import number_of_clusters as estimate  # noqa: F401
