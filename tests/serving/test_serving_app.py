"""The server's answers: searches, embeddings, pictures, and what it refuses."""

import asyncio
import base64
import io
import json
import os
import struct
import time
import zlib

import asgi_client as asgi
import color_shop as shop
import numpy as np
import pytest
from PIL import Image

from jaxcmr.data.preparation import Preparation
from jaxcmr.data.preparation.shapes import Cloud, Surface
from jaxcmr.errors import UsageError
from jaxcmr.index import Index
from jaxcmr.serving.current import Current
from jaxcmr.serving.limits import Limits, RefusedError
from jaxcmr.serving.requests import Item
from jaxcmr.serving.uploads import Uploads, without_paths


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    app, answers = shop.opened(tmp_path_factory.mktemp("shop"))
    yield app
    answers.close()


def ask(app, method, path, body=b"", **more) -> asgi.Answer:
    """Sends one request; whatever the answer, it tells no path of this machine."""
    found = asyncio.run(asgi.call(app, method, path, body, **more))
    assert found.headers["x-content-type-options"] == "nosniff"
    if found.headers["content-type"].startswith("application/json"):
        text = found.body.decode()
        assert not any(place in text for place in ("/tmp", "/root", "/home", "jaxcmr-", ".index"))
        assert (found.status == 200) != ("error" in found.json)
    return found


def search(app, **content) -> list[dict]:
    found = ask(app, "POST", "/search", content)
    assert found.status == 200, found.body
    assert 0 <= found.json["seconds"] < 10
    return found.json["hits"]


def refused(app, body, path="/search", **more) -> tuple[int, str]:
    found = ask(app, "POST", path, body, **more)
    assert found.status != 200
    return found.status, found.json["error"]


def test_words_find_pictures_and_texts(served):
    hits = search(served, text="Red", k=2)
    assert [(hit["id"], hit["modality"]) for hit in hits] == [("red", "image"), ("red", "text")]
    assert hits[0]["score"] == pytest.approx(1.0) and hits[0]["metadata"] == {"price": 1}
    assert hits[0]["text"] is None and hits[1]["text"] == "a red mug"
    assert hits[0]["picture"].startswith("/items/0?version=") and hits[1]["picture"] is None
    assert set(hits[0]) == {
        "row", "id", "modality", "score", "metadata", "text", "picture"
    }  # fmt: skip


def test_the_picture_of_a_hit_is_an_image(served):
    (hit,) = search(served, text="blue", to="image", k=1)
    found = ask(served, "GET", hit["picture"])
    assert found.status == 200 and found.headers["content-type"] in ("image/png", "image/jpeg")
    assert found.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "max-age" in found.headers["cache-control"]
    assert ask(served, "GET", "/items/2").body == found.body


@pytest.mark.parametrize(
    "path",
    ["/items/99", "/items/3", "/items/0?version=0", "/items/" + "9" * 18, "/items/" + "9" * 5000],
)
def test_a_picture_that_is_none_is_not_found(served, path):
    assert ask(served, "GET", path).status == 404


def test_a_file_finds_what_goes_with_it(served):
    for format in ("PNG", "JPEG"):
        hits = search(served, **shop.file(shop.picture("blue", format=format)), to="text", k=1)
        assert hits[0]["id"] == "blue"


def test_a_picture_becomes_the_row_that_its_file_becomes(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 30, 4), np.uint8)
    deep = Image.fromarray(rng.integers(0, 65536, (20, 30)).astype(np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "clear.png": (Image.fromarray(pixels), {}),
        "palette.png": (Image.fromarray(pixels[..., :3]).quantize(16), {"transparency": 3}),
        "deep.png": (deep, {}),
        "turned.jpg": (Image.fromarray(pixels[..., :3]), {"exif": turned}),
        "inks.jpg": (Image.fromarray(pixels).convert("CMYK"), {}),
    }
    preparation = shop.ColorModel(tmp_path).preparation
    uploads = Uploads(preparation, Limits(), 1)
    for name, (image, more) in kinds.items():
        image.save(tmp_path / name, **more)
        data = base64.b64encode((tmp_path / name).read_bytes()).decode()
        row = asyncio.run(uploads.row(Item("file", data, "image", name=name)))
        expected = preparation.rows("image", [tmp_path / name]).items
        np.testing.assert_array_equal(row.items, expected, name)
    uploads.close()


def test_a_file_of_several_megabytes_arrives_whole(tmp_path):
    preparation = Preparation(shop.COLORS, {"cloud": Cloud(points=8, seed=0)})
    uploads = Uploads(preparation, Limits(), 1)
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(100_001, 3)))
    content = (tmp_path / "cloud.npy").read_bytes()
    item = Item("file", base64.b64encode(content).decode(), "cloud", name="cloud.npy")
    found = asyncio.run(uploads.row(item)).items
    expected = preparation.rows("cloud", [tmp_path / "cloud.npy"]).items
    np.testing.assert_array_equal(found, expected)
    uploads.close()


