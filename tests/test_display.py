"""Names as terminals and pictures show them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.display import by_reason, columns, padded, shown


@pytest.mark.parametrize(
    "name",
    ["chair", "$$", "a_b^c", r"\frac{", "שלום עולם", "手册", "😀", "👩\u200d👧", "é", "%s {x}"],
)
def test_a_name_stays_as_it_is(name):
    assert shown(name) == name


@pytest.mark.parametrize(
    "name, seen",
    [
        ("two\nlines", r"two\nlines"),
        ("a\tb\r", r"a\tb\r"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("abc\u202edef", r"abc\u202edef"),  # would turn the rest of the line around
        ("\ud800", r"\ud800"),  # could not be printed
        ("e\u0301", "é"),
    ],
)
def test_what_would_break_the_line_is_spelled_out(name, seen):
    assert shown(name) == seen


def test_a_long_name_is_cut_to_its_columns():
    assert shown("x" * 300, 10) == "x" * 9 + "…"
    assert shown("手" * 300, 10) == "手" * 4 + "…"  # two columns each: five do not fit
    assert shown("e\u0327\u0301" * 9, 9) == shown("e\u0327\u0301" * 9, 99)  # marks take none
    assert (columns("a手"), padded("手", 4)) == (3, "手  ")


def test_directions_that_are_not_measured_are_listed_by_reason():
    reasons = {"a->c": "none", "c->a": "none", "a->" + "b" * 30: "few"}
    cut = "b" * 23 + "…"
    assert by_reason(reasons) == [
        "a->c, c->a: not measured, none",
        f"a->{cut}: not measured, few",
    ]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=())), st.integers(1, 30))
def test_any_text_fits_and_can_be_printed(name, width):
    seen = shown(name, width)
    assert columns(seen) <= width
    assert len(seen.splitlines()) <= 1
    seen.encode()
