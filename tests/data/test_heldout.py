"""Rows that are held out: a fifth of each class, and what belongs together stays together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.heldout import cut, draw, folded, groups, held_out, report, warn_of_shared
from jaxcmr.errors import UsageError


def test_without_links_a_fifth_of_each_class_is_drawn():
    labels = np.repeat(["a", "b", "c"], [10, 5, 2])
    named = held_out(labels, 0)
    assert [int((named[labels == label] == "test").sum()) for label in "abc"] == [2, 1, 1]
    np.testing.assert_array_equal(held_out(labels, 0), named)


def test_linked_rows_are_in_one_split():
    pictures = np.arange(50) // 5
    labels = pictures % 2
    named = held_out(labels, 0, {"image": pictures})
    for picture in range(10):
        assert len(set(named[pictures == picture])) == 1
    # Two tenths of 25 rows a class are 5 rows: one picture each.
    assert [int((named[labels == label] == "test").sum()) for label in (0, 1)] == [5, 5]


def test_links_are_followed_through_others():
    links = {"image": np.array([0, 0, 1, 2, -1, -1]), "text": np.array([3, 4, 4, 5, -1, -1])}
    found = groups(links, 6)
    assert len(set(found[:3])) == 1 and len(set(found)) == 4


def test_a_text_that_a_whole_class_shares_is_given_up_and_its_pictures_are_not(caplog):
    links = {"image": np.arange(20) // 2, "text": np.arange(20) // 10}
    labels = np.arange(20) // 10
    named = held_out(labels, 0, links)
    assert (named == "test").sum() == 4
    assert (named[::2] == named[1::2]).all()
    warn_of_shared(links, named, "items.csv")
    assert "text 4 of 4 test rows" in caplog.messages[-1] and "image" not in caplog.messages[-1]


def test_a_given_group_is_never_cut(caplog):
    labels = np.array([0] * 6 + [1] * 6)
    named = held_out(labels, 0, {"group": np.array([0] * 6 + [1] * 3 + [2] * 3)})
    assert (named[:6] == "train").all() and len(set(named[6:9])) == len(set(named[9:])) == 1
    report(labels, named, "items.csv")
    assert "1 of 2 classes have no test row" in caplog.messages[-1]
    with pytest.raises(UsageError, match="all rows of a class have the same 'group', so none"):
        held_out(labels, 0, {"group": labels})


def test_every_class_keeps_a_training_row_when_pictures_carry_several_classes():
    pictures, labels = np.arange(60) // 4, np.arange(60) % 3
    for seed in range(20):
        named = held_out(labels, seed, {"image": pictures})
        assert set(labels[named == "train"]) == {0, 1, 2} == set(labels[named == "test"])
        assert all(len(set(named[pictures == picture])) == 1 for picture in range(15))
    alone = held_out(np.array([0, 1, 1, 1, 0]), 0, {"image": np.array([0, 0, 1, 2, 3])})
    assert alone[0] != alone[4]


def test_classes_of_one_row_are_a_sentence_that_says_what_to_do():
    with pytest.raises(
        UsageError, match=r"every class has one row, so none can be held out.*split"
    ):
        held_out(np.array(["a", "b", "c"]), 0)
    assert held_out(np.zeros(0), 0).tolist() == []


def test_a_class_of_one_row_is_named(caplog):
    labels = np.array(["a", "b", "b"])
    named = held_out(labels, 0)
    assert named[0] == "train"
    report(labels, named, "items.csv")
    assert "1 of 2 classes have no test row" in caplog.messages[-1] and "'a'" in caplog.messages[-1]


def test_what_ties_rows_is_logged(caplog):
    caplog.set_level("INFO")
    links = {"image": np.array([0, 0, 1, 1, 2, -1, -1, 3]), "text": np.array([-1, 5, 5] + [-1] * 5)}
    labels = np.arange(8) % 2
    report(labels, held_out(labels, 0, links), "items.csv", links)
    assert "(image 4, text 2) are kept in one split" in caplog.text
    assert "the largest group has 4 rows" in caplog.text


def test_one_class_under_two_spellings_is_drawn_from_as_one():
    labels = np.array(["caf\u00e9", "cafe\u0301"] * 5)
    assert (held_out(labels, 0) == "test").sum() == 2


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data())
def test_no_draw_cuts_a_group_or_empties_a_class(data):
    count = data.draw(st.integers(2, 30))
    column = st.lists(st.integers(-1, 8), min_size=count, max_size=count).map(np.array)
    labels, links = data.draw(column), {"group": data.draw(column), "image": data.draw(column)}
    try:
        named = held_out(labels, data.draw(st.integers(0, 3)), links)
    except UsageError:
        return
    for group in set(links["group"]) - {-1}:
        assert len(set(named[links["group"] == group])) == 1
    assert set(labels) - {-1} <= set(labels[named == "train"])


@pytest.mark.parametrize("none", [-1, np.nan, ""])
def test_rows_without_a_label_are_not_held_out(none):
    labels = np.arange(60) % 3
    labels = labels.astype(str) if none == "" else labels.astype(type(none))
    labels[::2] = none
    named = held_out(labels, 0)
    assert (named[::2] == "train").all() and (named[1::2] == "test").sum() == 6
    with pytest.raises(UsageError, match="no row has a label, so none can be held out"):
        held_out(np.full(4, ""), 0)


def test_minus_one_beside_one_is_a_class():
    named = held_out(np.array([-1, 1] * 10), 0)
    assert (named[::2] == "test").sum() == 2


def test_a_draw_over_the_wanted_number_takes_the_smallest_group():
    levels = cut({"group": np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])}, 11)
    taken = draw(np.arange(11), 1, levels, np.arange(0))
    assert taken.tolist() == [4, 5, 6]


def test_folds_are_drawn_by_the_first_row_of_a_group():
    links = {"image": np.array([7, -1, 7, 3, 3] + [-1] * 15), "text": np.zeros(20, int)}
    # The text would put all rows into one fold.
    assert folded(links, 20).tolist() == [0, 1, 0, 3, 3, *range(5, 20)]
    assert folded({}, 20) is None and folded({"text": np.zeros(20, int)}, 20) is None
