"""The page of an audit in a headless Chromium: keys and clicks do what they say, nothing is lost.

Skipped where no browser is installed.
"""

import csv
import dataclasses
import io
import time
import zlib

import numpy as np
import pytest
from audit_tables import HOSTILE, Items, table
from chromium import Browser

from jaxcmr.data import correction_tables
from jaxcmr.report.audit import columns
from jaxcmr.report.audit.page import write_page
from jaxcmr.report.audit.summary import summarize
from jaxcmr.report.audit.why import reasons
from jaxcmr.storage.spreadsheet import unsafe

pytestmark = pytest.mark.slow
NO_STORAGE = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('off'); } })"
IDS = "[...document.querySelectorAll('#cards bdi.mono')].map((element) => element.textContent)"
CURRENT = "document.querySelector('[aria-current=true] bdi.mono').textContent"


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(started):
    """A browser that has forgotten everything; fails if the page complains or loads anything."""
    started.visit("about:blank")
    started.errors.clear()
    started.requests.clear()
    yield started
    assert not started.errors
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in started.requests)


@pytest.fixture
def opened(browser, tmp_path):
    """Writes the page of a table and opens it, as one that was never opened."""

    def open_page(of, width=1280, name="audit.html"):
        path = tmp_path / name
        write_page(of, reasons(of), summarize(of), Items(of), path)
        browser.open(path, width)
        return path

    return open_page


@pytest.fixture
def of(request):
    """A table of this test alone: progress is kept by what is in the table."""
    name = zlib.crc32(request.node.name.encode())
    return table(200, ids=[f"{name}-{row}" for row in range(200)])


def suspects(of) -> list[int]:
    return [row for row in of.order.tolist() if of.looks_wrong[row]]


def exported(browser) -> list[tuple[str, ...]]:
    """Exports, and reads the file as the way back does: id, label, given."""
    text = browser.downloaded("#export", "corrections.csv").decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == ["id", "label", "given"]
    assert not any(cell.startswith(tuple("=+-@\t\r")) for line in lines for cell in line)
    return [tuple(map(unsafe, line)) for line in lines]


def set_value(browser, name: str, value: str) -> None:
    browser.js(
        f"{{ const e = document.getElementById('{name}'); e.value = '{value}'; "
        "e.dispatchEvent(new Event('input', { bubbles: true })); }"
    )


def test_keys_decide_and_the_file_says_what_was_decided(browser, opened, of):
    opened(of)
    rows = suspects(of)
    shown = [str(of.ids[row]) for row in rows]
    assert browser.js(IDS) == shown[:24]
    browser.press("s", "Enter", "g", " ", "d", "c")
    browser.type("LAM")
    browser.press("Enter")
    names, given, suggested = of.class_names, of.given[rows], of.suggested[rows]
    expected = [suggested[0], suggested[1], given[2], given[3], -1, names.index("lamp")]
    labels = ["drop" if label < 0 else names[label] for label in expected]
    lines = list(zip(shown, labels, [names[label] for label in given]))
    assert exported(browser) == lines
    assert browser.text("#progress") == f"6 decided, {len(rows) - 6} of this list left"
    browser.press("u", "u")
    assert exported(browser) == lines[:4] and browser.js(CURRENT) == shown[4]
    browser.press("k", "ArrowUp", "j", "d")  # the fourth: decided anew
    assert exported(browser) == [*lines[:3], (shown[3], "drop", names[given[3]])]
    browser.press("u")
    assert exported(browser) == lines[:4]


def test_moves_go_over_the_pages(browser, opened, of):
    opened(of)
    rows = [str(of.ids[row]) for row in suspects(of)]
    assert len(rows) > 24
    browser.press(*["j"] * 24)
    assert browser.js(CURRENT) == rows[24] and browser.js(IDS) == rows[24:48]
    browser.press("k")
    assert browser.js(CURRENT) == rows[23]
    browser.press("n")
    assert browser.js(CURRENT) == rows[24] and "page 2 of" in browser.text("#page")
    browser.click("#previous")
    assert browser.js(IDS) == rows[:24]


def test_clicks_and_fingers_decide(browser, opened, of):
    opened(of, width=390)
    rows = suspects(of)
    button = lambda row, number: (
        f"#cards article:nth-child({row}) .actions button:nth-child({number})"
    )
    browser.tap(button(1, 1))
    browser.click(button(3, 4))
    browser.tap(button(2, 2))
    browser.tap(button(4, 3))
    browser.tap("#options li:nth-child(2)")
    names = [of.class_names[of.suggested[rows[0]]], of.class_names[of.given[rows[1]]]]
    labels = [label for _, label, _ in exported(browser)]
    assert labels == [*names, "drop", "table"]
    pressed = "document.querySelectorAll('.actions [aria-pressed=true]').length"
    assert browser.js(pressed) == 4
    browser.tap("#undo")
    assert browser.js(pressed) == 3
    assert browser.js("document.documentElement.scrollWidth") <= 390


