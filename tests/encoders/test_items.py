"""Encoders are given items that they take, or the mistake is named."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxcmr.config import encoder
from jaxcmr.encoders.items import check_embeddings, check_items, kind_of
from jaxcmr.errors import UsageError

ITEMS = {
    "images": np.zeros((2, 8, 8, 1), np.uint8),
    "points": np.zeros((2, 16, 3), np.float32),
    "faces": {"mask": np.zeros((2, 4), bool)},
    "vectors": np.zeros((2, 5), np.float32),
}
NAMES = {"images": "compact_cnn", "points": "dgcnn", "faces": "meshnet", "vectors": "fc"}


def check(items, name: str, **more) -> None:
    check_items(ConfigDict({"x": encoder(name, **more)}), {"x": items})


@pytest.mark.parametrize("kind", list(ITEMS))
@pytest.mark.parametrize("takes", list(NAMES))
def test_an_encoder_takes_its_own_kind_of_items_alone(kind, takes):
    assert kind_of(ITEMS[kind]) == kind
    if kind == takes:
        check(ITEMS[kind], NAMES[takes])
        return
    with pytest.raises(UsageError, match=rf"x\.name is '{NAMES[takes]}', .*{NAMES[kind]}"):
        check(ITEMS[kind], NAMES[takes])


def test_grey_pictures_are_no_clouds():
    check(np.zeros((2, 8, 8), np.uint8), "mnist_cnn")
    check(np.zeros((2, 8, 3), np.uint8), "mnist_cnn")
    with pytest.raises(UsageError, match=r"something else, here \[N, 1, 1, 1, 1, 1\]; .* none"):
        check(np.zeros((2, 1, 1, 1, 1, 1)), "fc")


def test_views_and_crops_fit_the_pictures():
    views = np.zeros((2, 3, 8, 8, 1), np.uint8)
    check(views, "compact_cnn", views=2, augment={"crop_images": 7})
    with pytest.raises(UsageError, match=r"x\.views is 0, .*\[N, 3, 8, 8, 1\]; set it to how many"):
        check(views, "compact_cnn")
    with pytest.raises(UsageError, match=r"x\.views is 2, .*\[N, 8, 8, 1\]; set it to 0"):
        check(ITEMS["images"], "compact_cnn", views=2)
    with pytest.raises(UsageError, match=r"crop_images is 8, but the pictures have 8 pixels"):
        check(views, "compact_cnn", views=2, augment={"crop_images": 8})


def test_embeddings_have_the_common_size():
    sizes = {"x": jax.ShapeDtypeStruct((2, 32), np.float32)}
    check_embeddings(sizes, 32)
    with pytest.raises(UsageError, match=r"'x' gives 32 numbers an item, .* is 16; set it to 32"):
        check_embeddings(sizes, 16)
