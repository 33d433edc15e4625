"""Which numbers of an audit its figures show; how they are drawn is in `figures.html.jinja`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST_CLASSES = 25  # that have a line of their own
MOST_CELLS = 14  # classes of the transition matrix


def noisiest(classes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the classes with the highest estimated noise rates, at most 25, highest first."""
    labelled = [found for found in classes if found["labelled"]]
    return sorted(labelled, key=lambda found: -found["noise_rate"]["rate"])[:MOST_CLASSES]


def most_mixed(transition: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the transition matrix of the classes that are mixed up most, at most 14.

    Returns:
        `names` and `rows` of these classes in their order, and `of`, how many there are in all.
    """
    matrix, names = np.asarray(transition["rows"]), transition["classes"]
    mixed = matrix.sum(0) + matrix.sum(1) - 2 * np.diag(matrix)
    kept = np.sort(np.argsort(-mixed, kind="stable")[:MOST_CELLS])
    return {
        "names": [names[label] for label in kept],
        "rows": matrix[np.ix_(kept, kept)].tolist(),
        "of": len(names),
    }
