"""The contact sheet: every kind of item that a modality may hold, whatever its name."""

import numpy as np
import pytest
from PIL import Image

from jaxcmr.report import draw_contact_sheet
from jaxcmr.types import Dataset

RNG = np.random.default_rng(0)
ITEMS = {
    "features": RNG.normal(size=(6, 128)).astype(np.float32),
    "grey": RNG.integers(0, 255, (6, 8, 8, 1)).astype(np.uint8),
    "views": RNG.integers(0, 255, (6, 2, 8, 8, 3)).astype(np.uint8),
    "cloud": RNG.normal(size=(6, 32, 3)).astype(np.float32),
    "mesh": {"centers": RNG.normal(size=(6, 5, 3))},
}


@pytest.mark.parametrize("kind", ITEMS)
def test_items_of_any_kind_are_drawn(kind, tmp_path):
    inputs = {"image": ITEMS[kind], "text": ITEMS["features"]}
    labels = np.arange(6) % 2
    ids = np.array([f"row{i}" for i in range(6)])
    dataset = Dataset(inputs, labels, labels, ids, ("a", "b"), {"source": "files"})
    embeddings = {name: RNG.normal(size=(6, 4)).astype(np.float32) for name in inputs}
    draw_contact_sheet(dataset, embeddings, "image", "text", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 5
