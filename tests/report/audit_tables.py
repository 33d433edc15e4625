"""Tables of labels and items for the tests of an audit's page."""

import io

import numpy as np
from PIL import Image, ImageDraw

from jaxcmr.report.items import Part
from jaxcmr.workdir.labels import LabelTable

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><img src=x onerror='hacked()'>",
    "<!--<script>",
    "\"quoted\" 'too' & more, with commas",
    "=SUM(A1)",
    "a\0b\x1b[31m\n c",
    "\u202eright to left שלום",
    "👩🏽\u200d🚀 手册",
    "long " * 2000,
    "{{ 7 * 7 }}{% raw %}",
)


def table(rows: int, names=("chair", "table", "sofa", "lamp"), ids=None, wrong=0.25, **other):
    """A table of random labels, of which about a share `wrong` look wrong."""
    rng = np.random.default_rng(0)
    classes = len(names)
    true = rng.integers(0, classes, rows).astype(np.int32)
    flipped = rng.random(rows) < wrong
    given = np.where(flipped, (true + 1 + (rng.random(rows) < 0.3)) % classes, true)
    logits = rng.normal(size=(rows, classes)) + 5.5 * np.eye(classes)[true]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    columns = {
        "ids": np.array([f"item-{row}" for row in range(rows)] if ids is None else ids),
        "split": np.where(np.arange(rows) % 10 == 0, "validation", "train"),
        "class_names": tuple(names),
        "modalities": ("image", "text"),
        "given": given.astype(np.int32),
        "true": true,
        "predictions": np.float32(p),
        "out_of_fold": np.ones(rows, bool),
        "transition": np.eye(classes) * (1 - wrong - wrong / classes) + wrong / classes,
        "probabilities": np.float32(p),
        "agreement": np.float32(rng.integers(5, 11, rows) / 10),
        "none_of_these": np.float32(rng.random(rows) ** 3),
        "member_classes": np.tile(true[:, None], (1, 5)),
        "modality_classes": np.tile(true[:, None], (1, 2)),
        "neighbors": rng.integers(0, rows, (rows, 10)).astype(np.int32),
        "about": {"method": "mmcd", "members": 5, "data": {"name": "furniture"}},
    }
    return LabelTable(**columns | other)


class Items:
    """A drawn picture and a text for each row; every `missing`-th picture is missing."""

    def __init__(self, of: LabelTable, missing: int = 0):
        self._table, self._missing = of, missing

    def of(self, rows: np.ndarray) -> list[list[Part]]:
        return [self._parts(int(row)) for row in rows]

    def remarks(self) -> list[str]:
        return [f"every {self._missing}th picture is gone"] if self._missing else []

    def _parts(self, row: int) -> list[Part]:
        words = (
            f"A fine {self._table.class_names[self._table.suggested[row]]}, number {row} of many."
        )
        text = Part("text", "text", words, "text/plain", "")
        if self._missing and row % self._missing == 0:
            return [Part("image", "missing", "", "", "the file is gone"), text]
        return [
            Part("image", "picture", _drawn(row, self._table.suggested[row]), "image/png", ""),
            text,
        ]


def _drawn(row: int, label: int) -> bytes:
    rng = np.random.default_rng(row)
    image = Image.new("RGB", (160, 120), "white")
    draw, size = ImageDraw.Draw(image), int(rng.integers(30, 50))
    color = tuple(int(value) for value in rng.integers(0, 180, 3))
    box = (80 - size, 60 - size, 80 + size, 60 + size)
    shapes = (draw.ellipse, draw.rectangle, draw.rounded_rectangle)
    shapes[label % 3](box, **({"radius": 15} if label % 3 == 2 else {}), fill=color)
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()
