"""Tables of several runs become one: by hand arithmetic, in any order, and mistakes."""

import dataclasses

import numpy as np
import pytest
from label_tables import by_hand, drawn

from jaxcmr.beliefs import label_errors
from jaxcmr.errors import UsageError
from jaxcmr.report.audit.combine import combine
from jaxcmr.types import UNKNOWN

NAMES = ("runs/a", "runs/b", "runs/c")


def pair(**second):
    """Returns two tables of drawn rows that differ in their predictions."""
    first = drawn(40, classes=3)
    logits = np.random.default_rng(1).random((40, 3))
    predictions = np.float32(logits / logits.sum(1, keepdims=True))
    return first, dataclasses.replace(first, **{"predictions": predictions, **second})


def test_one_table_stays_as_it_is():
    table = drawn(10)
    assert combine([table], NAMES[:1]) is table


def test_probabilities_are_averaged_and_judged_anew():
    first, second = (dataclasses.replace(t, raw_predictions=t.predictions) for t in pair())
    found = combine([first, second], NAMES[:2])
    np.testing.assert_allclose(
        found.raw_predictions, (first.predictions + second.predictions) / 2, atol=1e-6
    )
    judged = label_errors.judge((first.predictions + second.predictions) / 2, first.given)
    np.testing.assert_allclose(found.predictions, judged.predictions, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, judged.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.transition, judged.transition, atol=1e-5)
    score = label_errors.none_of_these(judged, first.given)
    np.testing.assert_allclose(found.none_of_these, score, atol=1e-5)
    assert found.about["members"] == 10 and len(found.about["runs"]) == 2


def test_only_runs_that_were_not_taught_the_label_count_where_there_are_any():
    first, second = pair(out_of_fold=np.arange(40) < 20)
    first = dataclasses.replace(first, out_of_fold=np.arange(40) >= 10)
    found = combine([first, second], NAMES[:2])
    mean = (first.predictions + second.predictions) / 2
    expected = np.concatenate([second.predictions[:10], mean[10:20], first.predictions[20:]])
    judged = label_errors.judge(expected, first.given)
    np.testing.assert_allclose(found.probabilities, judged.probabilities, atol=1e-5)
    assert found.out_of_fold.all()


def test_labels_that_every_run_was_taught_say_nothing_of_the_noise():
    """Their predictions confirm them, as if no label were wrong."""
    part = np.arange(400) < 200
    drawn_rows = drawn(400, classes=3, noise=0.3)
    taught = np.where(part[:, None], drawn_rows.predictions, np.eye(3)[drawn_rows.given])
    table = dataclasses.replace(drawn_rows, predictions=np.float32(taught), out_of_fold=part)
    found = combine([table, table], NAMES[:2])
    judged = label_errors.judge(table.predictions[part], table.given[part])
    np.testing.assert_allclose(found.transition, judged.transition, atol=1e-5)
    np.testing.assert_allclose(found.probabilities[part], judged.probabilities, atol=1e-5)


def test_rows_taught_to_every_run_are_the_mean_of_all_and_stay_in_sample():
    first, second = pair(out_of_fold=np.zeros(40, bool))
    first = dataclasses.replace(first, out_of_fold=np.zeros(40, bool))
    found = combine([first, second], NAMES[:2])
    judged = label_errors.judge((first.predictions + second.predictions) / 2, first.given)
    np.testing.assert_allclose(found.predictions, judged.predictions, atol=1e-6)
    assert not found.out_of_fold.any()


def test_the_order_of_rows_does_not_matter():
    first, second = pair()
    order = np.random.default_rng(2).permutation(40)
    whole = combine([first, second], NAMES[:2])
    mixed = combine([first, second.rows(order)], NAMES[:2])
    for field in dataclasses.fields(whole):
        if field.name != "about":
            np.testing.assert_array_equal(getattr(whole, field.name), getattr(mixed, field.name))


def test_a_row_of_one_run_keeps_what_that_run_says():
    first, second = pair()
    last = second.rows(np.arange(10, 40))
    found = combine([last, first], NAMES[:2])
    assert found.ids.tolist() == [*first.ids[10:], *first.ids[:10]]
    np.testing.assert_array_equal(found.given, np.append(first.given[10:], first.given[:10]))
    alone = slice(30, 40)
    np.testing.assert_array_equal(found.member_classes[alone, :5], -1)
    np.testing.assert_array_equal(found.member_classes[alone, 5:], first.member_classes[:10])
    np.testing.assert_array_equal(found.modality_classes[alone], first.modality_classes[:10])
    moved = np.where(first.neighbors >= 10, first.neighbors - 10, first.neighbors + 30)
    for row in range(10):
        assert set(found.neighbors[30 + row]) - {-1} == set(moved[row])


