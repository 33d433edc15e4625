"""What a validation set says of a state, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest

from jaxcmr.methods.base import Method, Outputs
from jaxcmr.train import evaluate
from jaxcmr.train.state import TrainState
from jaxcmr.types import Dataset


def _identity() -> tuple[Method, TrainState]:
    """A method whose embeddings are its inputs, and a state of one member."""

    def apply(variables, inputs, *, key, train):
        logits = {name: jnp.zeros((len(rows), 2)) for name, rows in inputs.items()}
        return Outputs(embeddings=inputs, logits=logits), {}

    nothing = {"unused": jnp.zeros(1)}
    state = TrainState(jnp.int32(0), nothing, {}, {}, {}, jax.random.key(0))
    return Method(lambda key, inputs: {}, apply, lambda *_: {}), state


def _scores(images, texts, labels, present=None):
    vectors = {"image": np.float32(images), "text": np.float32(texts)}
    rows = len(labels)
    ids = np.array([f"row{i}" for i in range(rows)])
    validation = Dataset(vectors, np.int32(labels), None, ids, ("a", "b"), {}, present or {})
    method, state = _identity()
    return evaluate.build_validation(method, validation, paired.config())(state)


def test_validation_scores_by_hand():
    x, y = [1, 0], [0, 1]
    found = _scores([x, x, y, y], [x, y, y, y], labels=[0, 0, 1, 1])
    # Images: 1, 1, and twice (1/2 + 2/3) / 2, a wrong text first. Texts: 1, (1/3 + 2/4) / 2, 1, 1.
    assert found["val_mAP image->text"] == pytest.approx((1 + 1 + 7 / 12 + 7 / 12) / 4)
    assert found["val_mAP text->image"] == pytest.approx((1 + 5 / 12 + 1 + 1) / 4)
    assert found["val_mAP"] == pytest.approx((19 / 6 + 41 / 12) / 8)
    # Of the first two, the size of a class: 1, 1, 1/2, 1/2; and 1, 0, 1, 1.
    assert found["val_precision"] == pytest.approx((3 + 3) / 8)
    # Without the partner, images: 1, 1, and twice 1/2. Texts: 1, the last of three, 1, 1.
    assert found["val_mAP_others"] == pytest.approx((3 + 10 / 3) / 8)


def test_missing_items_neither_ask_nor_answer():
    x, y = [1, 0], [0, 1]
    present = {"text": np.array([True, False, True, True])}
    found = _scores([x, x, y, y], [x, y, y, y], labels=[0, 0, 1, 1], present=present)
    # The first image's only relevant text is its partner; three texts ask.
    assert found["val_mAP_others"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["val_mAP"] == pytest.approx(1.0)


def test_a_direction_in_which_nobody_asks_counts_as_0():
    nobody = {"text": np.zeros(4, bool)}
    found = _scores(np.eye(4, 2), np.eye(4, 2), labels=[0, 0, 1, 1], present=nobody)
    assert set(found.values()) == {0.0}
    # A single row: its partner is all there is to find.
    found = _scores([[1, 0]], [[1, 0]], labels=[0])
    assert (found["val_mAP"], found["val_precision"], found["val_mAP_others"]) == (1, 1, 0)


def test_two_measures_do_not_reward_the_partner_with_the_same_wrong_label():
    """Two states that know the classes equally well; the first also knows the partners."""
    labels = np.array([0, 1] * 10)  # true classes: the first ten rows, and the others; half wrong
    classes = np.repeat(np.eye(2), 10, axis=0)
    partners = np.concatenate([classes, 0.1 * np.eye(20)], 1)
    knows, plain = (_scores(rows, rows, labels) for rows in (partners, classes))
    assert knows["val_mAP"] > plain["val_mAP"] + 0.03
    assert knows["val_mAP_others"] == pytest.approx(plain["val_mAP_others"])
    assert knows["val_precision"] == pytest.approx(plain["val_precision"]) == 0.5