def test_clouds_and_meshes_are_read_as_their_files_and_none_beside_them(tmp_path):
    recipes = {"cloud": Cloud(points=8, seed=0), "mesh": Surface(points=8, seed=0)}
    preparation = Preparation(shop.COLORS, recipes)
    uploads = Uploads(preparation, Limits(), 1)

    def row(modality, name, content):
        data = base64.b64encode(content).decode()
        return asyncio.run(uploads.row(Item("file", data, modality, name=name))).items

    points = np.random.default_rng(0).normal(size=(20, 3))
    np.save(tmp_path / "cloud.npy", points)
    corners = "".join(f"v {x} {y} {z}\n" for x, y, z in points)
    (tmp_path / "mesh.obj").write_text(corners + "f 1 2 3\nf 3 4 5\n")
    for modality, name in (("cloud", "cloud.npy"), ("mesh", "mesh.obj")):
        found = row(modality, name, (tmp_path / name).read_bytes())
        expected = preparation.rows(modality, [tmp_path / name]).items
        np.testing.assert_array_equal(found, expected)
    for uri in ("../cloud.npy", "/etc/hosts", "beside.bin"):
        document = {
            "asset": {"version": "2.0"}, "buffers": [{"uri": uri, "byteLength": 36}],
            "bufferViews": [{"buffer": 0, "byteLength": 36}],
            "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}], "nodes": [{"mesh": 0}],
            "scenes": [{"nodes": [0]}], "scene": 0,
        }  # fmt: skip
        with pytest.raises(RefusedError) as caught:
            row("mesh", "a.gltf", json.dumps(document).encode())
        sentence = str(caught.value).replace(repr(uri), "")
        assert sentence.startswith("the file of the query names the file")
        assert "jaxcmr-" not in sentence and "/tmp" not in sentence
    uploads.close()


def test_an_array_is_a_file_too(served):
    file = io.BytesIO()
    np.save(file, np.array([0.0, 2.0, 0.0], np.float32))
    data = base64.b64encode(file.getvalue()).decode()
    query = {"modality": "features", "data": data, "name": "row.NPY"}
    assert search(served, file=query, k=1)[0]["id"] == "green"
    assert search(served, values=[0, 2, 0], k=1)[0]["id"] == "green"


def test_a_known_row_finds_others_than_itself(served):
    hits = search(served, id="green", modality="image", k=2)
    assert (hits[0]["id"], hits[0]["modality"]) == ("green", "text")
    assert len(hits) == 2 and hits[1]["id"] != "green"
    status, sentence = refused(served, {"id": "green"})
    assert status == 422 and "several modalities" in sentence
    status, sentence = refused(served, {"id": "violet", "modality": "image"})
    assert (status, sentence) == (404, "the index has no row with the id 'violet' of 'image'")


def test_a_known_row_is_found_where_others_were_removed(tmp_path):
    app, answers = shop.opened(tmp_path)
    index = shop.index_of(tmp_path)
    index.remove("red", "image")
    index.save(tmp_path / "other.index")
    index = Index.open(tmp_path / "other.index")
    index.remove("green", "image")
    answers._current.now = answers._current.now._replace(index=index, version="2")
    (hit,) = search(app, id="blue", modality="image", to="text", k=1)
    assert hit["id"] == "blue" and hit["score"] == pytest.approx(1.0)
    answers.close()


