"""The picture of what a trained space finds: queries and their top hits in another modality."""

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from jaxcmr.types import Dataset

RIGHT, WRONG = "#2a9d4e", "#d1382c"


def draw_contact_sheet(
    dataset: Dataset,
    embeddings: dict[str, np.ndarray],
    source: str,
    target: str,
    path: Path,
    *,
    queries: int = 8,
    hits: int = 7,
) -> None:
    """Draws queries of one modality (left) and their top hits in another, framed right or wrong.

    Queries are spread over the classes: one of each in turn.

    Args:
        dataset: the items; a hit is right if its true label is the query's.
        embeddings: modality -> `[N, d]` unit rows.
        source: modality of the queries.
        target: modality of the gallery.
        path: where the picture goes.
        queries: number of rows.
        hits: hits a row.
    """
    labels = dataset.labels if dataset.true_labels is None else dataset.true_labels
    rows = _spread(labels, min(queries, len(labels)))
    hits = min(hits, len(labels))
    ranked = np.argsort(-(embeddings[source][rows] @ embeddings[target].T), axis=1, kind="stable")
    size = (1.15 * (hits + 1) + 0.3, 1.3 * len(rows) + 0.5)
    figure, axes = plt.subplots(
        len(rows), hits + 1, figsize=size, layout="constrained", squeeze=False
    )
    for line, row, best in zip(axes, rows, ranked[:, :hits]):
        _draw_item(line[0], dataset, source, row, frame="black")
        for cell, hit in zip(line[1:], best):
            frame = RIGHT if labels[hit] == labels[row] else WRONG
            _draw_item(cell, dataset, target, hit, frame=frame)
    figure.suptitle(f"query: {source}   |   top hits: {target}   (green right, red wrong)")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Picks `count` rows, the first of each class, then the second of each, and so on."""
    order = np.argsort(labels, kind="stable")
    within = np.zeros(len(labels), int)
    for k in np.unique(labels):
        own = order[labels[order] == k]
        within[own] = np.arange(len(own))
    return np.lexsort((labels, within))[:count]


def _draw_item(axes: Axes, dataset: Dataset, modality: str, row: int, frame: str) -> None:
    items = dataset.inputs[modality]
    if not isinstance(items, dict):  # a mesh is shown by its frame alone
        _drawing(items.shape[1:])(axes, items[row])
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=frame, linewidth=2.5)
    label = dataset.labels[row] if dataset.true_labels is None else dataset.true_labels[row]
    axes.set_xlabel(dataset.class_names[label], fontsize=7, labelpad=1)


def _image(axes: Axes, item: np.ndarray) -> None:
    """Draws an image `[H, W, C]`, or the first of several views `[V, H, W, C]`."""
    image = item[0] if item.ndim == 4 else item
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else 1)
    else:
        axes.imshow(image)


def _points(axes: Axes, cloud: np.ndarray) -> None:
    """Draws a cloud `[N, 3]` (z up) from 30 degrees above, near points darker."""
    turn, tilt = np.deg2rad(-50), np.deg2rad(30)
    x = np.cos(turn) * cloud[:, 0] - np.sin(turn) * cloud[:, 1]
    away = np.sin(turn) * cloud[:, 0] + np.cos(turn) * cloud[:, 1]
    y = np.cos(tilt) * cloud[:, 2] + np.sin(tilt) * away
    depth = np.cos(tilt) * away - np.sin(tilt) * cloud[:, 2]
    order = np.argsort(-depth)
    axes.scatter(
        x[order], y[order], c=depth[order], cmap="viridis", s=600 / len(cloud), linewidths=0
    )
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")


def _vector(axes: Axes, item: np.ndarray) -> None:
    """Draws the numbers of a feature vector, of any shape, as a line."""
    axes.plot(item.ravel(), color="black", linewidth=0.5)


def _drawing(shape: tuple[int, ...]) -> Callable[[Axes, np.ndarray], None]:
    """Chooses by the shape of an item: a modality's name does not say what it holds."""
    if len(shape) in (3, 4) and shape[-1] in (1, 3):
        return _image
    return _points if len(shape) == 2 and shape[-1] == 3 else _vector