def test_neighbours_that_both_runs_name_come_first():
    near = np.full((2, 7, 10), -1)
    near[0, 0, :3], near[1, 0, :3] = [5, 1, 2], [6, 3, 2]
    tables = [by_hand([0] * 7, [[1, 0, 0]] * 7, neighbors=each) for each in near]
    found = combine(tables, NAMES[:2]).neighbors[0]
    assert found.tolist() == [2, 5, 6, 1, 3] + [-1] * 5


def test_votes_of_all_runs_make_the_agreement():
    p = [[0.9, 0.05, 0.05]]
    first = by_hand([0], p, agreement=np.array([0.75]))  # 5 members, 2 modalities
    second = by_hand(
        [0],
        p,
        agreement=np.array([0.5]),
        modality_classes=np.array([[0, -1]]),
        member_classes=np.array([[0, 1]]),
    )
    found = combine([first, second], NAMES[:2])
    assert found.agreement[0] == pytest.approx((10 * 0.75 + 2 * 0.5) / 12)
    assert found.member_classes.tolist() == [[0] * 5 + [0, 1]]


def test_a_run_that_suggests_another_class_gives_the_votes_of_its_members():
    first = by_hand([0], [[0.9, 0.05, 0.05]], agreement=np.array([1.0]))
    second = by_hand(
        [0],
        [[0.4, 0.6, 0.0]],
        agreement=np.array([0.7]),
        member_classes=np.array([[1, 1, 1, 0]]),
    )
    found = combine([first, second], NAMES[:2])
    assert found.suggested[0] == 0
    assert found.agreement[0] == pytest.approx((10 * 1.0 + 8 * 0.25) / 18)


def test_runs_of_other_modalities_have_the_votes_of_each():
    first = by_hand([0], [[1, 0, 0]], modality_classes=np.array([[0, 1]]))
    second = by_hand([0], [[1, 0, 0]], modalities=("points", "text"),
                     modality_classes=np.array([[2, 0]]))  # fmt: skip
    found = combine([first, second], NAMES[:2])
    assert found.modalities == ("image", "points", "text")
    assert found.modality_classes.tolist() == [[0, 2, 0]]  # of 1 and 0 for text the likelier


def test_most_runs_say_what_a_modality_predicts():
    tables = [by_hand([0], [[1, 0, 0]], modality_classes=np.array([[k, k]])) for k in (1, 0, 1)]
    assert combine(tables, NAMES).modality_classes.tolist() == [[1, 1]]


def test_true_labels_are_known_where_they_are_in_one_run():
    first, second = pair(true=None)
    np.testing.assert_array_equal(combine([first, second], NAMES[:2]).true, first.true)
    part = first.rows(np.arange(30))
    found = combine([second, part], NAMES[:2])
    of_first = dict(zip(first.ids, first.true))
    known = np.isin(found.ids, part.ids)
    assert found.true[known].tolist() == [of_first[row] for row in found.ids[known]]
    assert (found.true[~known] == UNKNOWN).all() and (~known).sum() == 10
    assert combine([second, second], NAMES[:2]).true is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"class_names": ("class 0", "b", "class 2")}, "runs/a and runs/b have other classes"),
        ({"class_names": ("class 1", "class 0", "class 2")}, "in another order"),
        ({"given": np.zeros(40, np.int32)}, "have other given labels in"),
        ({"true": np.zeros(40, np.int32)}, "have other true labels in"),
        ({"ids": np.char.add("other ", np.arange(40).astype(str))}, "have no row in common"),
        ({"ids": np.repeat("item 1", 40)}, "runs/b has rows of the same id"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(change, words):
    with pytest.raises(UsageError, match=words):
        combine(pair(**change), NAMES[:2])


def test_rows_of_the_same_id_are_told_apart_by_their_order_where_all_runs_have_it():
    first, second = pair()
    ids = np.array(["twice"] * 2 + [f"row {row}" for row in range(38)])
    found = combine([dataclasses.replace(t, ids=ids) for t in (first, second)], NAMES[:2])
    np.testing.assert_array_equal(found.given, first.given)