def test_an_id_that_is_no_utf_8_is_answered_and_asked_for(tmp_path):
    app, answers = shop.opened(tmp_path)
    name = os.fsdecode(b"caf\xe9.png")
    index = shop.index_of(tmp_path)
    index.add([[1, 0, 0]], modality="image", ids=[name], metadata={"price": [9]})
    answers._current.now = answers._current.now._replace(index=index)
    assert [hit["id"] for hit in search(app, text="red", k=2, to="image")] == ["red", name]
    assert search(app, id=name, k=1, to="image")[0]["id"] == "red"
    assert refused(app, {"id": name + "?"})[0] == 404
    answers.close()


def test_paths_of_this_machine_leave_a_sentence():
    sentence = "/srv/shop/a.png cannot be read (no space)"
    assert without_paths(sentence) == "a file cannot be read (no space)"
    assert without_paths("text/plain and/or 3/4 of https://a.b/c") == (
        "text/plain and/or 3/4 of https://a.b/c"
    )


def test_several_queries_are_their_mean(served):
    hits = search(served, queries=[{"text": "red"}, {"id": "blue", "modality": "text"}], to="image")
    assert [hit["id"] for hit in hits] == ["red", "blue", "green"]
    assert hits[0]["score"] == pytest.approx(0.5**0.5, abs=1e-5)  # cos of 45 degrees
    opposite = {"queries": [{"values": [1, 0, 0]}, {"values": [-1, 0, 0]}]}
    assert refused(served, opposite)[0] == 422


def test_conditions_leave_only_what_fits(served):
    hits = search(served, text="red", where={"price": [2, 3]}, to="image")
    assert [hit["id"] for hit in hits] == ["green", "blue"]
    assert search(served, text="red", where={"price": 77}) == []
    status, sentence = refused(served, {"text": "red", "where": {"weight": 1}})
    assert status == 422 and "'weight'" in sentence
    assert refused(served, {"text": "red", "where": {"price": "cheap"}})[0] == 422
    status, sentence = refused(served, {"text": "red", "to": "imgae"})
    assert (status, sentence) == (422, "the index has no items of 'imgae', only 'image', 'text'")


def test_items_are_embedded_one_or_many(served):
    one = ask(served, "POST", "/embed", {"text": "red green"}).json
    np.testing.assert_allclose(one["embeddings"], [[0.5**0.5, 0.5**0.5, 0]], atol=1e-6)
    assert one["size"] == 3 and one["known"] == [True]
    items = [
        {"text": "blue"},
        shop.file(shop.picture("red")),
        {"text": "mauve"},
        {"values": [3, 0, 4]},
    ]
    many = ask(served, "POST", "/embed", {"items": items}).json
    expected = [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0.6, 0, 0.8]]
    np.testing.assert_allclose(many["embeddings"], expected, atol=1e-6)
    assert many["known"] == [True, True, False, True]


def test_words_that_nobody_knows_find_nothing(served):
    status, sentence = refused(served, {"text": "mauve"})
    assert status == 422 and "no word that the model knows" in sentence
    status, sentence = refused(served, {"queries": [{"text": "red"}, {"text": "mauve"}]})
    assert sentence.startswith("queries[1] has no word")


def test_the_state_tells_what_is_served(served):
    found = ask(served, "GET", "/health").json
    assert found["status"] == "ok" and found["items"] == {"image": 3, "text": 3}
    assert found["kinds"] == {"image": "image", "text": "text", "features": "vector"}
    assert found["fields"] == {"price": "int"} and found["classes"] == list(shop.COLORS)
    assert found["fingerprint"] == "c0ffee" and found["files"]["text"] == []
    assert found["body_bytes"] == Limits().body_bytes


