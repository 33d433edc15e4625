"""Texts of every script have features."""

import numpy as np
import pytest

from jaxcmr.data.items.texts import learn, tokens
from jaxcmr.errors import UsageError


def tfidf(texts, fit):
    return learn([text for text, use in zip(texts, fit) if use]).rows(texts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A red pot, 5 of IT", "a red pot 5 of it"),
        ("\u6728\u6905\u5b50", "\u6728 \u6905 \u5b50 \u6728\u6905 \u6905\u5b50"),
        ("a \u7ea2 chair", "a \u7ea2 chair"),
        (
            "\u0e40\u0e01\u0e49\u0e32",
            "\u0e40 \u0e01 \u0e49 \u0e32 \u0e40\u0e01 \u0e01\u0e49 \u0e49\u0e32",
        ),
        # Marks belong to their letters: a Hindi and a Tamil word are one token each.
        ("\u0915\u0941\u0930\u094d\u0938\u0940", "\u0915\u0941\u0930\u094d\u0938\u0940"),
        ("\uc758\uc790 \ub098\ubb34", "\uc758\uc790 \ub098\ubb34"),
        ("a\U0001f600b \u2764\ufe0f", "a \U0001f600 b \u2764"),
        ("\U0001f1e9\U0001f1ea", "\U0001f1e9\U0001f1ea"),
        ("\uff23\uff21\uff34 \ufb01sh", "cat fish"),
        ("cafe\u0301", "caf\u00e9"),
        ("A", "a"),
        ("7", "7"),
        ("size_M _ X-L", "size_m x l"),
        ("\ube68\uac04 \ucc28", "\ube68\uac04 \ucc28"),  # a red car: a word of one letter
        ("?!", "? !"),
        (" \n\t\u3000", ""),
    ],
)
def test_tokens(text, found):
    assert tokens(text) == found.split()


@pytest.mark.parametrize(
    "texts", ["ABC", "123", "\U0001f600\U0001f601\U0001f602", "?!#", "\u6728\u6905\u5b50"]
)
def test_texts_of_one_character_differ(texts):
    rows = tfidf([*texts, *texts], np.array([True] * 3 + [False] * 3))
    np.testing.assert_allclose(rows @ rows[:3].T, np.tile(np.eye(3), (2, 1)), atol=1e-6)


def test_chinese_texts_that_share_words_are_alike():
    chair, table = "\u6728\u5934\u6905\u5b50\u6709\u56db\u6761\u817f", "\u5706\u5f62\u684c\u5b50"
    rows = tfidf([chair, table, chair[2:]], np.array([True, True, False]))
    assert rows[2] @ rows[0] > 0.7 > rows[2] @ rows[1]


def test_a_text_of_unknown_words_has_no_feature_and_blank_training_texts_are_refused():
    rows = tfidf(["red pot", "blue pan", "green"], np.array([True, True, False]))
    assert rows.any(1).tolist() == [True, True, False]
    with pytest.raises(UsageError, match="the texts of the training rows are all blank"):
        tfidf(["", " ", "pot"], np.array([True, True, False]))
