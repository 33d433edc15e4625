"""Finds the nearest items of a gallery that is searched once."""

from typing import Any

import numpy as np
from jax.sharding import Mesh

from jaxcmr.retrieval.blocks import checked_rows
from jaxcmr.retrieval.gallery import Found, Gallery


def top_k(
    query: Any,
    gallery: Any,
    k: int,
    *,
    gallery_mask: Any = None,
    mesh: Mesh | None = None,
) -> Found:
    """Find the k gallery items of highest cosine similarity for every query.

    Exact: scores are float32, equal scores rank by gallery index. A gallery that is searched more
    than once is better prepared once: `Gallery`.

    Args:
        query: `[Q, d]` embeddings; a row of zeros has similarity 0 to all.
        gallery: `[G, d]` embeddings.
        k: how many items.
        gallery_mask: `[G]` bool, False for items that do not exist, whatever they hold.
        mesh: the devices that share gallery and work; the arguments are then the same in every
            process. None: the default device.

    Raises:
        UsageError: if shapes do not fit, there is no query, a query or an item that exists holds
            NaN or infinity, or k is below 1 or above the number of items that exist.
    """
    query, gallery, mask = checked_rows(query, gallery, gallery_mask)
    if mask.all():
        return Gallery(gallery, mesh).search(query, k)
    there = np.flatnonzero(mask).astype(np.int32)
    found = Gallery(gallery[there], mesh).search(query, k)
    return Found(there[found.index], found.scores)
