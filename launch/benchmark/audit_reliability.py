"""The picture of how far the probabilities of suggested labels can be trusted."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxcmr.beliefs.error_scores import Reliability


def draw(found: Mapping[str, Mapping[str, Reliability]], path: Path) -> None:
    """Draws a panel a data set: how often the likeliest class is right, over its probability.

    Args:
        found: data set -> way -> its reliability; areas of the points are numbers of rows.
        path: file of the picture (.png).
    """
    from jaxcmr.report import canvas

    names = list(dict.fromkeys(name for curves in found.values() for name in curves))
    with canvas.sheet(path, [*found, *names], dpi=110) as figure:
        columns = min(len(found), 4)
        rows = -(-len(found) // columns)
        figure.set_size_inches(3.2 * columns, 3.2 * rows + 0.6)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (title, curves) in zip(panels, found.items()):
            lines = [_curve(panel, curves.get(name), names.index(name)) for name in names]
            panel.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
            panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean probability", ylabel="share right")
            canvas.write(panel.set_title(""), title, width=2.8)
            panel.spines[["top", "right"]].set_visible(False)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        canvas.legend(figure, lines, names, loc="outside lower center", ncols=len(names))


def _curve(panel, curve: Reliability | None, number: int):
    """Draws one way; without numbers only its color, for the legend."""
    filled = curve.rows > 0 if curve is not None else np.zeros(0, bool)
    x, y = (curve.probability[filled], curve.share[filled]) if filled.any() else ([], [])
    (line,) = panel.plot(x, y, color=f"C{number}", linewidth=1.2)
    if len(x):
        areas = 120 * curve.rows[filled] / curve.rows.sum() + 2
        panel.scatter(x, y, areas, color=f"C{number}")
    return line
