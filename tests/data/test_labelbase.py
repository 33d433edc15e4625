"""Class names: one class has one name, that of the file."""

import numpy as np
import pytest

from jaxcmr.data.own.labelbase import clean, skeleton, unify
from jaxcmr.errors import UsageError


def _unify(labels, class_names=()):
    coded, names, done = unify({"train": np.array(labels)}, class_names, "x")
    return coded["train"].tolist(), names, done


def test_numbers_from_1_keep_their_names():
    assert _unify([1, 4, 2, 3, 1]) == ([0, 3, 1, 2, 0], ("1", "2", "3", "4"), "counted from 1")
    assert _unify(np.array([[2.0], [1.0]])) == ([1, 0], ("1", "2"), "counted from 1")


def test_numbers_with_gaps_are_the_classes_that_occur():
    assert _unify([10, 0, 700_000]) == ([1, 0, 2], ("0", "10", "700000"), "integers from 0")
    assert _unify([True, False]) == ([1, 0], ("False", "True"), "integers from 0")


def test_numbers_written_as_text_are_sorted_as_numbers():
    assert _unify(["10", "9", "1"]) == ([2, 1, 0], ("1", "9", "10"), "text")
    assert _unify(["10", "9", "a"]) == ([0, 1, 2], ("10", "9", "a"), "text")


def test_text_and_numbers_of_two_splits_are_the_same_classes():
    splits = {"train": np.array(["1.0", "2.0"]), "test": np.array([2, 1])}
    coded, names, _ = unify(splits, (), "x")
    assert names == ("1", "2") and coded["test"].tolist() == [1, 0] == coded["train"].tolist()[::-1]


def test_composed_and_decomposed_letters_and_blanks_are_one_class():
    assert _unify(["caf\u00e9", "cafe\u0301", " caf\u00e9\u3000", "\ufefflamp"])[:2] == (
        [0, 0, 0, 1], ("caf\u00e9", "lamp"),
    )  # fmt: skip
    coded, names, _ = _unify(["cafe\u0301", "b"], ("b", "caf\u00e9"))
    assert coded == [1, 0] and names == ("b", "caf\u00e9")


def test_whole_decimals_lose_their_zeros_and_versions_keep_them():
    assert clean(np.array(["1.0", "2.00", "x"])).tolist() == ["1", "2", "x"]
    assert clean(np.array(["1.0", "1.5"])).tolist() == ["1.0", "1.5"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Chair", "chair"),
        ("coffee table", "coffee  table"),
        ("coffee table", "coffee\u00a0table"),
        ("coffee_table", "coffee-table"),
        ("\uff21", "A"),
        ("\ufb01sh", "fish"),
        ("la\u200bmp", "lamp"),
        ("\u0441hair", "chair"),  # a Cyrillic letter
        ("01", "1"),
        ("1,0", "1"),  # a decimal comma
        ("+1", "1"),
        ("\u22122", "-2"),  # the minus sign
        ("1E+05", "100000"),
        ("Stra\u00dfe", "STRASSE"),
    ],
)
def test_names_that_look_alike_are_named_and_stay_apart(one, other, caplog):
    assert skeleton(one) == skeleton(other)
    _, names, _ = _unify([one, other, one, "else"])
    assert len(names) == 3
    (line,) = caplog.messages
    assert f"{one!a} (2 times)" in line and f"{other!a} (1 times)" in line and "else" not in line


def test_different_names_raise_no_doubt(caplog):
    _unify(
        ["chair", "chairs", "10", "1", "\u6905", "\U0001f600", "\U0001f601", "caf\u00e9", "cafe"]
    )
    assert not caplog.messages


def test_a_class_called_none_is_said(caplog):
    assert _unify(["none", "some"])[1] == ("none", "some")
    assert "'none' (1 times) is taken for the name of a class" in caplog.messages[0]
    for word in ("inf", "?", "Unknown"):
        _unify([word, "1"])
        assert f"{word!r} (1 times) is taken for the name of a class" in caplog.messages[-1]


@pytest.mark.parametrize("word", ["nan", "NA", "None", "N/A"])
def test_a_word_that_may_stand_for_no_label_is_refused_by_its_row(word):
    with pytest.raises(
        UsageError, match=r"x: the test labels have '.*' in row 1, which may stand for no label"
    ):
        unify({"train": np.array(["a", "b"]), "test": np.array(["a", word])}, (), "x")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "", "a", "  "], ([1, -1, 0, -1], ("a", "b"))),
        ([0, -1, 2, -1], ([0, -1, 1, -1], ("0", "2"))),
        ([[0], [-1], [1]], ([0, -1, 1], ("0", "1"))),
        ([1.0, np.nan, 2.0], ([0, -1, 1], ("1", "2"))),
        ([0.0, np.nan, -1.0], ([0, -1, -1], ("0",))),
        (["0", "-1", "1.0", ""], ([0, -1, 1, -1], ("0", "1"))),
        (["", ""], ([-1, -1], ())),
        ([np.nan, np.nan], ([-1, -1], ())),
    ],
)
def test_what_is_empty_and_minus_one_beside_classes_from_0_are_no_label(labels, expected):
    assert _unify(labels)[:2] == expected


def test_no_label_of_one_split_is_none_beside_names_of_another():
    splits = {"train": np.array(["a", "b", ""]), "test": np.array([np.nan, np.nan])}
    coded, names, _ = unify(splits, (), "x")
    assert names == ("a", "b") and coded["train"].tolist() == [0, 1, -1]
    assert coded["test"].tolist() == [-1, -1]
    coded, _, _ = unify({"train": np.array([0, -1, 1])}, ("a", "b"), "x")
    assert coded["train"].tolist() == [0, -1, 1]


def test_minus_one_among_names_is_doubted(caplog):
    assert _unify(["-1", "chair", "table"])[1] == ("-1", "chair", "table")
    assert "'-1' (1 times) is taken for the name of a class" in caplog.text


def test_class_names_may_be_words_that_stand_for_nothing_elsewhere():
    assert _unify(["NA", "EU"], ("EU", "NA"))[0] == [1, 0]


@pytest.mark.parametrize(
    ("labels", "class_names", "said"),
    [
        (["-1", "1"], (), "the label -1 is negative; number the classes from 0 or 1, and write"),
        ([-1, 1, 2], (), "the label -1 is negative"),
        ([-1, 1], ("a", "b"), "the label -1 is negative"),
        ([0, -2], (), "the label -2 is negative"),
        ([["a", "b"], ["a", "b"]], (), r"have the shape \[2, 2\]; one label a row is needed"),
        (["lmap"], ("lamp", "chair"), "none of the class names; did you mean 'lamp'"),
        ([0, 1], ("a", " a"), "the class name 'a' occurs twice"),
        ([0, 1], ("a", ""), "number 1 of the class names is empty"),
        ([2**63], (), "beyond 2..53"),
        ([[1, 0], [0, 0]], (), "are not one-hot; row 1 has no class"),
        ([[1, 0], [1, 1]], (), "are not one-hot; rows with several labels"),
    ],
)
def test_labels_that_cannot_be_meant_are_one_sentence(labels, class_names, said):
    with pytest.raises(UsageError, match=said) as error:
        unify({"train": np.array(labels)}, class_names, "x")
    assert "\n" not in str(error.value)