def test_progress_is_there_after_a_reload_and_not_in_another_audit(browser, opened, of):
    path = opened(of)
    browser.press("s", "d", "g")
    before = exported(browser)
    browser.open(path)
    assert browser.text("#progress").startswith("3 decided")
    assert exported(browser) == before
    assert browser.js(IDS) == [str(of.ids[row]) for row in suspects(of)[3:27]]  # only undecided
    browser.click("#undecided")
    assert browser.js("document.querySelectorAll('.card.decided').length") == 3
    opened(dataclasses.replace(of, given=(of.given + 1) % 4), name="other.html")
    assert browser.text("#progress").startswith("0 decided")
    assert browser.js("document.getElementById('export').disabled")


def test_a_browser_that_keeps_nothing_says_so_and_works(browser, opened, of):
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=NO_STORAGE)
    try:
        opened(of)
        assert browser.js("document.getElementById('unsaved').offsetHeight > 0")
        browser.press("s")
        assert len(exported(browser)) == 1
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_an_exported_file_is_taken_back(browser, opened, of, tmp_path):
    path = opened(of)
    browser.press("s", "d", "g", "s")
    content = browser.downloaded("#export", "corrections.csv")
    file = tmp_path / "corrections.csv"
    file.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\r\n", b"\n") + b"nobody,chair,\n")
    browser.js("localStorage.clear()")
    browser.open(path)
    browser.choose_file("#file", file)
    browser.until("document.getElementById('progress').textContent.startsWith('4 decided')")
    told = "Took 4 decisions of corrections.csv. Left out, not in this audit: 1 id."
    assert browser.text("#message") == told
    assert browser.downloaded("#export", "corrections.csv") == content
    browser.press("u")
    assert browser.text("#progress").startswith("0 decided")


