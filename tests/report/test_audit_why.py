"""The reason of a row, in words."""

import numpy as np
import pytest
from label_tables import by_hand, drawn

from jaxcmr.report.audit.why import IN_SAMPLE, reasons

CHAIR, SOFA, TABLE = range(3)


def why(given: int = SOFA, modalities=("image", "text"), **fields) -> str:
    """Returns the reason of a row for which chair is suggested."""
    rows = {name: np.asarray(value)[None] for name, value in fields.items()}
    return reasons(by_hand([given], [[0.8, 0.1, 0.1]], modalities=modalities, **rows))[0]


@pytest.mark.parametrize(
    "members, modalities, words",
    [
        ([0, 0, 0, 0, 1], [0, 0], "4 of 5 members and both modalities say chair"),
        ([0, 0, 0, 0, 0], [0, 1], "all 5 members and its image say chair, its text says sofa"),
        ([0, 0], [0, -1], "both members say chair (it has no text)"),
        ([0, 1, 1], [-1, 0], "1 of 3 members says chair (it has no image)"),
        ([0], [0, 0], "both modalities say chair"),
        ([0], [2, 0], "its text says chair, its image says table"),
        ([0], [0, -1], "the model says chair (it has no text)"),
        ([1, 1], [0, 1], "its image says chair, none of 2 members does, its text says sofa"),
        ([2, 2], [2, 2], "chair is likeliest by all probabilities together, its image and text "
                         "say table"),
        ([0, 0, -1], [0, 0], "both members and both modalities say chair"),
    ],
)  # fmt: skip
def test_members_and_modalities_say(members, modalities, words):
    assert why(member_classes=members, modality_classes=modalities) == words


def test_one_modality_is_not_counted_beside_the_members():
    said = why(modalities=("image",), member_classes=[0, 0, 1], modality_classes=[0])
    assert said == "2 of 3 members say chair"


def test_three_modalities():
    names = ("image", "points", "text")
    found = why(modalities=names, member_classes=[0], modality_classes=[0, 0, 0])
    assert found == "all 3 modalities say chair"
    found = why(modalities=names, member_classes=[0], modality_classes=[0, 1, 0])
    assert found == "its image and text say chair, its points says sofa"


def test_probabilities_of_your_own_have_neither_members_nor_modalities():
    none = np.zeros(0, np.int32)
    assert why(modalities=(), member_classes=none, modality_classes=none) == (
        "chair is likeliest by all probabilities together"
    )


def near(labels: list[int], given: int = SOFA) -> str:
    """Returns what is said of neighbours with these given labels; there may be ten."""
    rows = 1 + len(labels)
    found = np.full((rows, 10), -1, np.int32)
    found[0, : len(labels)] = 1 + np.arange(len(labels))
    table = by_hand([given, *labels], [[0.8, 0.1, 0.1]] * rows, neighbors=found)
    return reasons(table)[0].partition("; ")[2]


@pytest.mark.parametrize(
    "labels, words",
    [
        ([CHAIR] * 9 + [TABLE], "9 of its 10 nearest items are labelled chair"),
        ([CHAIR] * 8 + [SOFA, TABLE], "8 of its 10 nearest items are labelled chair, 1 sofa"),
        ([CHAIR] * 10, "all its 10 nearest items are labelled chair"),
        ([TABLE, SOFA], "none of its 2 nearest items is labelled chair, 1 sofa"),
        ([CHAIR, -1, SOFA], "1 of its 2 nearest items with a label is labelled chair, 1 sofa"),
        ([-1, -1], "none of its 2 nearest items has a label"),
        ([CHAIR], "its nearest item is labelled chair"),
        ([-1, SOFA], "its nearest item with a label is labelled sofa"),
        ([TABLE], "its nearest item is labelled otherwise"),
        ([], ""),
    ],
)
def test_neighbours_are_told_by_their_given_labels(labels, words):
    assert near(labels) == words


def test_what_else_there_is_to_say():
    votes = "all 5 members and both modalities say chair"
    assert why(given=-1, out_of_fold=True) == f"has no label; {votes}"
    assert why(given=-1, out_of_fold=False) == f"has no label; {votes}"
    assert why(given=CHAIR) == f"{votes}, as labelled"
    assert why(none_of_these=0.9) == f"{votes}; it may belong to none of the classes"
    assert why(out_of_fold=False) == votes + IN_SAMPLE


def test_names_of_users_are_one_line():
    table = by_hand([1], [[0.8, 0.1, 0.1]], class_names=("a\nb", "c", "d"), modalities=("x", "y"))
    assert reasons(table) == [r"all 5 members and both modalities say a\nb"]


def test_a_row_has_the_same_reason_in_any_company():
    table = drawn(200)
    together = reasons(table)
    for row in (0, 17, 199):
        alone = by_hand(
            table.given[[row]],
            table.probabilities[[row]],
            class_names=table.class_names,
            member_classes=table.member_classes[[row]],
            modality_classes=table.modality_classes[[row]],
        )
        assert together[row].partition(";")[0] == reasons(alone)[0]
    assert len(set(together)) > 50


def test_no_row_has_no_reason():
    assert reasons(by_hand(np.zeros(0), np.zeros((0, 3)))) == []
