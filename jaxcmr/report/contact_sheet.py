"""The picture of what a trained space finds: queries and their top hits in another modality."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxcmr.data.items.geometry import normalize
from jaxcmr.display import shown
from jaxcmr.report import canvas  # before matplotlib, which it imports with care
from jaxcmr.retrieval import top_k
from jaxcmr.types import Dataset

# isort: split
from matplotlib.axes import Axes

RIGHT, WRONG, UNKNOWN = "#2a9d4e", "#d1382c", "#9a9a9a"
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

    Queries are spread over the classes: one of each in turn. Missing items are neither queries nor
    hits; rows without a label are no queries, and as hits have a grey frame.

    Args:
        dataset: the items; a hit is right if it shares the true label of the query (the given
            label, where the true ones are unknown).
        embeddings: modality -> `[N, d]`.
        source: modality of the queries.
        target: modality of the gallery.
        path: file of the picture.
        queries: number of rows.
        hits: hits a row.

    Raises:
        UsageError: no item of one of the modalities exists, or an embedding is not finite.
    """
    labels = dataset.labels if dataset.true_labels is None else dataset.true_labels
    complete = np.ones(len(dataset), bool)
    there = {name: dataset.present.get(name, complete) for name in (source, target)}
    rows = _one_of_each_class(labels, there[source] & (labels >= 0))[:queries]
    names = [*dataset.class_names, "no label"]  # the last one is that of -1
    found = top_k(
        embeddings[source][rows],
        embeddings[target],
        min(hits, int(there[target].sum())),
        gallery_mask=there[target],
    )
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
        for line, row, best in zip(axes, rows, found.index):
            _draw_item(line[0], dataset, source, row, names[labels[row]], "black")
            for cell in line[1 + len(best) :]:
                cell.set_axis_off()
            for cell, hit in zip(line[1:], best):
                frame = RIGHT if labels[hit] == labels[row] else WRONG
                frame = frame if labels[hit] >= 0 else UNKNOWN
                _draw_item(cell, dataset, target, hit, names[labels[hit]], frame)


def _one_of_each_class(labels: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Orders the rows that exist: the first of each class, then the second of each, and so on."""
    rows = np.flatnonzero(there)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    number = np.arange(len(rows)) - np.searchsorted(labels[rows], labels[rows])  # in its class
    return rows[np.argsort(number, kind="stable")]


def _draw_item(
    axes: Axes, dataset: Dataset, modality: str, row: int, name: str, frame: str
) -> None:
    items = dataset.inputs[modality]
    if not isinstance(items, dict):  # of a mesh only the frame is shown
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
        cloud = normalize(cloud, "a cloud")  # it comes in other units
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
    """Chooses by the shape of an item: the name of a modality does not determine its items."""
    if len(shape) in (3, 4) and shape[-1] in (1, 3):
        return _image
    return _points if len(shape) == 2 and shape[-1] == 3 else _vector
