"""What a validation set says of a state, by hand."""

import numpy as np
import paired
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.train import devices, evaluate
from jaxcmr.types import Dataset, Outputs


def _mesh():
    return devices.build(paired.config())


def _identity(dataset: Dataset) -> Outputs:
    """What one member makes of a set if its embeddings are its inputs; zeros of what is missing."""
    complete = np.ones(len(dataset), bool)
    there = lambda name: dataset.present.get(name, complete)[:, None]
    rows = [np.where(there(name), dataset.inputs[name], 0) for name in ("image", "text")]
    return Outputs(embeddings=np.stack(rows)[None])


def _dataset(images, texts, labels, present=None) -> Dataset:
    vectors = {"image": np.float32(images), "text": np.float32(texts)}
    ids = np.array([f"row{i}" for i in range(len(labels))])
    return Dataset(vectors, np.int32(labels), None, ids, ("a", "b"), {}, present or {})


def _scores(images, texts, labels, present=None):
    validation = _dataset(images, texts, labels, present)
    score = evaluate.build_validation(validation, paired.config(), _mesh())
    return score(_identity(validation))


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
    # The first image's only relevant text is its partner; three texts are queries.
    assert found["val_mAP_others"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["val_mAP"] == pytest.approx(1.0)


def test_a_direction_without_queries_has_no_score_and_is_left_out_of_the_mean():
    x, y = [1, 0], [0, 1]
    present = {"text": np.array([False, False, True, True])}  # of the second class alone
    found = _scores([x, x, y, y], [x, x, x, y], labels=[0, 0, 1, 1], present=present)
    # Images of the first class find nothing (0), those of the second 1 and (1 + 2/2) / 2.
    assert found["val_mAP image->text"] == pytest.approx(2 / 4)
    single = {"text": np.array([False, False, True, False])}
    found = _scores([x, x, y, y], [x, x, x, y], labels=[0, 0, 1, 2], present=single)
    # The only text is a partner: without it, it has no image to find, and no image has it.
    assert found["val_mAP_others"] is None
    assert found["val_mAP text->image"] == pytest.approx(1 / 3)  # two images are nearer


def test_rows_without_a_label_neither_ask_nor_answer():
    """As if they were not there, though they are near to each other."""
    x, y, z = [1, 0], [0, 1], [0.7, 0.7]
    known = _scores([x, x, y, y], [x, y, y, y], labels=[0, 0, 1, 1])
    more = _scores([x, x, y, y, z, z], [x, y, y, y, z, z], labels=[0, 0, 1, 1, -1, -1])
    assert more == pytest.approx(known)
    (scores, _), test = _test([x, x, y, y, z], [x, y, y, y, z], [0, 0, 1, 1, -1], None)
    assert (scores["image->text"]["queries"], scores["image->text"]["gallery"]) == (4, 4)
    assert scores["text->image"]["mAP"] == pytest.approx(known["val_mAP text->image"])
    chance = evaluate.levels(paired.config(), test)["chance"]
    assert chance == pytest.approx(0.680556, abs=1e-6)  # two of four relevant


def test_a_set_without_labels_says_why_it_has_no_score():
    none = _dataset(np.eye(4, 2), np.eye(4, 2), [-1] * 4)
    assert evaluate.levels(paired.config(), none)["not_measured"] == {
        "image->text": "no row has a label", "text->image": "no row has a label"
    }  # fmt: skip
    apart = {"text": np.array([False, False, True, True])}
    some = _dataset(np.eye(4, 2), np.eye(4, 2), [0, 1, -1, -1], apart)
    reasons = evaluate.levels(paired.config(), some)["not_measured"]
    assert set(reasons.values()) == {"no row with a label has 'text'"}


def test_a_mean_leaves_out_what_is_not_measured():
    assert evaluate.mean([0.5, None, 0.25]) == 0.375
    assert evaluate.mean([None]) is None


def test_a_validation_set_that_measures_nothing_scores_nothing(caplog):
    absent = {"text": np.zeros(4, bool)}
    validation = _dataset(np.eye(4, 2), np.eye(4, 2), [0, 0, 1, 1], absent)
    with caplog.at_level("WARNING", logger="absl"):
        assert evaluate.build_validation(validation, paired.config(), _mesh()) is None
    logged = [entry.getMessage() for entry in caplog.records]
    assert "validation image->text, text->image: not measured, no row has 'text'" in logged
    assert "last epoch" in logged[-1]


def _test(images, texts, labels, present):
    test = _dataset(images, texts, labels, present)
    return evaluate.build_test(test, paired.config(), _mesh())(_identity(test)), test


def test_scores_and_chance_are_those_of_the_items_that_exist():
    x, y = [1, 0], [0, 1]
    present = {"text": np.array([True, False, True, True])}
    (scores, _), test = _test([x, x, y, y], [x, x, x, y], [0, 0, 1, 1], present)
    to_text, to_image = scores["image->text"], scores["text->image"]
    assert (to_text["queries"], to_text["gallery"]) == (4, 3)
    assert (to_image["queries"], to_image["gallery"]) == (3, 4)
    # Texts of rows 0, 2, 3 by images: x: 0, 2, 3; y: 3, 0, 2.
    assert to_text["mAP"] == pytest.approx((1 + 1 + 2 * (1 + 2 / 3) / 2) / 4)
    # Images by texts: x: 0 1 2 3, relevant to class 0; to class 1 the last two; y: 2 3.
    assert to_image["mAP"] == pytest.approx((1 + (1 / 3 + 2 / 4) / 2 + 1) / 3)
    levels = evaluate.levels(paired.config(), test)
    # One of three: (1 + 1/2 + 1/3) / 3. Two of three: AP 1, (1 + 2/3) / 2, (1/2 + 2/3) / 2.
    one, two = 11 / 18, (1 + 5 / 6 + 7 / 12) / 3
    assert levels["chance_by_direction"]["image->text"] == pytest.approx((one + two) / 2)
    # Two of four, six orders: 1, 5/6, 3/4, 7/12, 1/2, 5/12.
    four = (1 + 5 / 6 + 3 / 4 + 7 / 12 + 1 / 2 + 5 / 12) / 6
    assert levels["chance_by_direction"]["text->image"] == pytest.approx(four)
    assert levels["chance"] == pytest.approx(((one + two) / 2 + four) / 2)
    assert levels["not_measured"] == {}


def test_without_any_item_of_a_modality_no_score_is_a_number():
    absent = {"text": np.zeros(4, bool)}
    (scores, _), test = _test(np.eye(4, 2), np.eye(4, 2), [0, 0, 1, 1], absent)
    assert scores["image->text"] == {"mAP": None, "members": [None], "queries": 4, "gallery": 0}
    assert scores["text->image"] == {"mAP": None, "members": [None], "queries": 0, "gallery": 4}
    assert evaluate.levels(paired.config(), test) == {
        "chance": None,
        "chance_by_direction": {"image->text": None, "text->image": None},
        "not_measured": dict.fromkeys(scores, "no row has 'text'"),
    }


def test_items_of_classes_that_the_other_modality_lacks_measure_nothing():
    present = {"image": np.array([True, False]), "text": np.array([False, True])}
    found = evaluate.levels(paired.config(), _dataset(np.eye(2), np.eye(2), [0, 1], present))
    reason = "no query has an item of its class to find"
    assert found["not_measured"] == dict.fromkeys(("image->text", "text->image"), reason)


def test_an_embedding_that_is_not_finite_is_named_with_its_item_unless_it_is_missing():
    images = [[np.nan, 0], [1, 0]]
    with pytest.raises(UsageError, match=r"'image' of the test item 'row0'.*\(1 of 2 items\)"):
        _test(images, np.eye(2), [0, 1], {})
    present = {"image": np.array([False, True])}
    (scores, embeddings), _ = _test(images, np.eye(2), [0, 1], present)
    assert embeddings["image"].tolist() == [[0, 0], [1, 0]]  # alike to nothing
    assert scores["text->image"]["queries"] == 2 and scores["text->image"]["gallery"] == 1


def test_two_measures_do_not_reward_the_partner_with_the_same_wrong_label():
    """Two states that know the classes equally well; the first also knows the partners."""
    labels = np.array([0, 1] * 10)  # true classes: the first ten rows, and the others; half wrong
    classes = np.repeat(np.eye(2), 10, axis=0)
    partners = np.concatenate([classes, 0.1 * np.eye(20)], 1)
    knows, plain = (_scores(rows, rows, labels) for rows in (partners, classes))
    assert knows["val_mAP"] > plain["val_mAP"] + 0.03
    assert knows["val_mAP_others"] == pytest.approx(plain["val_mAP_others"])
    assert knows["val_precision"] == pytest.approx(plain["val_precision"]) == 0.5
