"""What is shown of the rows of an index: from their sources or the data of the run."""

import io
import json
import os
import threading

import numpy as np
import pytest
from PIL import Image
from search_rows import Rows, texts

from jaxcmr.config import default
from jaxcmr.report.items import thumbnails
from jaxcmr.report.search import pictures
from jaxcmr.report.search.pictures import Pictures
from jaxcmr.storage import files

MESH = "OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 2 3\n"


@pytest.fixture
def folder(tmp_path):
    """Files of all kinds: a red photo, a cloud, a mesh, and what is none of these."""
    Image.new("RGB", (400, 200), "red").save(tmp_path / "red.PNG", "png")
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(200, 3)))
    (tmp_path / "mesh.off").write_text(MESH)
    (tmp_path / "words.txt").write_text("secret")
    (tmp_path / "cut.png").write_bytes((tmp_path / "red.PNG").read_bytes()[:60])
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """The words of the texts that are drawn, and not only remembered."""
    seen, draw = [], pictures.part.text
    monkeypatch.setattr(pictures.part, "text", lambda m, w: seen.append(w) or draw(m, w))
    return seen


def pixels(part) -> np.ndarray:
    with Image.open(io.BytesIO(part.data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def run_on(path, tmp_path, modalities=("image", "text")):
    """The folder of a run on a file of arrays."""
    config = default()
    config.data.update(name="own", path=str(path), modalities=modalities)
    settings = json.loads(config.to_json()) | {"method": {}, "encoders": {}}
    files.write_json(tmp_path / "run" / "config.json", settings)
    return tmp_path / "run"


def test_a_row_is_drawn_from_its_file_or_its_words(folder):
    sources = [str(folder / name) for name in ("red.PNG", "cloud.npy", "mesh.off")]
    rows = Rows(list("abcd"), ["image", "points", "mesh", "text"], [*sources, "two  words\n"])
    red, cloud, mesh, words = (Pictures(rows).part(row) for row in range(4))
    assert pixels(red).shape == (80, 160, 3) and abs(pixels(red)[40, 80] - [255, 0, 0]).max() < 4
    assert all(0.001 < (pixels(part) < 240).mean() < 0.9 for part in (cloud, mesh))
    assert words == ("text", "text", "two words", "text/plain", "")


def test_words_are_never_taken_for_a_file(folder):
    paths = [str(folder / name) for name in ("words.txt", "red.PNG", "words.txt")]
    rows = Rows(list("abc"), ["text", "text", "caption"], paths)
    shown = Pictures(rows, kinds={"caption": "text"})
    assert [shown.part(row).data for row in range(3)] == paths


@pytest.mark.parametrize(
    "name", ["gone.png", "cut.png", "words.txt", "folder.png", "a\0.png", "a" * 5000]
)
def test_what_cannot_be_shown_is_missing_and_names_no_file(folder, name):
    part = Pictures(Rows(["a"], ["image"], [str(folder / name)])).part(0)
    assert part == ("image", "missing", "", "", "cannot be shown")


def test_a_pipe_is_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.setattr(thumbnails, "of_file", lambda path, kind: pytest.fail("it would wait"))
    assert Pictures(texts(0)).of("image", str(tmp_path / "pipe.png")).note == "cannot be shown"


def test_features_and_rows_without_any_source_say_so():
    rows = Rows(["a", "b"], ["sound", "image"], ["a.npy", None])
    shown = Pictures(rows, kinds={"sound": "vector"})
    assert [shown.part(row).note for row in (0, 1)] == ["features only", "no picture"]


def test_rows_without_a_source_are_drawn_from_the_data_of_the_run_also_those_of_its_test(tmp_path):
    shades = {"train": 60, "test": 180}
    arrays = {f"{s}_image": np.full((2, 4, 4), shade, np.uint8) for s, shade in shades.items()}
    arrays |= {f"{s}_text": np.eye(2, 5) for s in shades}
    arrays |= {f"{s}_labels": np.arange(2) for s in shades}
    np.savez(tmp_path / "own.npz", **arrays)
    ids = ["test/000001", "train/000000", "train/000000", "new"]
    rows = Rows(ids, ["image", "image", "text", "image"], [None] * 4)
    shown = Pictures(rows, run_on(tmp_path / "own.npz", tmp_path))
    test, train, text, new = (shown.part(row) for row in range(4))
    assert [pixels(part).mean() for part in (test, train)] == [180, 60]
    assert text.note == "features only" and new.note == "cannot be shown"
    (tmp_path / "own.npz").unlink()
    gone = Pictures(rows, tmp_path / "run").part(0)
    assert gone.kind == "missing" and gone.note == "the data are gone"


def test_a_folder_without_a_run_loses_the_pictures_alone(tmp_path):
    rows = Rows(["a", "b"], ["image", "text"], [None, "words"])
    shown = Pictures(rows, tmp_path)
    assert [shown.part(row).kind for row in (0, 1)] == ["missing", "text"]


def test_a_part_is_drawn_once_and_the_longest_unused_are_dropped(drawn):
    rows = texts(30)
    one = 500 + 4 * len(rows.sources[20]) + 4 * len("item-20" + "text" + rows.sources[20])
    shown = Pictures(rows, limit=3 * one)
    for row in (20, 21, 20, 22, 20):
        assert shown.part(row).data == rows.sources[row]
    assert len(drawn) == 3
    shown.part(23)  # in the place of 21
    drawn.clear()
    for row in (20, 22, 23):
        shown.part(row)
    assert not drawn
    shown.part(21)
    assert drawn == [rows.sources[21]]


def test_a_part_larger_than_all_that_is_kept_is_shown_too(drawn):
    shown = Pictures(texts(30), limit=10)
    assert [shown.part(20).kind for _ in range(2)] == ["text"] * 2 and len(drawn) == 2


def test_a_row_that_is_another_item_now_is_drawn_anew():
    rows = texts(20)
    shown = Pictures(rows)
    before = shown.part(12)
    for column in rows:
        del column[12]
    assert shown.part(12).data == "A blue chair, number 13" != before.data


def test_threads_may_ask_at_once(monkeypatch):
    rows, together = texts(40), threading.Barrier(8)
    draw = pictures.part.text

    def wait(modality, words):
        together.wait(20)
        return draw(modality, words)

    monkeypatch.setattr(pictures.part, "text", wait)
    shown, found = Pictures(rows), [None] * 8
    ask = lambda thread: found.__setitem__(thread, shown.part(30))
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {part.data for part in found} == {rows.sources[30]}
    one = pictures._size(("item-30", "text", rows.sources[30]), found[0])
    assert shown._bytes == one  # counted once


def test_an_item_beside_the_index_is_shown_the_same_way(folder):
    shown = Pictures(texts(1))
    assert shown.of("text", "some words").data == "some words"
    assert shown.of("image", str(folder / "red.PNG")).kind == "picture"
    assert shown.of("image", str(folder / "gone.png")).note == "cannot be shown"


def test_of_a_ply_the_kind_tells_a_cloud_from_a_mesh(folder, monkeypatch):
    monkeypatch.setattr(thumbnails, "of_file", lambda path, kind: kinds.append(kind) or image)
    kinds, image = [], Image.new("L", (9, 9))
    (folder / "a.ply").touch()
    for modality in ("points", "mesh", "image"):  # views of a mesh
        pictures.of_source(
            modality, str(folder / "a.ply"), {"points": "cloud"}.get(modality, modality)
        )
    assert kinds == ["cloud", "mesh", "mesh"]
