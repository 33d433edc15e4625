"""Tables of labels without a run: by hand, and drawn."""

import numpy as np

from jaxcmr.beliefs import label_errors
from jaxcmr.workdir.labels import LabelTable

CLASSES = ("chair", "sofa", "table")


def by_hand(given, probabilities, **fields) -> LabelTable:
    """Makes a table of a few rows: classes chair, sofa, table; the rest has defaults."""
    probabilities = np.asarray(probabilities, np.float32)
    rows, likeliest = len(probabilities), probabilities.argmax(1).astype(np.int32)
    defaults = {
        "ids": np.array([f"row {row}" for row in range(rows)]),
        "split": np.full(rows, "train"),
        "class_names": CLASSES,
        "modalities": ("image", "text"),
        "given": np.asarray(given, np.int32),
        "true": None,
        "predictions": probabilities,
        "out_of_fold": np.ones(rows, bool),
        "transition": np.eye(len(CLASSES)),
        "probabilities": probabilities,
        "agreement": np.ones(rows, np.float32),
        "none_of_these": np.zeros(rows, np.float32),
        "member_classes": np.tile(likeliest[:, None], 5),
        "modality_classes": np.tile(likeliest[:, None], 2),
        "neighbors": np.full((rows, 10), -1, np.int32),
        "about": {"method": "mmcd", "members": 5, "folds": 5, "seed": 0},
    }
    return LabelTable(**defaults | fields)


def drawn(rows: int, classes: int = 10, noise: float = 0.2, seed: int = 0) -> LabelTable:
    """Draws a table: of the labels a share is wrong; two modalities, five members, truth known."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, rows).astype(np.int32)
    other = (true + rng.integers(1, classes, rows)) % classes
    given = np.where(rng.random(rows) < noise, other, true).astype(np.int32)
    logits = rng.normal(size=(rows, classes)).astype(np.float32)
    logits[np.arange(rows), true] += 4
    predictions = np.exp(logits)
    predictions /= predictions.sum(1, keepdims=True)
    transition = np.full((classes, classes), noise / (classes - 1))
    np.fill_diagonal(transition, 1 - noise)
    vote = lambda count: np.where(
        rng.random((rows, count)) < 0.9, true[:, None], rng.integers(0, classes, (rows, count))
    ).astype(np.int32)
    ids = np.char.add("item ", np.arange(rows).astype(str))
    return LabelTable(
        ids=ids,
        split=np.where(np.arange(rows) < 0.9 * rows, "train", "validation"),
        class_names=tuple(f"class {k}" for k in range(classes)),
        modalities=("image", "text"),
        given=given,
        true=true,
        predictions=predictions,
        out_of_fold=np.ones(rows, bool),
        transition=transition,
        probabilities=label_errors.posterior(predictions, given, transition),
        agreement=rng.random(rows).astype(np.float32),
        none_of_these=rng.random(rows).astype(np.float32) / 2,
        member_classes=vote(5),
        modality_classes=vote(2),
        neighbors=rng.integers(0, rows, (rows, 10)).astype(np.int32),
        about={"method": "mmcd", "members": 5, "folds": 5, "seed": seed},
    )