def png_of(width: int, height: int, data: bytes) -> bytes:
    """Returns a grey PNG of any size in its header, whatever its pixels are."""

    def part(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", data) + part(b"IEND", b"")


BOMB = png_of(60_000, 60_000, zlib.compress(bytes(3_000_000)))
MANY = png_of(6400, 6400, zlib.compress(bytes(1000)))  # 41 million pixels
SHORT = shop.picture("red", (500, 500))[:-200]


@pytest.mark.parametrize(
    "data, status, words",
    [
        (BOMB, 422, "more than 40 million pixels"),
        (MANY, 422, "6400 x 6400 pixels, more than 40 million"),
        (SHORT, 422, "cannot be read"),
        (shop.picture("red")[:20], 422, "damaged"),
        (b"GIF89a" + bytes(20), 415, "no PNG or JPEG"),
        (b"%PDF-1.7", 415, "no PNG or JPEG"),
        (b"\xff\xd8\xff" + bytes(50), 415, "no PNG or JPEG"),
        (b"", 422, "is empty"),
    ],
    ids=["bomb", "many", "short", "head", "gif", "pdf", "jpeg", "empty"],
)
def test_pictures_that_are_none_are_named(served, data, status, words):
    found, sentence = refused(served, shop.file(data))
    assert (found, words in sentence) == (status, True), sentence


@pytest.mark.parametrize(
    "content, status, words",
    [
        ({"file": {"modality": "image", "data": "no base64!"}}, 422, "no base64"),
        ({"file": {"modality": "image", "data": "AAAA\nAAAA"}}, 422, "no base64 in one line"),
        ({"file": {"modality": "sound", "data": "AAAA"}}, 422, "there is no modality 'sound'"),
        ({"file": {"modality": "text", "data": "AAAA"}}, 422, "do not come as file"),
        ({"file": {"modality": "image", "data": "AAAA", "name": "a.exe"}}, 415, "'.exe'"),
        ({"file": {"modality": "features", "data": "AAAA"}}, 415, "needs its name"),
        ({"file": {"modality": "features", "data": "AA==", "name": "a.npy"}}, 422, "the file of"),
        ({"file": {"modality": "image", "data": "AA==", "name": "/etc/hosts"}}, 415, "PNG or JPEG"),
        ({"values": [1, 2]}, 422, "is an array [2]"),
        ({"text": "red", "modality": "image"}, 422, "do not come as text"),
        ({"text": "x" * 10_001}, 422, "10,001 letters"),
    ],
)  # fmt: skip
def test_items_that_cannot_be_embedded_are_named(served, content, status, words):
    found, sentence = refused(served, content)
    assert (found, words in sentence) == (status, True), sentence


def test_other_addresses_and_methods_are_refused(served):
    assert ask(served, "GET", "/nothing").status == 404
    assert ask(served, "GET", "/items/../health").status == 404
    found = ask(served, "GET", "/search")
    assert found.status == 405 and found.headers["allow"] == "POST"
    assert ask(served, "DELETE", "/items/0").status == 405


def test_only_json_is_read_which_no_form_can_send(served):
    for kind in (None, "text/plain", "application/x-www-form-urlencoded"):
        status, sentence = refused(served, {"text": "red"}, headers={"content-type": kind})
        assert status == 415 and "application/json" in sentence
    accepted = {"content-type": "Application/JSON; charset=utf-8"}
    assert ask(served, "POST", "/search", {"text": "red"}, headers=accepted).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1]:1"])
def test_a_page_under_another_host_name_gets_no_answer(served, host):
    found = ask(served, "GET", "/health", headers={"host": host})
    assert found.status == 400 and "host name" in found.json["error"]
    assert "access-control-allow-origin" not in found.headers


def test_a_host_name_with_any_port_is_known(served):
    assert ask(served, "GET", "/health", headers={"host": "LOCALHOST:9"}).status == 200


def test_a_large_body_is_not_read_and_ends_the_connection(served):
    async def run():
        began = time.monotonic()
        headers = {"content-length": str(10**9)}
        found = await asgi.call(served, "POST", "/search", chunks=[b"x"], headers=headers)
        return found, time.monotonic() - began

    found, seconds = asyncio.run(run())
    assert found.status == 413 and found.headers["connection"] == "close" and seconds < 3
    chunks = [b"x" * 1_000_000] * 12  # without a length before it
    status, sentence = refused(served, b"", chunks=chunks)
    assert status == 413 and "10,000,000 bytes" in sentence


def test_too_many_requests_are_sent_away_for_a_while(tmp_path):
    app, answers = shop.opened(tmp_path, Limits(rate=1.0))

    async def run():
        calls = [asgi.call(app, "GET", "/health") for _ in range(3)]
        return [await call for call in calls], await asgi.call(
            app, "GET", "/health", client="10.0.0.9"
        )

    found, other = asyncio.run(run())
    assert [one.status for one in found] == [200, 200, 429] and other.status == 200
    assert found[2].headers["retry-after"] == "1"
    answers.close()


