"""The search page in a headless Chromium: what it asks, what it shows, and what may go wrong.

Skipped where no browser is installed.
"""

import base64
import io
import json

import numpy as np
import pytest
from audit_tables import HOSTILE
from chromium import Browser
from PIL import Image
from search_rows import COLORS
from search_server import HEALTH, StandIn, hit, served

pytestmark = pytest.mark.slow
SHOWN = "[...document.querySelectorAll('#hits bdi.mono')].map((element) => element.textContent)"
FOCUS = "document.activeElement.id"
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def server():
    with served() as running:
        yield running


@pytest.fixture
def browser(started, server):
    """A browser with the page open; fails if the page has a bug, or asks another server."""
    started.size(1280)
    started.visit("about:blank")
    started.errors.clear()
    started.requests.clear()
    started.visit(server.url)
    yield started
    assert not [error for error in started.errors if error.get("source") != "network"]
    known = (server.url, "data:", "about:")
    assert all(url.startswith(known) for url in started.requests)


def height(browser, selector: str) -> int:
    return browser.js(f"document.querySelector({json.dumps(selector)}).offsetHeight")


def settled(browser) -> None:
    browser.until("document.getElementById('wait').hidden")


def say(browser, words: str) -> None:
    """Types words, and Enter."""
    browser.js("document.getElementById('text').focus()")
    browser.js("document.getElementById('text').select()")
    browser.type(words)
    browser.press("Enter")
    settled(browser)


def choose(browser, name: str, value: str) -> None:
    browser.js(
        f"{{ const e = document.getElementById('{name}'); e.value = '{value}'; "
        "e.dispatchEvent(new Event('change', { bubbles: true })); }"
    )
    settled(browser)


def encoded(color="red", kind="PNG", size=(40, 30), noise=False) -> bytes:
    file = io.BytesIO()
    image = Image.new("RGB", size, color)
    if noise:
        pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
        image = Image.fromarray(pixels)
    image.save(file, kind)
    return file.getvalue()


