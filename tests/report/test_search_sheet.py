"""Sheets of a search: complete, safe with any text, of bounded size."""

from pathlib import Path

import numpy as np
import pytest
from audit_tables import HOSTILE
from PIL import Image
from search_rows import Hits, Rows, hits, texts
from test_audit_page import Parsed

from jaxcmr.errors import UsageError
from jaxcmr.report.items import Part, part
from jaxcmr.report.pages import page as pages
from jaxcmr.report.search.pictures import Pictures
from jaxcmr.report.search.sheet import Query, check_sheet, write_sheet

NOTHING = Hits([[]], [[]], [[]], [[]], [[]])


def picture(color) -> Part:
    return part.picture("image", Image.new("RGB", (320, 160), color))


@pytest.fixture
def sheet(tmp_path):
    """Writes an HTML sheet and returns it as parsed."""

    def write(queries, found, shown):
        write_sheet(tmp_path / "sheet.html", queries, found, shown)
        return Parsed((tmp_path / "sheet.html").read_text("utf-8"))

    return write


def test_each_query_stands_before_its_hits_with_all_that_is_known_of_them(sheet):
    index = texts(40)
    found = hits(index, [[20, 13], [15]])
    found.metadata[1][0].update(price=None, color="a & b")
    queries = [Query("mean", [picture("red"), part.text("text", "a stool")]), Query("item-1", [])]
    parsed = sheet(queries, found, Pictures(index))
    text = " ".join(" ".join(parsed.texts).split())
    told = (
        "2 searches, the best hit first; a score is a cosine, at most 1. "
        "mean image a stool text "
        "A green chair, number 20 1.000 text item-20 color green price 10 new yes "
        "A blue chair, number 13 0.990 text item-13 color blue price 6.5 new yes "
        "item-1 A red chair, number 15 1.000 text item-15 color a & b new yes"
    )
    assert text.endswith(told)
    (image,) = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert image["src"].startswith("data:image/jpeg;base64,") and image["alt"] == "image"


