"""The search page as a file: what it offers follows the model, and it is safe with any name."""

import json
import re

import pytest
from audit_tables import HOSTILE
from search_server import HEALTH
from test_audit_page import Parsed

from jaxcmr.report.pages import page as pages
from jaxcmr.report.search import page


def parsed(**changes) -> Parsed:
    return Parsed(page.render(HEALTH | changes))


def options(found: Parsed, name: str) -> list[str]:
    """The values that a select offers."""
    inside, values = False, []
    for tag, attributes in found.tags:
        if tag == "select":
            inside = attributes.get("id") == name
        elif tag == "option" and inside:
            values.append(attributes.get("value"))
    return values


def words(found: Parsed) -> str:
    """The modality of what is typed."""
    (value,) = [a["value"] for tag, a in found.tags if tag == "input" and a.get("id") == "words"]
    return value


def ids(found: Parsed) -> set[str]:
    return {attributes["id"] for _, attributes in found.tags if "id" in attributes}


def test_the_page_offers_what_the_model_and_the_index_have():
    found = parsed(items={"text": 1500, "image": 12})
    text = " ".join(" ".join(found.texts).split())
    assert "1,512 items: 1,500 text, 12 image" in text and "Choose a photo" in text
    assert options(found, "to") == ["", "text", "image"]
    (chosen,) = [a["value"] for tag, a in found.tags if tag == "option" and "selected" in a]
    assert chosen == "image"  # what words are for
    assert options(found, "field") == ["color", "price", "new"]  # not the one without a value
    (accept,) = [a["accept"] for tag, a in found.tags if tag == "input" and "accept" in a]
    assert accept == ".png,.jpg,.jpeg,image/*"  # words are typed; any picture becomes a JPEG
    known = json.loads(found.scripts["known"])
    assert known["files"] == {"image": HEALTH["files"]["image"]} and words(found) == "text"
    assert [a["data-try"] for _, a in found.tags if "data-try" in a] == HEALTH["classes"]


def test_a_model_without_texts_is_searched_with_files_alone():
    clouds = {"kinds": {"points": "cloud"}, "files": {"points": [".npy", ".ply"]}, "fields": {}}
    found = parsed(**clouds, items={"points": 9})
    assert not {"text", "field", "value", "more"} & ids(found) and "drop" in ids(found)
    (accept,) = [a["accept"] for tag, a in found.tags if tag == "input" and "accept" in a]
    assert accept == ".npy,.ply"
    text = " ".join(found.texts)
    assert "Choose a file" in text and "Words to try" not in text and "photo" not in text


def test_a_model_of_texts_is_searched_with_words_alone():
    found = parsed(kinds={"title": "text"}, files={"title": [".txt"]}, items={"title": 3})
    assert not {"drop", "file"} & ids(found) and "text" in ids(found)
    assert words(found) == "title"
    assert not [a for tag, a in found.tags if tag == "option" and "selected" in a]  # anything


def test_of_two_modalities_of_words_one_is_chosen():
    kinds = {"title": "text", "story": "text"}
    found = parsed(kinds=kinds, files={name: () for name in kinds}, items={"title": 3})
    assert options(found, "words") == ["title", "story"]


def test_only_the_page_s_own_script_may_run_and_only_its_server_is_asked():
    found = parsed()
    (policy,) = [a["content"] for _, a in found.tags if a.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'", "img-src": "'self' data:", "connect-src": "'self'",
        "style-src": pages._hash_of(found.scripts["style"]),
        "script-src": pages._hash_of(found.scripts["script"]),
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    addresses = [a[n] for _, a in found.tags for n in ("src", "href", "action") if n in a]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not any(name.startswith("on") or name == "style" for _, a in found.tags for name in a)
    script = found.scripts["script"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def test_names_of_the_data_are_no_html():
    names = dict.fromkeys(HOSTILE, 2)
    found = parsed(
        items=names,
        kinds=dict.fromkeys(HOSTILE, "image"),
        files={name: [".png"] for name in HOSTILE},
        fields=dict.fromkeys(HOSTILE, "text"),
        classes=list(HOSTILE),
    )
    scripts = [attributes for tag, attributes in found.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "known"}, {}]
    assert "img" not in [tag for tag, _ in found.tags]
    assert json.loads(found.scripts["known"])["classes"] == list(HOSTILE)
    found = parsed(classes=list(HOSTILE))
    tried = [attributes["data-try"] for _, attributes in found.tags if "data-try" in attributes]
    assert tried == [re.sub(r"[\0\x1b]", "\ufffd", name) for name in HOSTILE]
    text = "".join(found.texts)
    assert HOSTILE[-1] in text and not re.search(r"[\0\x1b\u202e\ud800-\udfff]", text)


@pytest.mark.parametrize("missing", ["kinds", "files", "fields", "items", "classes", "body_bytes"])
def test_a_state_without_a_field_is_a_bug_of_the_server(missing):
    with pytest.raises(KeyError, match=missing):
        page.render({name: value for name, value in HEALTH.items() if name != missing})
