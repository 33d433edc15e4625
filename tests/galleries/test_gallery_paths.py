"""Galleries of folders and manifests: what they hold, and what is said of them."""

import numpy as np
import pytest
from color_model import Colors, paint

from jaxcmr import galleries
from jaxcmr.errors import UsageError
from jaxcmr.galleries import progress


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def catalogue(tmp_path):
    folder = tmp_path / "catalogue"
    for color in ("red", "lime", "blue"):
        paint(folder / f"{color}.png", color)
    (folder / "items.csv").write_text(
        "id,image,text,price\na,red.png,red mug,1\nb,lime.png,a thing,2\nc,blue.png,blue plate,3\n"
    )
    return folder


def test_a_folder_becomes_an_index(catalogue):
    index = galleries.of_path(Colors(), catalogue)
    assert index.ids == ["blue.png", "lime.png", "red.png"]
    assert index.modalities == ["image"] * 3 and dict(index.columns) == {}
    np.testing.assert_array_equal(index.embeddings, np.eye(3)[::-1])
    assert index.source(2) == str(catalogue / "red.png")
    assert (index.size, index.fingerprint) == (3, "c0ffee")


def test_sources_are_found_from_every_folder(catalogue, monkeypatch):
    monkeypatch.chdir(catalogue.parent)
    assert galleries.of_path(Colors(), "catalogue").source(2) == str(catalogue / "red.png")
    assert galleries.of_path(Colors(), "catalogue/items.csv").source(0) == str(
        catalogue / "red.png"
    )


def test_a_manifest_becomes_an_index_of_several_modalities(catalogue, caplog):
    caplog.set_level("INFO")
    index = galleries.of_path(Colors(), str(catalogue / "items.csv"))
    assert list(zip(index.ids, index.modalities)) == [
        ("a", "image"), ("b", "image"), ("c", "image"), ("a", "text"), ("c", "text"),
    ]  # fmt: skip
    assert index.metadata([0, 4]) == [{"price": "1"}, {"price": "3"}]
    assert index.source(4) == "blue plate"
    assert "items.csv: 6 items embedded in 0 s, 0 known from before" in caplog.text
    assert "1 texts have no word that the model knows" in caplog.text
    images = galleries.of_path(Colors(), catalogue / "items.csv", "image")
    assert images.modalities == ["image"] * 3


def test_the_second_time_only_what_has_changed_is_read(catalogue, caplog):
    caplog.set_level("INFO")
    galleries.of_path(Colors(), catalogue)
    paint(catalogue / "red.png", "blue", size=9)
    paint(catalogue / "new" / "green.png", "lime", size=9)
    model = Colors()
    index = galleries.of_path(model, catalogue)
    assert set(model.read) == {catalogue / "red.png", catalogue / "new" / "green.png"}
    assert "catalogue: 2 items embedded in 0 s, 2 known from before" in caplog.text
    rows = dict(zip(index.ids, index.embeddings.tolist()))
    assert rows["red.png"] == [0, 0, 1] and rows["new/green.png"] == [0, 1, 0]
    other = Colors("another")
    galleries.of_path(other, catalogue)
    assert len(other.read) == 4


def test_what_cannot_be_read_is_counted_and_the_first_named(catalogue, caplog):
    for name in ("bad.png", "worse.png"):
        (catalogue / name).write_bytes(b"no picture")
    index = galleries.of_path(Colors(), catalogue)
    assert index.ids == ["blue.png", "lime.png", "red.png"]
    assert f"left out: 2 cannot be read, the first: {catalogue / 'bad.png'}" in caplog.text


def test_a_gallery_without_anything_to_find_is_a_mistake(tmp_path):
    (tmp_path / "items.csv").write_text("text\nnothing known\n")
    with pytest.raises(UsageError, match=r"items\.csv has no item that can be found$"):
        galleries.of_path(Colors(), tmp_path / "items.csv")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"can be found: 1 cannot be read, the first: .*a\.png"):
        galleries.of_path(Colors(), tmp_path)


def test_progress_is_told_in_items_that_are_new(catalogue):
    told = []
    galleries.of_path(Colors(), catalogue, report=lambda *done: told.append(done))
    assert told == [(3, 3)]
    galleries.of_path(Colors(), catalogue, report=lambda *done: told.append(done))
    assert told == [(3, 3)]


def test_progress_is_logged_with_the_time_left(monkeypatch, caplog):
    caplog.set_level("INFO")
    times = iter([0.0, 1.0, 10.0, 11.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    report = progress.logged("embedding image")
    for done in (10, 100, 110, 300):
        report(done, 1000)
    assert [record.message for record in caplog.records] == [
        "embedding image: 100 of 1000, about 90 s left",
        "embedding image: 300 of 1000, about 70 s left",
    ]
    assert [progress.span(seconds) for seconds in (0.4, 99, 150, 7200)] == [
        "0 s", "99 s", "2 min", "2.0 h",
    ]  # fmt: skip