def test_more_requests_than_it_can_work_on_are_sent_away(tmp_path):
    app, answers = shop.opened(tmp_path, Limits(items_at_once=2))

    async def run():
        calls = [asgi.call(app, "POST", "/search", {"text": "red"}) for _ in range(6)]
        return await asyncio.gather(*calls)

    found = asyncio.run(run())
    statuses = [one.status for one in found]
    assert statuses.count(200) >= 2 and set(statuses) == {200, 503}
    assert all("retry-after" in one.headers for one in found if one.status == 503)
    assert asyncio.run(asgi.call(app, "POST", "/search", {"text": "red"})).status == 200
    answers.close()


def test_an_answer_that_takes_too_long_is_given_up(tmp_path):
    app, answers = shop.opened(tmp_path, Limits(answer_seconds=0.05))
    answers._model.embed_rows = lambda modality, rows: time.sleep(0.3)
    status, sentence = refused(app, {"text": "red"})
    assert status == 503 and "takes too long" in sentence
    answers.close()


def test_a_bug_is_logged_and_tells_nothing(tmp_path, caplog):
    app, answers = shop.opened(tmp_path)

    def embed_rows(modality, rows):
        raise ZeroDivisionError(f"in {tmp_path}")

    answers._model.embed_rows = embed_rows
    found = refused(app, {"text": "red"})
    assert found == (500, "the server made a mistake; its log tells more")
    assert "ZeroDivisionError" in caplog.text
    answers.close()


def test_concurrent_queries_are_joined_and_each_gets_its_own_hits(tmp_path):
    app, answers = shop.opened(tmp_path)
    embed_rows = answers._model.embed_rows
    # While the first calls take their time, others come.
    answers._model.embed_rows = lambda *rows: time.sleep(0.01) or embed_rows(*rows)

    async def run():
        names = [shop.COLORS[n % 3] for n in range(60)]
        calls = [
            asgi.call(app, "POST", "/search", {"text": n, "k": 1, "to": "image"}) for n in names
        ]
        return names, await asyncio.gather(*calls)

    names, found = asyncio.run(run())
    assert [one.json["hits"][0]["id"] for one in found] == names
    assert sum(answers._model.sizes) == 60 and len(answers._model.sizes) < 40
    assert set(answers._model.sizes) <= {1, 4, 16, 64}
    answers.close()


def test_a_new_file_of_the_index_is_served_and_old_pictures_are_gone(tmp_path):
    app, answers = shop.opened(tmp_path)
    old = search(app, text="red", k=1)[0]["picture"]
    asyncio.run(answers.look())
    assert ask(app, "GET", old).status == 200  # nothing has changed
    shop.index_of(tmp_path, ("green", "blue")).save(tmp_path / "shop.index")
    asyncio.run(answers.look())
    assert ask(app, "GET", "/health").json["items"] == {"image": 2, "text": 2}
    assert search(app, text="green", k=1)[0]["row"] == 0
    assert ask(app, "GET", old).status == 404
    answers.close()


def test_a_file_that_cannot_be_served_leaves_the_old_index(tmp_path):
    app, answers = shop.opened(tmp_path)
    path = tmp_path / "shop.index"
    for content in (b"no index", b"", None):  # overwritten, where a mapped file kills; then gone
        path.unlink() if content is None else path.write_bytes(content)
        asyncio.run(answers.look())
        assert search(app, text="red", k=1)[0]["id"] == "red"
    answers.close()


def test_an_index_of_another_model_or_without_rows_is_refused(tmp_path):
    shop.index_of(tmp_path).save(tmp_path / "a.index")
    model = shop.ColorModel(tmp_path)
    model.fingerprint = "decaf"
    with pytest.raises(UsageError, match="decaf"):
        Current(model, tmp_path / "a.index")
    index = shop.index_of(tmp_path)
    index.remove(list(shop.COLORS))
    index.save(tmp_path / "a.index")
    with pytest.raises(UsageError, match="has no rows"):
        Current(shop.ColorModel(tmp_path), tmp_path / "a.index")
