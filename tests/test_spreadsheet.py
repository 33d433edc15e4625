"""Cells that a spreadsheet takes for text, and that come back as they were."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.storage.spreadsheet import STARTS, blocks_of, safe, unsafe, write_csv

FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "-", "="])
def test_a_formula_becomes_text(text):
    assert safe(text) == "'" + text and unsafe(safe(text)) == text


@pytest.mark.parametrize("text", ["", "chair", "a=b", "1", " =1", "é"])
def test_other_texts_stay_as_they_are(text):
    assert safe(text) == unsafe(text) == text


def test_an_apostrophe_of_the_text_itself_is_kept():
    assert safe("'=1") == "''=1" and unsafe("''=1") == "'=1"
    assert unsafe("'chair") == "'chair"  # written by hand: no cell of ours


TEXTS = st.builds(
    lambda start, rest: start + rest,
    st.text(alphabet="".join(STARTS), max_size=3),
    st.text(max_size=5),
)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_every_text_comes_back_and_no_cell_is_a_formula(text):
    assert unsafe(safe(text)) == text
    assert not safe(text).startswith(FORMULAS)


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS.filter(lambda text: "\0" not in text), min_size=1, max_size=8))
def test_texts_come_back_from_a_file(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("cells") / "table.csv"
    blocks = ([[safe(text) for text in texts[start:]]] for start in (0, 1))
    write_csv(path, ["text"], blocks)
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    cells = [row[0] if row else "" for row in rows]
    assert header == ["text"] and [unsafe(cell) for cell in cells] == [*texts, *texts[1:]]


def test_blocks_have_all_rows_in_their_order():
    rows = np.arange(45_000)
    blocks = list(blocks_of(rows))
    assert [len(block) for block in blocks] == [20_000, 20_000, 5_000]
    np.testing.assert_array_equal(np.concatenate(blocks), rows)


def test_columns_of_different_lengths_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"shorter|longer"):
        write_csv(tmp_path / "table.csv", ["a", "b"], [[["1", "2"], ["3"]]])
    assert not list(tmp_path.iterdir())
