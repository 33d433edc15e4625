"""The contact sheet: every kind of item and of name, and only what exists."""

import dataclasses
import warnings

import numpy as np
import pytest
from PIL import Image

from jaxcmr.report import contact_sheet
from jaxcmr.report.contact_sheet import draw_contact_sheet
from jaxcmr.types import Dataset

RNG = np.random.default_rng(0)
ITEMS = {
    "features": RNG.normal(size=(6, 128)).astype(np.float32),
    "grey": RNG.integers(0, 255, (6, 8, 8, 1)).astype(np.uint8),
    "views": RNG.integers(0, 255, (6, 2, 8, 8, 3)).astype(np.uint8),
    "cloud": RNG.normal(size=(6, 32, 3)).astype(np.float32),
    "mesh": {"centers": RNG.normal(size=(6, 5, 3))},
}
HOSTILE = (
    "$$",
    "$a_b^{c",
    "手册",
    "👩\u200d👧",
    "שלום",
    "two\nlines",
    "\ud800",
    "W" * 300,
    r"\frac{",
)


def _dataset(inputs, class_names=("a", "b"), present=None) -> Dataset:
    labels = np.arange(6) % len(class_names)
    ids = np.array([f"row{i}" for i in range(6)])
    return Dataset(inputs, labels, labels, ids, class_names, {"source": "files"}, present or {})


@pytest.mark.parametrize("kind", ITEMS)
def test_items_of_any_kind_are_drawn(kind, tmp_path):
    inputs = {"image": ITEMS[kind], "text": ITEMS["features"]}
    embeddings = {name: RNG.normal(size=(6, 4)).astype(np.float32) for name in inputs}
    sheet = tmp_path / "sheet.png"
    draw_contact_sheet(_dataset(inputs), embeddings, "image", "text", sheet, queries=2, hits=2)
    with Image.open(sheet) as drawn:
        assert np.asarray(drawn.convert("L")).std() > 5


@pytest.fixture
def cells(monkeypatch):
    """What is drawn, in order: (modality, row, name, frame)."""
    seen = []
    monkeypatch.setattr(contact_sheet, "_draw_item", lambda axes, dataset, *item: seen.append(item))
    return seen


def test_only_items_that_exist_are_queries_and_hits(cells, tmp_path):
    present = {
        "image": np.array([0, 1, 1, 1, 1, 1], bool),
        "mesh": np.array([0, 0, 1, 1, 0, 0], bool),
    }
    inputs = {"image": ITEMS["grey"], "mesh": ITEMS["mesh"]}
    junk = np.float32([[1, 0]] * 2 + [[0, 1], [0.6, 0.8]] + [[1, 0]] * 2)  # the nearest to all
    embeddings = {"image": np.float32([[1, 0]] * 6), "mesh": junk}
    dataset = _dataset(inputs, present=present)
    draw_contact_sheet(dataset, embeddings, "image", "mesh", tmp_path / "s.png", queries=2, hits=4)
    red, green = contact_sheet.WRONG, contact_sheet.RIGHT
    # The first of each class: row 2 (class a) and row 1 (b). Meshes: row 3 is nearer than row 2.
    assert cells == [
        ("image", 2, "a", "black"), ("mesh", 3, "b", red), ("mesh", 2, "a", green),
        ("image", 1, "b", "black"), ("mesh", 3, "b", green), ("mesh", 2, "a", red),
    ]  # fmt: skip


def test_a_row_without_a_label_is_no_query_and_a_grey_hit(cells, tmp_path):
    embeddings = dict.fromkeys(("a", "b"), np.eye(6, dtype=np.float32))
    dataset = _dataset({"a": ITEMS["features"], "b": ITEMS["features"]})
    labels = np.array([-1, 1, -1, 1, -1, 0])
    dataset = dataclasses.replace(dataset, labels=labels, true_labels=None)
    draw_contact_sheet(dataset, embeddings, "a", "b", tmp_path / "s.png", queries=9, hits=6)
    assert [(row, name) for m, row, name, _ in cells if m == "a"] == [(5, "a"), (1, "b"), (3, "b")]
    hits = [item for item in cells if item[0] == "b"]
    grey = [(row, name) for _, row, name, frame in hits if frame == contact_sheet.UNKNOWN]
    assert sorted(set(grey)) == [(0, "no label"), (2, "no label"), (4, "no label")]


def test_nothing_is_drawn_of_a_modality_that_no_row_has(tmp_path):
    dataset = _dataset({"a": ITEMS["grey"], "b": ITEMS["grey"]}, present={"b": np.zeros(6, bool)})
    embeddings = dict.fromkeys("ab", np.eye(6, 2))
    with pytest.raises(ValueError, match="6 queries against 0 items"):
        draw_contact_sheet(dataset, embeddings, "a", "b", tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())


def test_names_of_any_kind_are_drawn_without_a_warning_and_in_the_same_size(tmp_path):
    sizes = set()
    for number, names in enumerate((HOSTILE[:5], HOSTILE[5:], ("a", "b"))):
        inputs = {names[0]: ITEMS["grey"], names[1]: ITEMS["grey"]}
        embeddings = dict.fromkeys(inputs, np.eye(6, 4, dtype=np.float32))
        path = tmp_path / f"{number}.png"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_contact_sheet(
                _dataset(inputs, names), embeddings, *inputs, path, queries=2, hits=2
            )
        sizes.add(Image.open(path).size)
    assert len(sizes) == 1
