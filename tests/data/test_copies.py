import numpy as np

from jaxcmr.data.heldout import warn_of_copies
from jaxcmr.data.own.arrays import to_splits


def test_items_of_training_rows_in_the_test_set_are_counted(caplog):
    pictures = np.arange(6 * 12, dtype=np.uint8).reshape(6, 2, 2, 3)
    texts = np.arange(12.0).reshape(6, 2)
    pictures[4], pictures[5] = pictures[0], pictures[1]
    texts[5] = texts[1]
    arrays = {"image": pictures, "text": texts, "labels": np.arange(6) % 2}
    arrays["split"] = np.array(["train", "train", "val", "val", "test", "test"])
    warn_of_copies(to_splits(arrays, "a.npz", {}, 0), "a.npz")
    assert "a.npz: the same thing is in training rows" in caplog.text
    assert "image 2, text 1 of 2 test rows" in caplog.text
    caplog.clear()
    arrays["present_image"] = np.array([1, 1, 1, 1, 0, 1])
    arrays["text"] = np.ones((6, 2))  # the same everywhere, but blank
    warn_of_copies(to_splits(arrays, "a.npz", {}, 0), "a.npz")
    assert "image 1 of 2 test rows" in caplog.text and "text" not in caplog.text