@pytest.fixture
def photo(tmp_path):
    """Writes a file and returns its path."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def test_words_are_searched_and_hits_are_cards(browser, server):
    assert height(browser, "#start") > 0 and height(browser, "#hits") == 0
    say(browser, "  a red chair ")
    queries = [{"text": "a red chair", "modality": "text"}]
    assert server.asked == [{"queries": queries, "to": "image", "k": 12, "where": {}}]
    assert browser.js(SHOWN) == [f"item-{row}" for row in range(12)]
    assert browser.text("#heading") == "Hits for “a red chair”"
    assert browser.text("#status") == "12 hits in 0.012 s" and height(browser, "#start") == 0
    assert browser.text("#hits li:nth-child(3) .words") == "A chair, number 2"
    assert browser.text("#hits li:nth-child(2) .facts") == "colorblueprice0.333333newno"
    score = browser.text("#hits li:nth-child(2) .score")
    assert score == "0.890" and browser.text("#hits li:nth-child(2) .badge") == "image"
    browser.until("document.querySelector('#hits img').naturalWidth === 160")
    assert f"{server.url}items/0" in browser.requests
    browser.until("document.querySelectorAll('#hits .absent').length === 1")  # it has no picture
    assert browser.text("#hits li:nth-child(7) .absent") == "cannot be shown"


def test_a_photo_and_words_are_searched_together(browser, server, photo):
    data = encoded()
    browser.choose_file("#file", photo("red shoe.PNG", data))
    browser.until("document.querySelector('#preview img')?.naturalWidth === 40")
    say(browser, "with laces")
    file, text = server.asked[0]["queries"]
    sent = {"modality": "image", "name": "red shoe.PNG", "data": base64.b64encode(data).decode()}
    assert file == {"file": sent} and text == {"text": "with laces", "modality": "text"}
    assert browser.text("#heading") == "Hits for red shoe.PNG and “with laces”"
    browser.click("#remove")
    assert height(browser, "#preview") == 0 and browser.js(FOCUS) == "choose"
    browser.click("#ask .primary")
    settled(browser)
    assert server.asked[1]["queries"] == [text]


GIVE = """(() => {{
  const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], "{name}", {{ type: "{kind}" }}));
  const more = {{ bubbles: true, cancelable: true }};
  const event = "{event}" === "drop" ? new DragEvent("drop", {{ dataTransfer: carried, ...more }})
    : new ClipboardEvent("paste", {{ clipboardData: carried, ...more }});
  return document.body.dispatchEvent(event);
}})()"""


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_photo_is_dropped_or_pasted_anywhere(browser, server, event):
    data = base64.b64encode(encoded()).decode()
    taken = browser.js(GIVE.format(data=data, name="image.png", kind="image/png", event=event))
    assert taken is False  # the browser itself does not open it
    browser.until("!document.getElementById('preview').hidden")
    browser.click("#ask .primary")
    settled(browser)
    assert server.asked[0]["queries"][0]["file"]["data"] == data


def sent_picture(server) -> Image.Image:
    (query,) = server.asked[-1]["queries"]
    assert query["file"]["name"].endswith(".jpg")
    return Image.open(io.BytesIO(base64.b64decode(query["file"]["data"])))


def test_a_picture_of_another_kind_or_too_large_is_sent_as_a_jpeg(browser, server, photo):
    for name, data, size in (
        ("shoe.webp", encoded("blue", "WEBP"), (40, 30)),
        ("large.png", encoded(size=(3000, 1500), noise=True), (2048, 1024)),
    ):
        browser.choose_file("#file", photo(name, data))
        browser.until(f"document.getElementById('preview').textContent === '{name}.jpg'")
        browser.click("#ask .primary")
        settled(browser)
        image = sent_picture(server)
        assert image.format == "JPEG" and image.size == size
    assert len(json.dumps(server.asked[0])) < HEALTH["body_bytes"]


def test_a_file_that_several_modalities_take_is_the_one_that_is_chosen(started, photo):
    state = HEALTH | {
        "kinds": {"sketch": "image", "photo": "image", "title": "text", "story": "text"},
        "files": {"sketch": [".png"], "photo": [".png", ".jpg"], "title": [], "story": []},
    }
    with served(state) as server:
        started.visit(server.url)
        started.choose_file("#file", photo("a.png", encoded()))
        started.until("!document.getElementById('which').hidden")
        choose(started, "of", "photo")
        choose(started, "words", "story")
        say(started, "a chair")
        file, text = server.asked[0]["queries"]
        assert file["file"]["modality"] == "photo" and text["modality"] == "story"
        started.choose_file("#file", photo("b.jpg", encoded(kind="JPEG")))  # which one alone takes
        started.until("document.getElementById('which').hidden")
        started.click("#ask .primary")
        settled(started)
        assert server.asked[1]["queries"][0]["file"]["modality"] == "photo"


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("a.pdf", b"%PDF", "a.pdf cannot be searched with; choose one of .png, .jpg, .jpeg."),
        ("bad.webp", b"RIFF", "bad.webp is no picture that this browser can read"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused(browser, server, photo, name, data, said):
    browser.choose_file("#file", photo(name, data))
    browser.until("document.getElementById('sentence').textContent !== ''")
    assert said in browser.text("#sentence") and height(browser, "#error") > 0
    assert height(browser, "#again") == 0 and height(browser, "#preview") == 0
    say(browser, "words")
    assert height(browser, "#error") == 0 and len(server.asked[0]["queries"]) == 1


def test_without_a_query_nothing_is_asked(browser, server):
    browser.click("#ask .primary")
    assert browser.text("#sentence").startswith("There is nothing to search with")
    assert not server.asked


def test_a_click_on_a_hit_looks_for_more_like_it(browser, server):
    say(browser, "a chair")
    browser.click("#hits li:nth-child(2) .pick")
    browser.until("document.getElementById('heading').textContent === 'More like item-1'")
    assert server.asked[1] == {
        "queries": [{"id": "item-1", "modality": "image"}], "to": "image", "k": 12, "where": {}
    }  # fmt: skip
    assert browser.js("document.querySelector('#like img').src").endswith("/items/1")
    assert browser.js("document.getElementById('text').value") == "a chair"
    assert browser.js(FOCUS) == "heading"  # its button is gone


def test_a_hit_is_reached_and_chosen_with_keys(browser, server):
    browser.press("/")
    browser.type("a chair")
    browser.press("Enter")
    settled(browser)
    browser.js("document.querySelector('#hits li:nth-child(3) .pick').focus()")
    browser.press("Enter")
    browser.until("document.getElementById('heading').textContent === 'More like item-2'")
    assert server.asked[1]["queries"] == [{"id": "item-2", "modality": "text"}]
    assert browser.text("#like .words") == "A chair, number 2"


def test_what_is_looked_for_and_how_many_hits_ask_again(browser, server):
    choose(browser, "to", "text")
    assert not server.asked  # nothing was asked before
    say(browser, "a chair")
    choose(browser, "to", "")
    choose(browser, "k", "24")
    assert [(a["to"], a["k"]) for a in server.asked] == [("text", 12), (None, 12), (None, 24)]
    assert len(browser.js(SHOWN)) == 24
    browser.type(" of wood")  # not asked yet: what is looked for may be chosen first
    choose(browser, "to", "text")
    assert len(server.asked) == 3


def test_filters_come_from_a_hit_or_are_typed(browser, server):
    say(browser, "a chair")
    browser.click("#hits li:nth-child(2) .facts div:nth-child(2) button")  # the price of item-1
    settled(browser)
    assert server.asked[-1]["where"] == {"price": 1 / 3}
    browser.click("#more summary")
    offered = "[...document.querySelectorAll('#values option')].map((option) => option.value)"
    assert browser.js(offered) == sorted(HEALTH["classes"])  # colors are among these
    typed_values = (("color", " red ", "red"), ("price", "2.5", 2.5), ("new", "Yes", True))
    for field, typed, value in typed_values:
        choose(browser, "field", field)
        browser.js("document.getElementById('value').focus()")
        browser.type(typed)
        browser.press("Enter")
        settled(browser)
        assert server.asked[-1]["where"][field] == value
    chips = "[...document.querySelectorAll('#where button')].map((chip) => chip.textContent)"
    assert browser.js(chips) == ["price: 2.5 ✕", "color: red ✕", "new: yes ✕"]
    browser.click("#where li:nth-child(2) button")
    settled(browser)
    assert server.asked[-1]["where"] == {"price": 2.5, "new": True}
    assert len(server.asked) == 6
    for field, typed, said in (
        ("price", "cheap", "Type a number for price."),
        ("new", "perhaps", "Type yes or no for new."),
        ("color", " ", "Type a value for color."),
    ):
        choose(browser, "field", field)
        browser.js(f"document.getElementById('value').value = '{typed}'")
        browser.click("#only")
        assert browser.text("#sentence") == said
    assert len(server.asked) == 6


def test_words_to_try_are_searched(browser, server):
    browser.click("#start [data-try='sofa']")
    settled(browser)
    assert server.asked[0]["queries"] == [{"text": "sofa", "modality": "text"}]
    assert browser.js(FOCUS) == "heading"


def test_while_it_waits_the_page_says_so_and_the_newest_search_wins(browser, server):
    say(browser, "first")
    server.seconds = 1.0
    browser.js("document.getElementById('text').value = 'slow'")
    browser.click("#ask .primary")
    assert browser.text("#status") == "Searching …" and height(browser, "#wait") > 0
    assert browser.js("document.getElementById('found').getAttribute('aria-busy')") == "true"
    server.seconds = 0.0
    say(browser, "quick")
    assert browser.text("#heading") == "Hits for “quick”" and height(browser, "#wait") == 0
    browser.js("new Promise((done) => setTimeout(done, 1300))")
    assert browser.text("#heading") == "Hits for “quick”"
    assert browser.js("document.getElementById('found').getAttribute('aria-busy')") == "false"


def test_a_search_without_hits_says_what_to_do(browser, server):
    server.answer = lambda asked: (200, {"hits": [], "seconds": 0.00001})
    say(browser, "a chair")
    assert browser.text("#none") == "No item is like this." and height(browser, "#none") > 0
    assert browser.text("#status") == "0 hits in under 0.001 s"


@pytest.mark.parametrize(
    "status, content, said",
    [
        (422, {"error": "no word of it is known"}, "No word of it is known."),
        (413, {"error": "<b>too</b> large; send less."}, "<b>too</b> large; send less."),
        (429, {"error": "too many requests"}, "Too many requests."),
        (502, b"<html>Bad gateway", "The server made a mistake (status 502). Try again later."),
        (200, {"found": []}, "The server made a mistake (status 200). Try again later."),
        (500, {"error": {}}, "The server made a mistake (status 500). Try again later."),
    ],
)
def test_an_error_of_the_server_is_a_sentence(browser, server, status, content, said):
    say(browser, "before")
    server.answer = lambda asked: (status, content)
    say(browser, "a chair")
    assert browser.text("#sentence") == said and height(browser, "#error") > 0
    assert browser.js(SHOWN) == [] and height(browser, "#heading") == 0
    server.answer = StandIn.hits
    refused = status in (413, 422)  # the same request would be refused again
    assert (height(browser, "#again") == 0) == refused
    browser.click("#ask .primary" if refused else "#again")
    settled(browser)
    assert height(browser, "#error") == 0 and browser.text("#heading") == "Hits for “a chair”"
    words = [asked["queries"][0]["text"] for asked in server.asked]
    assert words == ["before", "a chair", "a chair"]


def test_a_server_that_is_gone_is_told_and_asked_again(browser, server):
    say(browser, "before")
    server.shutdown()
    server.server_close()
    say(browser, "a chair")
    assert browser.text("#sentence").startswith("The server does not answer.")
    assert height(browser, "#again") > 0 and browser.js(SHOWN) == []


def test_back_and_forward_go_through_the_searches(browser, server, photo):
    say(browser, "one")
    choose(browser, "k", "24")
    browser.click("#hits li:nth-child(2) .facts button")
    settled(browser)
    browser.choose_file("#file", photo("two.png", encoded()))
    browser.until("!document.getElementById('preview').hidden")
    say(browser, "two")
    seen = []
    for _ in range(3):
        browser.js("history.back()")
        browser.js("new Promise((done) => setTimeout(done, 200))")
        assert browser.text("#heading") == "Hits for “one”"
        seen.append((len(browser.js(SHOWN)), height(browser, "#where") > 0))
    assert seen == [(24, True), (24, False), (12, False)]
    browser.js("history.back()")
    browser.until("document.getElementById('hits').childElementCount === 0")
    assert height(browser, "#start") > 0
    for _ in range(4):
        browser.js("history.forward()")
        browser.js("new Promise((done) => setTimeout(done, 200))")
    assert browser.text("#heading") == "Hits for two.png and “two”"
    assert browser.js("document.getElementById('text').value") == "two"
    assert browser.text("#where button") == f"color: {COLORS[1]} ✕"
    assert browser.text("#preview") == "two.png" and len(server.asked) == 4  # none asked anew


def test_texts_of_hits_are_no_html(browser, server):
    pictures = ("javascript:alert(1)", "https://host.example/a.png", "https://host.example/b.png")

    def answer(asked):
        rows = [
            hit(row, id=words, modality=words, metadata={words: words, "color": words}, text=words,
                picture=None)
            for row, words in enumerate(HOSTILE)
        ]  # fmt: skip
        rows += [hit(row, picture=address) for row, address in enumerate(pictures)]
        return 200, {"hits": rows, "seconds": 0.1}

    server.answer = answer
    browser.size(390)
    say(browser, HOSTILE[0])
    assert not browser.js("'hacked' in window")
    assert (
        browser.js("document.querySelectorAll('#found :is(script, b b, .words img)').length") == 0
    )
    visible = browser.js("document.body.innerText")
    assert "\u202e" not in visible and "\\u202e" in visible and HOSTILE[1] in visible
    assert browser.js(WIDTH) <= 390
    browser.js("document.querySelector('#hits li:last-child').scrollIntoView()")
    browser.until("document.querySelectorAll('#hits .absent').length === 3")
    refusals = [error["text"] for error in browser.errors]
    assert all(any(url in text for text in refusals) for url in pictures)
    assert all("Content Security Policy" in t and "has been blocked" in t for t in refusals)
    browser.click("#hits li:nth-child(1) .pick")
    browser.until("document.getElementById('heading').textContent.startsWith('More like')")
    assert server.asked[-1]["queries"] == [{"id": HOSTILE[0], "modality": HOSTILE[0]}]
    browser.errors.clear(), browser.requests.clear()  # what was refused


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_any_screen_and_every_control_has_a_name(browser, server, photo, width):
    browser.size(width)
    browser.choose_file("#file", photo("a" * 100 + ".png", encoded(size=(400, 30))))
    browser.until("!document.getElementById('preview').hidden")
    say(browser, "long" * 200)
    browser.click("#more summary")
    assert browser.js(WIDTH) <= width
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "textbox", "link", "progressbar", "list", "region"}
    named = [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and node.get("role", {}).get("value") in roles
    ]
    lists = [name for role, name in named if role == "list"]
    assert len(named) > 50 and all(name.strip() for role, name in named if role != "list")
    assert "Hits" in lists
    assert ("button", "More like item-0, image") in named


def test_without_javascript_the_page_says_that_it_needs_it(browser, server):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.visit(server.url)
        assert browser.js("document.querySelector('noscript p').offsetHeight") > 0
        assert height(browser, "#ask") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
