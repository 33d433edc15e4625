"""The page of an audit as a file: complete without JavaScript, bounded, and safe with any text."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from audit_tables import HOSTILE, Items, table

from jaxcmr.errors import UsageError
from jaxcmr.report.audit import columns, embedded, page
from jaxcmr.report.audit.page import write_page
from jaxcmr.report.audit.summary import summarize
from jaxcmr.report.audit.why import reasons
from jaxcmr.report.items import Part
from jaxcmr.report.pages import page as pages

ROOT = Path(__file__).resolve().parents[2]


class Parsed(HTMLParser):
    """Tags with their attributes, the texts outside of scripts, and the data in scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.texts, self.scripts, self._open = [], [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._open = dict(attributes).get("id", tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._open = None

    def handle_data(self, text):
        if self._open:
            self.scripts[self._open] = self.scripts.get(self._open, "") + text
        else:
            self.texts.append(text)


@pytest.fixture
def written(tmp_path):
    """Writes the page of a table; returns its text as parsed, and the counts."""

    def write(of, items=None):
        counts = write_page(of, reasons(of), summarize(of), items or Items(of), tmp_path / "a.html")
        raw = (tmp_path / "a.html").read_bytes()
        assert len(raw) < 25_000_000
        return Parsed(raw.decode()), counts

    return write


def test_without_javascript_there_are_numbers_figures_and_the_first_suspects(written):
    of = table(300)
    parsed, counts = written(of, Items(of, missing=7))
    text = " ".join(" ".join(parsed.texts).split())
    suspects = [row for row in of.order if of.looks_wrong[row]]
    listed = re.findall(r"item-\d+", text)
    assert listed == [f"item-{row}" for row in suspects[:50]]
    assert counts == (300, 300, 43)  # rows 0, 7, ..., 294 have no picture
    assert f"{len(suspects)} of 300 labels look wrong" in text
    assert text.count("Estimated share of wrong labels by class") == 2  # for the eye, for the ear
    assert "area under the ROC curve 1.000" in text and "every 7th picture is gone" in text
    assert [tag for tag, _ in parsed.tags].count("desc") == 3


def test_nothing_is_loaded_and_only_the_page_s_own_script_may_run(written):
    parsed, _ = written(table(40))
    addresses = [a[n] for _, a in parsed.tags for n in ("src", "href", "action") if n in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    policy = [a["content"] for _, a in parsed.tags if a.get("http-equiv")]
    assert len(policy) == 1 and "default-src 'none'" in policy[0]
    assert f"script-src {pages._hash_of(parsed.scripts['script'])};" in policy[0]
    assert not any(name.startswith("on") or name == "style" for _, a in parsed.tags for name in a)


def test_texts_of_the_data_are_no_html(written):
    ids = [f"{text}{row}" for row, text in enumerate(HOSTILE * 3)]
    about = {"method": HOSTILE[0], "data": {"name": HOSTILE[1]}}
    of = table(30, HOSTILE, ids, about=about)
    parsed, _ = written(of)
    scripts = [attributes for tag, attributes in parsed.tags if tag == "script"]
    assert scripts == [
        {"type": "application/json", "id": "columns"},
        {"type": "application/json", "id": "items"},
        {},
    ]
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert json.loads(parsed.scripts["columns"])["classes"] == list(HOSTILE)
    text = "".join(parsed.texts)
    assert HOSTILE[0] in text and "{{ 7 * 7 }}{% raw %}" in text and "49{" not in text
    assert not re.search(r"[\0\x1b\u202e\ud800-\udfff]", text)


def test_control_characters_that_no_filter_caught_are_replaced(tmp_path, monkeypatch):
    (tmp_path / "a.jinja").write_text("{{ text }}")
    monkeypatch.setattr(pages, "_FOLDER", tmp_path)
    pages._environment.cache_clear()
    try:
        assert pages.render("a.jinja", text="<\0\ud800\n>") == "&lt;\ufffd\ufffd\n&gt;"
    finally:
        pages._environment.cache_clear()


def test_columns_by_hand():
    of = table(
        4,
        ("a", "b"),
        given=np.array([0, 1, 0, -1], np.int32),
        probabilities=np.float32([[0.9, 0.1], [0.75, 0.25], [0.1, 0.9], [0.5, 0.5]]),
        neighbors=np.array([[1, 2], [3, -1], [0, 1], [-1, -1]], np.int32),
    )
    rows = columns.chosen(of, ["w"] * 4)
    assert rows.tolist() == [2, 1, 0, 3]
    found = columns.columns(of, ["w0", "w1", "w1", "w3"], rows)
    assert found["probability_given"] == [1000, 2500, 9000, -1]
    assert found["suggested"] == [1, 0, 0, 0] and found["given"] == [0, 1, 0, -1]
    assert [found["reasons"][number] for number in found["why"]] == ["w1", "w1", "w0", "w3"]
    assert found["neighbors"] == [[2, 1], [3], [1, 0], []]  # places in the page
    assert columns.columns(of, ["w"] * 4, rows[:2])["neighbors"] == [[-2, 1], [-1]]  # a 0, no label


def test_the_page_holds_the_most_suspect_rows_and_says_how_many_others_there_are(
    written, monkeypatch
):
    monkeypatch.setattr(columns, "MOST_ROWS", 30)
    of = table(50)
    parsed, counts = written(of)
    assert counts.rows == 30
    assert "the 30 most suspect of 50 rows" in " ".join("".join(parsed.texts).split())
    found = json.loads(parsed.scripts["columns"])
    assert found["id"] == [f"item-{row}" for row in of.order[:30]]
    monkeypatch.setattr(columns, "BYTES", 10 * 300)
    assert 5 < written(of)[1].rows < 30


def test_pictures_fill_the_room_that_is_left_the_first_rows_and_their_neighbors_first(
    written, monkeypatch
):
    of = table(200)
    monkeypatch.setattr(embedded, "WITH_NEIGHBORS", 2)
    monkeypatch.setattr(embedded, "MOST_ITEMS", 5)
    parsed, counts = written(of)
    place = {row: number for number, row in enumerate(of.order.tolist())}
    near = [place[row] for row in of.neighbors[of.order[:2], :5].ravel().tolist()]
    first = list(dict.fromkeys([0, 1, *near]))[:5]
    assert sorted(map(int, json.loads(parsed.scripts["items"]))) == sorted(first)
    assert counts.with_items == 5
    monkeypatch.setattr(embedded, "MOST_ITEMS", 200)
    monkeypatch.setattr(page, "BYTES", 60_000)
    parsed, counts = written(of)
    assert 10 < counts.with_items < 100
    assert len(parsed.scripts["items"]) + len(parsed.scripts["columns"]) < 60_000


def test_pictures_that_take_too_long_are_left_out_but_not_the_first(written, monkeypatch):
    monkeypatch.setattr(embedded, "SECONDS", -1.0)
    assert written(table(200))[1].with_items == embedded._BATCH


def test_the_largest_pictures_and_the_longest_ids_leave_the_file_below_25_mb(written):
    class Large(Items):
        def of(self, rows):
            picture = Part("image", "picture", b"\xff" * 80_000, "image/png", "")
            return [[picture, picture._replace(modality="views")] for _ in rows]

    of = table(9_000, ids=[f"{row}".zfill(2_000) for row in range(9_000)])
    parsed, counts = written(of, Large(of))
    assert 5_000 < counts.rows < 9_000 and 30 < counts.with_items < 200
    assert 0 < [tag for tag, _ in parsed.tags].count("img") < 20


def test_an_in_sample_audit_says_that_it_is_one_at_the_top(written):
    of = table(40)
    assert "in-sample" not in "".join(written(of)[0].texts)
    of = table(40, out_of_fold=np.zeros(40, bool))
    text = "".join(written(of)[0].texts)
    assert (
        0 < text.index("in-sample: the model was taught 40 of 40 labels") < text.index("look wrong")
    )


def test_two_audits_have_two_fingerprints():
    of = table(40)
    given = of.given.copy()
    given[3] = (given[3] + 1) % 4
    others = [table(40), table(40, given=given), table(40, ids=[f"x{k}" for k in range(40)])]
    same, *different = [columns.fingerprint(other) == columns.fingerprint(of) for other in others]
    assert same and not any(different)


@pytest.mark.parametrize("labels", ["none", "right"])
def test_a_table_without_a_suspect_has_a_page(written, labels):
    of = table(20, true=None)
    given = np.full(20, -1, np.int32) if labels == "none" else of.suggested
    text = "".join(written(table(20, given=given, true=None))[0].texts)
    assert "No label looks wrong." in text and "How good this audit is" not in text


def test_many_classes_have_figures_of_bounded_size(written):
    of = table(600, [f"class {k}" for k in range(60)])
    parsed, _ = written(of)
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("circle") <= 25 + 20 and tags.count("rect") == 2 * 14**2
    assert "highest of 60 classes" in "".join(parsed.texts)


def test_shares_never_round_to_certainty():
    numbers = [0.0, 0.0049, 0.005, 0.254, 0.9951, 1.0, None]
    words = ["0 %", "under 1 %", "0 %", "25 %", "over 99 %", "100 %", "unknown"]
    assert [pages.share(number).replace("\u00a0", " ") for number in numbers] == words
    assert pages.share(0.3791, 1) == "37.9\u00a0%"


def test_every_text_is_readable_on_every_ground():
    """Contrast of at least 4.5:1, 3:1 for edges of controls, by day and by night (WCAG AA)."""
    style = pages._file("pages/style.css")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in _schemes(style))
    for color in (light, light | dark):
        for ground in ("paper", "panel", "warning"):
            for text in ("ink", "soft", "blue", "orange"):
                assert _contrast(color[text], color[ground]) >= 4.5, (text, ground)
            assert _contrast(color["edge"], color[ground]) >= 3
        assert _contrast(color["on-blue"], color["blue"]) >= 4.5


def _schemes(style: str) -> tuple[str, str]:
    day, night = re.findall(r":root \{(.+?)\}", style, re.DOTALL)
    return day, night


def _contrast(one: str, other: str) -> float:
    """The ratio of relative luminances (WCAG 2)."""

    def luminance(color: str) -> float:
        parts = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_installed_package_has_templates_styles_and_scripts(tmp_path):
    build = ["-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "lib"]
    command = [sys.executable, "setup.py", *map(str, build)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    kinds = ("*.jinja", "*.css", "*.js")
    found = lambda folder: {p.relative_to(folder) for kind in kinds for p in folder.rglob(kind)}
    assert found(tmp_path / "lib" / "jaxcmr") == found(ROOT / "jaxcmr") != set()


def test_without_jinja_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    pages._environment.cache_clear()
    with pytest.raises(UsageError, match="needed for pages for a browser: pip install jinja2"):
        pages.render("audit/audit.html.jinja")
