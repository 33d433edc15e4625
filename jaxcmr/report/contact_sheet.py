"""The picture of what a trained space finds: queries and their top hits in another modality."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from jaxcmr.data.items.geometry import normalize
from jaxcmr.display import shown
from jaxcmr.report import canvas
from jaxcmr.types import Dataset

RIGHT, WRONG = "#2a9d4e", "#d1382c"
CELL = 1.15  # inches


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

    Queries are spread over the classes: one of each in turn. Missing items neither ask nor answer.

    Args:
        dataset: the items; a hit is right if its true label is the query's (its label as given,
            where nobody knows the true ones).
        embeddings: modality -> `[N, d]` unit rows.
        source: modality of the queries.
        target: modality of the gallery.
        path: where the picture goes.
        queries: number of rows.
        hits: hits a row.

    Raises:
        ValueError: no item of one of the modalities exists.
    """
    labels = dataset.labels if dataset.true_labels is None else dataset.true_labels
    asking, gallery = (_existing(dataset, modality) for modality in (source, target))
    rows = asking[_spread(labels[asking], min(queries, len(asking)))]
    scores = embeddings[source][rows] @ embeddings[target][gallery].T
    ranked = gallery[np.argsort(-scores, axis=1, kind="stable")]
    with canvas.sheet(path, [*dataset.class_names, source, target], dpi=90) as figure:
        width = CELL * (hits + 1) + 0.3
        figure.set_size_inches(width, 1.3 * len(rows) + 0.5)
        axes = figure.subplots(len(rows), hits + 1, squeeze=False)
        frames = "green right, red wrong"
        if dataset.true_labels is None:
            frames = "green: same label as given"
        title = f"query: {shown(source, 24)}   |   top hits: {shown(target, 24)}"
        heading = figure.suptitle("", fontsize=11)
        canvas.write(heading, f"{title}   ({frames})", width, columns=200)
        for line, row, best in zip(axes, rows, ranked[:, :hits]):
            _draw_item(line[0], dataset, source, row, dataset.class_names[labels[row]], "black")
            for cell in line[1 + len(best) :]:
                cell.set_axis_off()
            for cell, hit in zip(line[1:], best):
                frame = RIGHT if labels[hit] == labels[row] else WRONG
                _draw_item(cell, dataset, target, hit, dataset.class_names[labels[hit]], frame)


def _existing(dataset: Dataset, modality: str) -> np.ndarray:
    """Returns the rows that have an item of a modality."""
    rows = np.flatnonzero(dataset.present.get(modality, np.ones(len(dataset), bool)))
    if not len(rows):
        raise ValueError(f"no row has {modality!r}")
    return rows


def _spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Picks `count` rows, the first of each class, then the second of each, and so on."""
    order = np.argsort(labels, kind="stable")
    within = np.zeros(len(labels), int)
    for k in np.unique(labels):
        own = order[labels[order] == k]
        within[own] = np.arange(len(own))
    return np.lexsort((labels, within))[:count]


def _draw_item(
    axes: Axes, dataset: Dataset, modality: str, row: int, name: str, frame: str
) -> None:
    items = dataset.inputs[modality]
    if not isinstance(items, dict):  # a mesh is shown by its frame alone
        _drawing(items.shape[1:])(axes, np.asarray(items[row]))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=frame, linewidth=2.5)
    canvas.write(axes.set_xlabel("", fontsize=7, labelpad=3), name, 0.88 * CELL)


def _image(axes: Axes, item: np.ndarray) -> None:
    """Draws an image `[H, W, C]`, or the first of several views `[V, H, W, C]`."""
    image = item[0] if item.ndim == 4 else item
    image = image / 255 if image.dtype == np.uint8 else np.clip(image, 0.0, 1.0)
    axes.imshow(np.broadcast_to(image, (*image.shape[:2], 3)))


def _points(axes: Axes, cloud: np.ndarray) -> None:
    """Draws a cloud `[N, 3]` (z up) from 30 degrees above, near points darker."""
    cloud = cloud.astype(np.float64)
    if np.linalg.norm(cloud, axis=1).max(initial=0) > 1.05 and np.ptp(cloud) > 0:
        cloud = normalize(cloud, "a cloud")  # in units of its own
    turn, tilt = np.deg2rad(-50), np.deg2rad(30)
    x = np.cos(turn) * cloud[:, 0] - np.sin(turn) * cloud[:, 1]
    away = np.sin(turn) * cloud[:, 0] + np.cos(turn) * cloud[:, 1]
    y = np.cos(tilt) * cloud[:, 2] + np.sin(tilt) * away
    depth = np.cos(tilt) * away - np.sin(tilt) * cloud[:, 2]
    order = np.argsort(-depth)
    size = 600 / max(len(cloud), 1)
    axes.scatter(x[order], y[order], c=depth[order], cmap="viridis", s=size, linewidths=0)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")


def _vector(axes: Axes, item: np.ndarray) -> None:
    """Draws the numbers of a feature vector, of any shape, as a line."""
    axes.plot(item.ravel(), color="black", linewidth=0.5)


def _drawing(shape: tuple[int, ...]) -> Callable[[Axes, np.ndarray], None]:
    """Chooses by the shape of an item: a modality's name does not say what it holds."""
    if len(shape) in (3, 4) and shape[-1] in (1, 3):
        return _image
    return _points if len(shape) == 2 and shape[-1] == 3 else _vector
