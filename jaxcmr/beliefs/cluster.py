"""The older name of `clusters`."""

from jaxcmr.beliefs.clusters import Clusters, kmeans, lloyd  # noqa: F401
