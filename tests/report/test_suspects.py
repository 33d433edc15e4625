"""What a command prints of suspect labels."""

import dataclasses

import numpy as np
from label_tables import by_hand

from jaxcmr.report.suspects import cautions, in_sample, suspects_text

TABLE = by_hand([0, 1, 1, -1], [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.0, 0.3, 0.7], [0.0, 1.0, 0.0]])


def test_the_labels_that_look_wrong_are_listed_worst_first():
    assert suspects_text(TABLE).splitlines() == [
        "2 of 3 labels look wrong; estimated share of wrong labels 53.3 % (9.0 to 97.6)",
        "1 row has no label; one is suggested for each",
        "",
        "most suspect  given  right   suggested",
        "row 1         sofa   20.0 %  chair      80.0 %",
        "row 2         sofa   30.0 %  table      70.0 %",
    ]


def test_the_reason_stands_beside_a_row():
    lines = suspects_text(TABLE, ["a", "b", "c", "d"], most=1).splitlines()[3:]
    assert lines == [
        "most suspect  given  right   suggested          why",
        "row 1         sofa   20.0 %  chair      80.0 %  b",
    ]


def test_a_row_that_looks_right_is_not_listed():
    assert "most suspect" not in suspects_text(by_hand([0], [[1, 0, 0]]))
    assert suspects_text(by_hand([-1], [[1, 0, 0]])) == ""


def test_labels_that_were_taught_are_told():
    taught = dataclasses.replace(TABLE, out_of_fold=np.array([False, True, True, False]))
    assert in_sample(TABLE) == ""
    assert in_sample(taught).startswith("in-sample: the model was taught 1 of 3 labels")
    assert in_sample(taught) in suspects_text(taught)


def test_labels_that_were_corrected_before_are_told():
    of = lambda **counts: dataclasses.replace(TABLE, about={"data": {"corrections": counts}})
    corrected = of(relabelled=2, confirmed=0)
    assert cautions(TABLE) == cautions(of(relabelled=0, confirmed=3)) == ""
    assert cautions(corrected).startswith("2 labels are corrected already")
    assert cautions(corrected) in suspects_text(corrected)
    taught = dataclasses.replace(corrected, out_of_fold=np.zeros(4, bool))
    assert cautions(taught) == f"{in_sample(taught)}; {cautions(corrected)}"
