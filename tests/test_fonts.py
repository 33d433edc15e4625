"""Fonts are chosen by the letters that they have."""

import os
import subprocess
import sys

import pytest

from jaxcmr import fonts


@pytest.fixture
def installed(monkeypatch):
    """Three fonts, each with some letters."""
    letters = {"first": "abc $", "wide": "手册", "narrow": "手", "broken": ""}
    monkeypatch.setattr(fonts.font_manager, "findfont", lambda name: "first")
    monkeypatch.setattr(fonts, "_others", lambda: [(n, n) for n in ("broken", "narrow", "wide")])
    lacks = lambda text, file: "".join(c for c in text if c not in letters[file])
    monkeypatch.setattr(fonts, "_missing", lacks)


@pytest.mark.parametrize(
    "text, chosen",
    [("abc", ()), ("a手", ("narrow",)), ("手册", ("narrow", "wide")), ("ש", ())],
)
def test_a_family_is_added_for_letters_that_the_first_lacks(text, chosen, installed):
    assert fonts.families(text) == (fonts.FIRST, *chosen)


def test_one_file_is_the_one_that_lacks_least(installed):
    assert [fonts.best_file(text) for text in ("a", "手", "a手册")] == ["first", "narrow", "wide"]
    assert fonts.without_glyph("手ש") == "ש"


def test_the_font_that_comes_along_has_latin_hebrew_arabic_and_no_chinese():
    file = fonts.font_manager.findfont(fonts.FIRST)
    assert fonts._missing("aß שלום مرحبا $\u200d\u0301", file) == ""
    assert fonts._missing("手a手", file) == "手"


def test_neither_a_backend_that_is_not_installed_nor_a_missing_home_matters():
    """A notebook sets the backend for all that it starts."""
    environment = os.environ | {"MPLBACKEND": "module://not_installed", "HOME": "/dev/null/none"}
    environment = {k: v for k, v in environment.items() if not k.startswith(("MPLCONFIG", "XDG"))}
    code = "import os, jaxcmr.fonts; print(os.environ['MPLBACKEND'])"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert ran.stdout.decode().strip() == "module://not_installed", ran.stderr
    assert not ran.stderr
