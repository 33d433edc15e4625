"""What a client may ask for, and the sentences that it gets for anything else."""

import json

import pytest

from jaxcmr.serving import requests
from jaxcmr.serving.limits import Limits, RefusedError
from jaxcmr.serving.requests import Item, Search

LIMITS = Limits(letters=20, queries=2, items=3, values=50)


def refused(function, *arguments) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        function(*arguments)
    return caught.value.status, str(caught.value)


def search(**content) -> Search:
    return requests.search(requests.parse(json.dumps(content).encode(), LIMITS), LIMITS)


def test_one_item_of_each_kind_is_read():
    assert search(text="red") == Search((Item("text", "red", None),), 12, {})
    assert search(id="7", modality="image").items == (Item("id", "7", "image"),)
    file = {"modality": "image", "data": "AAAA", "name": "a.png"}
    assert search(file=file).items == (Item("file", "AAAA", "image", name="a.png"),)
    assert search(values=[1, 2.5], modality="image").items == (Item("values", [1, 2.5], "image"),)


def test_a_search_has_a_target_a_number_and_conditions():
    found = search(
        queries=[{"text": "a"}, {"id": "b"}], to="image", k=100, where={"price": [1, None]}
    )
    assert [item.content for item in found.items] == ["a", "b"]
    assert found.k == 100 and found.where == {"price": [1, None], "modality": "image"}
    assert search(text="a", to=None, where=None).where == {}


def test_what_is_embedded_is_one_item_or_several():
    assert requests.embed({"text": "a"}, LIMITS) == (Item("text", "a", None, "the item"),)
    assert len(requests.embed({"items": [{"text": "a"}] * 3}, LIMITS)) == 3


@pytest.mark.parametrize(
    "body, words",
    [
        (b"", "the body is no JSON"),
        (b"{", "at line 1 column 2"),
        (b"[]", "the JSON is a list; send an object"),
        (b"3", "the JSON is 3"),
        (b"\xff\xfe{", "no UTF-8"),
        (b'{"k": NaN}', "holds NaN, which is no number"),
        (b'{"k": -Infinity}', "holds -Infinity"),
        (b'{"k": ' + b"9" * 5000 + b"}", "a number that is too long"),
    ],
)
def test_what_is_no_json_is_named(body, words):
    status, sentence = refused(requests.parse, body, LIMITS)
    assert status == 400 and words in sentence


def test_deep_and_crowded_json_is_refused_before_it_takes_memory():
    deep = b'{"a": ' + b"[" * 1900 + b"]" * 1900 + b"}"
    assert refused(requests.parse, deep, Limits()) == (400, "the JSON is nested too deeply")
    assert refused(requests.parse, b"[" * 200_000, Limits())[0] == 422
    assert refused(requests.parse, b"[" + b"0," * 51 + b"0]", LIMITS)[0] == 422
    nested = b'{"where": ' * 20 + b"1" + b"}" * 20
    assert refused(lambda: requests.search(requests.parse(nested, LIMITS), LIMITS))[0] == 400


@pytest.mark.parametrize(
    "content, status, words",
    [
        ({}, 400, "the query needs one of text, id, file, values, but has none of them"),
        ({"text": "a", "id": "b"}, 400, "but has both text, id"),
        ({"text": "a", "K": 3}, 400, "there is no field 'K' in the query; known are text"),
        ({"text": 5}, 400, "text of the query is 5, not a text"),
        ({"text": None}, 400, "is nothing, not a text"),
        ({"text": "x" * 21}, 422, "has 21 letters; give at most 20"),
        ({"id": "x", "modality": ["image"]}, 400, "modality of the query is a list"),
        ({"file": "abc"}, 400, "file of the query is a text, not an object"),
        ({"file": {"data": "AA"}}, 400, "needs its modality"),
        ({"file": {"modality": "image", "data": 3}}, 400, "data of the file of the query is 3"),
        ({"file": {"modality": "image", "path": "/etc"}}, 400, "there is no field 'path' in file"),
        ({"values": []}, 400, "not a list of numbers"),
        ({"values": [1, True]}, 400, "values of the query holds True"),
        ({"values": [1e31]}, 422, "too large a number"),
        ({"text": "a", "k": 0}, 422, "k is 0; give a whole number from 1 to 100"),
        ({"text": "a", "k": True}, 422, "k is True"),
        ({"text": "a", "k": 101}, 422, "k is 101"),
        ({"text": "a", "k": 10**100}, 422, "k is 10000000000000000000;"),
        ({"text": "a", "k": "5"}, 422, "k is '5'"),
        ({"text": "a", "to": 1}, 400, "to is 1, not a text"),
        ({"text": "a", "to": "b", "where": {"modality": "c"}}, 422, "to and where.modality both"),
        ({"text": "a", "where": []}, 400, "where is a list"),
        ({"text": "a", "where": {"price": {"<": 3}}}, 400, "where.price holds an object"),
        ({"text": "a", "where": {"price": []}}, 422, "where.price lists 0 values"),
        ({"text": "a", "where": {"price": 10**400}}, 422, "too large a number"),
        ({"text": "a", "where": {str(n): 1 for n in range(21)}}, 422, "names 21 fields"),
        ({"queries": []}, 422, "queries holds 0 items; give 1 to 2"),
        ({"queries": [{"text": "a"}] * 3}, 422, "queries holds 3 items"),
        ({"queries": ["a"]}, 400, "queries[0] is a text"),
        ({"queries": [{"text": "a"}, {"text": 1}]}, 400, "text of queries[1] is 1"),
        ({"queries": [{"text": "a"}], "text": "b"}, 400, "no field 'text' beside queries"),
    ],
)  # fmt: skip
def test_each_mistake_is_a_sentence_of_its_own(content, status, words):
    found, sentence = refused(lambda: requests.search(content, LIMITS))
    assert found == status and words in sentence


def test_a_mistake_in_what_is_embedded_names_the_item():
    found = refused(requests.embed, {"items": [{"text": "a"}, {"text": 3}]}, LIMITS)
    assert found == (400, "text of items[1] is 3, not a text")
    assert refused(requests.embed, {"items": [{"text": "a"}] * 4}, LIMITS)[0] == 422
    assert refused(requests.embed, {"text": "a", "k": 3}, LIMITS)[0] == 400
    assert refused(requests.embed, {"items": [], "k": 3}, LIMITS)[0] == 400


def test_no_control_character_of_a_client_reaches_a_sentence():
    _, sentence = refused(lambda: requests.search({"a\nb\ud800": 1}, LIMITS))
    assert sentence.isprintable()
