"""One policy of missing values and flags for every source."""

import numpy as np
import pytest

from jaxcmr.data.own import names
from jaxcmr.data.own.missing import flags, is_missing, missing
from jaxcmr.errors import UsageError

NOTHING = [
    None,
    "",
    "  \t",
    "\u3000",
    "\u200b",
    "\ufeff ",
    float("nan"),
    np.float32("nan"),
    np.ma.masked,
]
NOTHING += [np.datetime64("NaT"), b"", b"nan", "nan", "NaN", " NaN ", "NA", "N/A", "#N/A", "<NA>"]
NOTHING += ["null", "NULL", "None", "NaT"]  # fmt: skip


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_what_stands_for_nothing_is_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize(
    "value", ["none", "na", "Nan", "Null", "naan", "0", 0, 0.0, False, "-1", np.inf]
)
def test_words_of_their_own_and_numbers_are_values(value):
    assert not is_missing(value)


def test_arrays_of_every_type_are_looked_at_entry_by_entry():
    assert missing(np.array([["a", "nan"], ["", "b"]])).tolist() == [[False, True], [True, False]]
    assert missing(np.array([1.0, np.nan, np.inf])).tolist() == [False, True, False]
    assert missing(np.array([b"", b"x"])).tolist() == [True, False]
    assert missing(np.array([None, 0, "NA"], object)).tolist() == [True, False, True]
    assert missing(np.array([0, 1])).tolist() == [False, False]
    assert missing(np.ma.array([1.0, 2.0], mask=[False, True])).tolist() == [False, True]


@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False]),
        np.array([1, 0], np.uint8),
        np.array([1.0, 0.0], np.float32),
        np.array(["True", "False"]),
        np.array([b"1", b"0"]),
        np.array([" YES", "no "]),
        np.array([True, "false"], object),
    ],
    ids=str,
)
def test_flags_of_every_form_are_booleans(array):
    found = flags(array, "x")
    assert found.dtype == bool and found.tolist() == [True, False]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1, 2]), "x has 2 in row 1"),
        (np.array([1, np.nan]), "x has nan in row 1"),
        (np.array(["yes", ""]), "x has '' in row 1"),
        (np.array(["present", "missing"]), "x has 'present' in row 0"),
        (np.array([0, 0.5]), "x has 0.5 in row 1"),
    ],
)
def test_a_flag_that_is_neither_true_nor_false_is_refused(array, said):
    with pytest.raises(UsageError, match=f"{said}, which is neither true nor false; write 1"):
        flags(array, "x")


def test_names_are_found_in_every_spelling():
    found = [
        names.column(x) for x in (" Label", "LABELS", "true_labels", "Image ", "\ufeffid", "x y")
    ]
    assert found == ["label", "label", "true_label", "image", "id", "x y"]
    assert names.column("Cafe\u0301") == names.column("caf\u00e9")
    splits = [names.split(x) for x in ("Train", "val", " valid ", "DEV", "testing", "later", "")]
    assert splits == ["train", "validation", "validation", "validation", "test", None, None]
    known = ("label", "image")
    assert names.suggestion("lable", known) == "; did you mean 'label'?"
    assert names.suggestion("price", known) == ""
