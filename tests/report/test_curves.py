"""The picture of a run: every number in its unit, every name as it is."""

import pytest
from matplotlib.axes import Axes
from PIL import Image

from jaxcmr.report import curves
from jaxcmr.report.curves import draw_curves

LINE = {"step": 3, "loss": 2.0, "rdc": 1.0, "steps_per_second": 9.0, "wait_share": 0.5}


@pytest.fixture
def parts(monkeypatch):
    """What is drawn: y label -> name in the legend -> (epochs, values)."""
    found = {}

    def note(axes: Axes, handles, names, **options):
        lines = {name: line.get_data() for name, line in zip(names, handles)}
        found[axes] = {n: (list(map(float, x)), list(map(float, y))) for n, (x, y) in lines.items()}

    monkeypatch.setattr(curves.canvas, "legend", note)
    return lambda: {axes.get_ylabel(): lines for axes, lines in found.items()}


def _history(*lines):
    return [LINE | {"epoch": epoch} | line for epoch, line in enumerate(lines, 1)]


def test_shares_are_in_per_cent_and_log_likelihoods_in_nats(parts, tmp_path):
    label = {"labels right": 0.5, "labels likelihood": -1.8}
    draw_curves(_history(label, label), 1, tmp_path / "curves.png")
    found = parts()
    assert found["nats"] == {"likelihood": ([1, 2], [-1.8, -1.8])}
    assert found["%"] == {"right": ([1, 2], [50, 50])}
    assert found[""] == {"loss": ([1, 2], [2, 2]), "rdc": ([1, 2], [1, 1])}


def test_a_direction_without_a_number_has_no_line_and_an_epoch_without_one_a_gap(parts, tmp_path):
    scored = {"val_mAP": 0.5, "val_mAP a->b": 0.5, "val_mAP b->a": None}
    draw_curves(_history({}, scored, {"rdc": 3.0}), 2, tmp_path / "curves.png")
    assert parts()["%"] == {"a->b": ([2], [50])}
    assert parts()[""]["rdc"] == ([1, 2, 3], [1, 1, 3])


def test_names_of_any_kind_are_drawn(tmp_path):
    names = ("$$", "_hidden", "$a_b^{c", "手" * 300, "two\nlines")
    scored = {f"val_mAP {name}->{name}": 0.5 for name in names}
    draw_curves(_history(scored), 1, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width < 2000
