"""Text on pictures: any name, in the room that there is."""

import warnings

import matplotlib
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from jaxcmr.report import canvas

TRICKY = "$^_{}\\%#&~<>\n\r\t\x00\u202e\u200d\u0301\ufe0f😀👩🏽🇩🇪手שلا"


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from(TRICKY))))
def test_any_name_is_written_and_cut_to_the_width(name):
    text = Figure(figsize=(2, 1), dpi=100).text(0, 0, "", fontsize=7)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.write(text, name, width=0.5)
        assert text.get_window_extent().width <= 50 or len(text.get_text()) == 1


def test_a_formula_and_a_long_name_by_hand():
    text = Figure(figsize=(9, 1)).text(0, 0, "", fontsize=7)
    canvas.write(text, "$x^2$", width=5)
    assert (text.get_text(), text.get_parse_math()) == ("$x^2$", False)
    canvas.write(text, "x" * 300, width=5, columns=9)
    assert text.get_text() == "x" * 8 + "…"


def test_the_settings_of_the_user_for_matplotlib_do_not_matter(tmp_path):
    with matplotlib.rc_context({"text.usetex": True, "figure.dpi": 7.0}):
        with canvas.sheet(tmp_path / "sheet.png", [], dpi=50) as figure:
            canvas.write(figure.suptitle(""), "$x", width=5)
        assert matplotlib.rcParams["text.usetex"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (320, 240)  # 6.4 x 4.8 inches


def test_names_in_a_legend_may_begin_with_a_line(tmp_path):
    with canvas.sheet(tmp_path / "sheet.png", ["_a", "$b$"], dpi=50) as figure:
        axes = figure.subplots()
        canvas.legend(axes, axes.plot([0, 1], [[0, 1], [1, 0]]), ["_a", "$b$"])
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["_a", "$b$"]
    assert (tmp_path / "sheet.png").stat().st_size > 0