@pytest.mark.parametrize(
    "lines, said",
    [
        ("id,label\n{0},chair\n{0},drop\n", "has two answers"),
        ("id,label\n{0},armchair\n", "armchair is no class of this audit"),
        ("name,label\n{0},chair\n", "it needs the columns id and label"),
        ("", "it needs the columns id and label"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_whole(browser, opened, of, tmp_path, lines, said):
    opened(of)
    file = tmp_path / "mine.csv"
    file.write_text(lines.format(of.ids[0]))
    browser.choose_file("#file", file)
    browser.until("document.getElementById('message').textContent !== ''")
    assert browser.text("#message").startswith("mine.csv was not taken: ")
    assert said in browser.text("#message")
    assert browser.text("#progress").startswith("0 decided")


def test_filters_and_orders_choose_rows(browser, opened):
    given = table(120).given.copy()
    given[:5] = -1
    of = table(120, given=given, ids=[f"filter-{row}" for row in range(120)])
    opened(of)
    total = lambda: int(browser.text("#page").partition(" ")[0] or 0)
    p, right = of.probability_given, of.labelled & ~of.looks_wrong
    for kind, rows in {
        "right": right,
        "unlabelled": ~of.labelled,
        "all": np.ones(120, bool),
        "wrong": of.looks_wrong,
    }.items():
        set_value(browser, "kind", kind)
        assert total() == rows.sum()
    pair = of.looks_wrong & (of.given == 1) & (of.suggested == 0)
    set_value(browser, "given", "1")
    assert total() == (of.looks_wrong & (of.given == 1)).sum()
    set_value(browser, "suggested", "0")
    assert total() == pair.sum() > 0
    browser.click("#clear")
    set_value(browser, "kind", "all")
    set_value(browser, "from", "2")
    set_value(browser, "to", "97.5")
    parts = np.rint(p.astype(np.float64) * 10000)
    assert total() == ((parts >= 200) & (parts <= 9750)).sum() > 0
    browser.click("#clear")
    set_value(browser, "search", "TER-11")
    assert set(browser.js(IDS)) == {f"filter-{k}" for k in (11, *range(110, 120))} & {
        str(of.ids[row]) for row in suspects(of)
    }
    browser.click("#clear")
    set_value(browser, "order", "none")
    scores = np.rint(of.none_of_these.astype(np.float64) * 10000)
    rows = sorted(suspects(of), key=lambda row: -scores[row])
    assert browser.js(IDS) == [str(of.ids[row]) for row in rows[:24]]
    browser.click("[data-pair='1,0'] button")
    assert total() == pair.sum()
    set_value(browser, "search", "nothing like this")
    assert browser.js("document.getElementById('empty').offsetHeight > 0")
    browser.press("s", "g", "d", "c", "j", "u")  # without a row, keys do nothing


def test_any_id_and_any_class_comes_back_as_it_was(browser, opened, tmp_path):
    names = [name.replace("\0", "") for name in HOSTILE]  # which no table may hold
    ids = [*names, "+1", "-1", "@x", "\tx", "\rx", "'=x", "'", "a,b", 'a"b', "a\r\nb", " x "]
    ids = np.array([*ids, *(f"row{k}" for k in range(40))])
    classes = (*names, "plain", "-7")
    of = table(len(ids), classes, ids, wrong=1.0)
    opened(of, width=390)
    assert of.looks_wrong.sum() > 30
    browser.press(*["s"] * of.looks_wrong.sum())
    found = exported(browser)
    expected = [
        (str(of.ids[row]), classes[of.suggested[row]], classes[of.given[row]])
        for row in suspects(of)
    ]
    assert found == expected
    (tmp_path / "corrections.csv").write_bytes(browser.downloaded("#export", "corrections.csv"))
    read = correction_tables.read(str(tmp_path / "corrections.csv"))
    assert correction_tables.answers(read, classes, ids.tolist()) == {
        name: (classes.index(label), classes.index(given)) for name, label, given in expected
    }
    assert not browser.js("'hacked' in window")
    assert browser.js("document.querySelectorAll('#cards script, #cards b script').length") == 0
    assert browser.js("document.documentElement.scrollWidth") <= 390
    visible = browser.js("document.body.innerText")
    assert "\u202e" not in visible and "\\u202e" in visible


def test_a_row_without_a_label_has_none_to_keep(browser, opened):
    of = table(60, given=np.full(60, -1, np.int32), ids=[f"bare-{k}" for k in range(60)])
    opened(of)
    set_value(browser, "kind", "unlabelled")
    browser.js("document.activeElement.blur()")
    browser.press("g")
    assert "no label to keep" in browser.text("#message")
    browser.press("s")
    assert exported(browser) == [
        (f"bare-{of.order[0]}", of.class_names[of.suggested[of.order[0]]], "")
    ]


def test_a_page_of_some_rows_keeps_decisions_on_the_others(
    browser, opened, of, tmp_path, monkeypatch
):
    monkeypatch.setattr(columns, "MOST_ROWS", 20)
    opened(of)
    inside, outside = (str(of.ids[of.order[place]]) for place in (0, 30))
    file = tmp_path / "corrections.csv"
    file.write_text(f"id,label\n{outside},drop\n{inside},lamp\n")
    browser.choose_file("#file", file)
    browser.until("document.getElementById('progress').textContent.startsWith('2 decided')")
    given = of.class_names[of.given[of.order[0]]]
    assert exported(browser) == [(inside, "lamp", given), (outside, "drop", "")]


def test_a_class_called_drop_cannot_be_taken_for_the_word(browser, opened):
    of = table(40, ("drop", "keep"), [f"named-{row}" for row in range(40)])
    opened(of)
    set_value(browser, "suggested", "0")
    browser.js("document.activeElement.blur()")
    browser.press("s")
    assert "A class called drop cannot be chosen" in browser.text("#message")
    assert browser.text("#progress").startswith("0 decided")
    browser.press("d")
    assert [label for _, label, _ in exported(browser)] == ["drop"]


def test_keys_belong_to_what_has_the_focus(browser, opened, of):
    opened(of)
    browser.press("/")
    for letter in "sgd":
        browser.press(letter)
    assert browser.js("document.getElementById('search').value") == "sgd"
    assert browser.text("#progress").startswith("0 decided")
    browser.click("#clear")
    browser.press("?")
    assert browser.js("document.getElementById('help').open")
    browser.press("s", "Escape")
    assert not browser.js("document.getElementById('help').open")
    assert browser.text("#progress").startswith("0 decided")
    browser.js("document.querySelector('.actions button:nth-child(4)').focus()")
    browser.press("Enter")  # presses the button that has the focus
    assert [label for _, label, _ in exported(browser)] == ["drop"]


def test_without_javascript_the_page_is_read(browser, opened, of):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened(of)
        height = lambda name: browser.js(f"document.getElementById('{name}').offsetHeight")
        assert height("static") > 1000 and height("figures") > 500 and height("tool") == 0
        assert browser.js("document.querySelector('noscript p').offsetHeight") > 0
        assert browser.js("document.querySelectorAll('#static img').length") > 20
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_every_control_has_a_name(browser, opened, of):
    opened(of)
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "searchbox", "spinbutton", "checkbox", "link", "image"}
    named = [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and node.get("role", {}).get("value") in roles
    ]
    assert len(named) > 100 and all(name.strip() for _, name in named)


def test_on_paper_there_are_cards_and_figures_without_controls(browser, opened, of):
    opened(of)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        height = lambda selector: browser.js(f"document.querySelector('{selector}').offsetHeight")
        assert height(".dock") == height(".actions") == height("#filters") == 0
        assert height(".card") > 0 and height("#figures") > 0
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.slow
def test_100000_rows_open_and_page_in_bounded_time(browser, tmp_path):
    of = table(100_000)
    start = time.monotonic()
    counts = write_page(of, reasons(of), summarize(of), Items(of), tmp_path / "audit.html")
    wrote = time.monotonic() - start
    assert counts.rows == 100_000
    start = time.monotonic()
    browser.open(tmp_path / "audit.html")
    opened = time.monotonic() - start
    start = time.monotonic()
    browser.press("s", "n", "d", "n", "g", "u")
    set_value(browser, "kind", "all")
    set_value(browser, "order", "id")
    pressed = time.monotonic() - start
    assert browser.text("#page") == "99,998 rows, page 1 of 4167"
    assert wrote < 30 and opened < 10 and pressed < 10, (wrote, opened, pressed)