def test_nothing_is_loaded_and_nothing_may_run(sheet):
    index = texts(20)
    parsed = sheet([Query("", [picture("red")])], hits(index, [[3]]), Pictures(index))
    addresses = [a[n] for _, a in parsed.tags for n in ("src", "href", "action") if n in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    (policy,) = [a["content"] for _, a in parsed.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "script-src 'none';" in policy and "script" not in [tag for tag, _ in parsed.tags]
    assert pages._hash_of(parsed.scripts["style"]) in policy


def test_texts_of_the_data_are_no_html(sheet):
    index = Rows(list(HOSTILE), list(reversed(HOSTILE)), [None] * len(HOSTILE))
    found = hits(index, [list(range(len(HOSTILE)))], lambda row: {HOSTILE[row]: HOSTILE[-row]})
    queries = [
        Query(HOSTILE[0], [part.text(HOSTILE[1], HOSTILE[2]), part.missing("a", HOSTILE[3])])
    ]
    parsed = sheet(queries, found, Pictures(index))
    assert not {"script", "img"} & {tag for tag, _ in parsed.tags}
    assert not any(name.startswith("on") or name == "style" for _, a in parsed.tags for name in a)
    text = "".join(parsed.texts)
    assert text.count(HOSTILE[0]) == 3 and "{{ 7 * 7 }}{% raw %}" in text
    assert not any(letter in text for letter in "\0\x1b\u202e")


def test_a_search_without_hits_says_so(sheet):
    parsed = sheet([Query("", [picture("red")])], NOTHING, Pictures(texts(0)))
    assert "Nothing was found." in " ".join(parsed.texts)


BOX, STEP = 168, 184  # pixels of a frame, and from one to the next
LEFT, TOP = 16, 16


def test_the_png_shows_queries_at_the_left_and_their_hits_in_lines_of_ten(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (13, 3))
    paths = [str(tmp_path / f"{number}.png") for number in range(13)]
    for path, color in zip(paths, colors.tolist()):
        Image.new("RGB", (160, 160), tuple(color)).save(path)
    index = Rows(paths, ["image"] * 13, paths)
    found = hits(index, [list(range(1, 13)), [2]], lambda row: {})
    blue, red = picture("blue"), picture("red")
    write_sheet(
        tmp_path / "sheet.png",
        [Query("a", [blue, red]), Query("b", [blue])],
        found,
        Pictures(index),
    )
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    line = BOX + 2 * 15 + 16  # of an item, of its two lines of text, of the gap
    assert sheet.shape == (3 * line + 2 * TOP + 16, 2 * LEFT + 11 * STEP - 16, 3)
    middle = lambda row, column: sheet[
        TOP + row * line + 16 * (row > 1) + BOX // 2, LEFT + column * STEP + BOX // 2
    ]
    near = lambda row, column, color: abs(middle(row, column) - color).max() < 8
    assert near(0, 0, [0, 0, 255]) and near(1, 0, [255, 0, 0]) and near(2, 0, [0, 0, 255])
    assert all(near(0, place, colors[place]) for place in range(1, 11))
    assert near(1, 1, colors[11]) and near(1, 2, colors[12]) and near(1, 3, [255] * 3)
    assert near(2, 1, colors[2]) and near(2, 2, [255] * 3)


def ink(path: Path, row: int, column: int, step: int) -> np.ndarray:
    """Which pixels of the text below a cell are dark."""
    sheet = np.asarray(Image.open(path).convert("L"))
    top, left = TOP + row * step + BOX, LEFT + column * STEP
    return sheet[top + 3 : top + step - BOX - 16, left : left + BOX] < 128


def test_texts_of_any_kind_fit_into_their_cells_of_the_png(tmp_path):
    index = Rows(list(HOSTILE), ["text"] * len(HOSTILE), list(HOSTILE))
    rows = [list(range(len(HOSTILE)))]
    found = hits(index, rows, lambda row: {HOSTILE[row]: HOSTILE[-row], "b": 1, "c": 2, "d": 3})
    queries = [Query(HOSTILE[-2], [part.text("text", HOSTILE[-2])])]
    write_sheet(tmp_path / "a.png", queries, found, Pictures(index))
    step = BOX + 5 * 15 + 16  # two lines, and three of four facts
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.size == (2 * LEFT + 11 * STEP - 16, step + 2 * TOP)
        grey = np.asarray(drawn.convert("L"))
    for column in range(11):
        assert ink(tmp_path / "a.png", 0, column, step).any()
        between = grey[:, LEFT + column * STEP + BOX + 2 : LEFT + (column + 1) * STEP - 2]
        assert (between == 255).all()  # nothing is written into the gap


def test_without_a_hit_the_png_shows_the_query(tmp_path):
    write_sheet(tmp_path / "a.png", [Query("a", [picture("red")])], NOTHING, Pictures(texts(0)))
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.size == (2 * LEFT + BOX, BOX + 2 * 15 + 16 + 2 * TOP)


@pytest.mark.parametrize(
    "name, queries, k, said",
    [
        ("sheet.pdf", 1, 1, "a sheet is a .png or .html file, but sheet.pdf is neither"),
        ("sheet.html", 101, 10, "up to 1000 hits, but 101 x 10 are asked for"),
        ("sheet.PNG", 21, 11, "up to 40 lines of 10 hits, but 21 x 11 are asked for"),
    ],
)
def test_what_no_sheet_holds_is_refused_before_the_search(name, queries, k, said):
    with pytest.raises(UsageError, match=said):
        check_sheet(Path(name), queries, k)


def test_the_largest_sheets_are_taken():
    check_sheet(Path("sheet.html"), 100, 10)
    check_sheet(Path("sheet.png"), 20, 20)


def test_a_sheet_with_too_many_hits_is_not_written(tmp_path):
    index = texts(20)
    found = hits(index, [[3] * 11] * 21)
    with pytest.raises(UsageError, match="21 x 11"):
        write_sheet(tmp_path / "a.png", [Query("", [])] * 21, found, Pictures(index))
    assert not list(tmp_path.iterdir())
