"""Sentences of errors: one line, without control characters for the terminal."""

import pickle

import pytest

from jaxcmr.errors import UsageError


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a\nb", "a?b"),
        ("\x1b[2Jgone", "?[2Jgone"),
        ("no file \u6728 \u00e9", "no file \u6728 \u00e9"),
        ("\udcff", "?"),
    ],
)
def test_a_sentence_is_one_line_of_printable_letters(message, shown):
    assert str(UsageError(message)) == shown
    assert str(pickle.loads(pickle.dumps(UsageError(message)))) == shown
