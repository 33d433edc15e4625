"""The items of a run as thumbnails: every kind, any rows, and what cannot be shown."""

import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from jaxcmr import data
from jaxcmr.config import default
from jaxcmr.data import cache
from jaxcmr.errors import UsageError
from jaxcmr.report.items import open_items, thumbnails
from jaxcmr.report.items import part as parts
from jaxcmr.storage import files, numpyfiles

RNG = np.random.default_rng(0)
CUBE = "OFF\n8 6 0\n" + "".join(
    f"{x} {y} {z}\n" for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
) + "4 0 3 2 1\n4 4 5 6 7\n4 0 1 5 4\n4 2 3 7 6\n4 1 2 6 5\n4 3 0 4 7\n"  # fmt: skip


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAXCMR_DATA", raising=False)


@pytest.fixture
def run(tmp_path):
    """Makes the folder of a run on some data, and says which."""

    def make(provenance=None, **fields):
        config = default()
        config.data.update(fields)
        sections = {"method": {}, "encoders": {}}
        folder = tmp_path / "run"
        files.write_json(folder / "config.json", json.loads(config.to_json()) | sections)
        files.write_json(folder / "result.json", {"data": provenance or {}})
        return folder

    return make


@pytest.fixture
def catalogue(tmp_path, run):
    """A run on a manifest of four rows: a photograph on its side, a text, a cloud and a mesh."""
    folder = tmp_path / "own"
    (folder / "texts").mkdir(parents=True)
    photo = np.zeros((600, 900, 3), np.uint8)
    photo[:300, :, 0], photo[300:, :, 2] = 255, 255  # red above blue
    for row in range(4):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: the picture's left is its top
        Image.fromarray(photo).save(folder / f"{row}.jpg", exif=exif)
        np.save(folder / f"{row}.npy", RNG.normal(size=(300, 3)))
        (folder / f"{row}.off").write_text(CUBE)
    (folder / "texts" / "2.txt").write_text("from a\nfile")
    columns = ("id", "label", "image", "text", "points", "mesh")
    texts = ["<b>one</b>", "word " * 100, "texts/2.txt", ""]
    rows = [
        (f"r{k}", "ab"[k % 2], f"{k}.jpg", t, f"{k}.npy", f"{k}.off") for k, t in enumerate(texts)
    ]
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return run(name="own", path=str(folder / "table.csv"), modalities=columns[2:])


def _pixels(part) -> np.ndarray:
    assert part.kind == "picture" and not part.note
    with Image.open(io.BytesIO(part.data)) as image:
        assert max(image.size) <= thumbnails.SIDE and Image.MIME[image.format] == part.media_type
        return np.asarray(image.convert("RGB")).astype(int)


IDS = np.array(["r0", "r1", "r2", "r3"])


def test_the_rows_asked_for_come_in_their_order_with_a_part_a_modality(catalogue):
    items = open_items(catalogue, IDS)
    assert items.modalities == ("image", "text", "points", "mesh")
    found = items.of(np.array([2, 0]))
    assert [[part.modality for part in row] for row in found] == [list(items.modalities)] * 2
    assert [row[1].data for row in found] == ["from a file", "<b>one</b>"]
    assert not items.remarks()


def test_a_photograph_is_small_and_upright(catalogue):
    part = open_items(catalogue, IDS).of([1])[0][0]
    pixels = _pixels(part)
    assert pixels.shape == (160, 107, 3) and len(part.data) < 5000
    assert (pixels[:, 60:, 0] > 240).mean() > 0.9  # turned clockwise: what was above is at right
    assert (pixels[:, :45, 2] > 240).mean() > 0.9


def test_long_texts_are_cut_and_empty_cells_are_missing(catalogue):
    _, (_, long, _, _), _, (_, none, _, _) = open_items(catalogue, IDS).of(range(4))
    assert long.data.startswith("word word") and long.data.endswith("…") and len(long.data) == 300
    assert none == parts.missing("text", "missing")


def test_clouds_and_meshes_are_drawn(catalogue):
    _, _, cloud, mesh = open_items(catalogue, IDS).of([0])[0]
    for part in (cloud, mesh):
        grey = _pixels(part).mean(2)
        assert grey[:3, :3].min() > 250 and 0.05 < (grey < 240).mean() < 0.9
    # Of a cube three sides are seen; the light comes from above, at the left.
    top, left, right = grey[25, 80], grey[100, 50], grey[100, 120]
    assert 240 > top > left > right > 20


def test_a_tiny_picture_is_enlarged_without_blur():
    item = np.array([[0, 255], [255, 0]], np.uint8)[..., None]
    large = _pixels(parts.picture("image", thumbnails.of_pixels(item)))
    assert large.shape == (160, 160, 3) and set(np.unique(large)) == {0, 255}
    assert (large[:80, :80] == 0).all() and (large[:80, 80:] == 255).all()


def test_what_is_transparent_is_white():
    image = Image.new("RGBA", (200, 100), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 100, 100))
    pixels = _pixels(parts.picture("image", image))
    assert pixels[40, 120].min() > 250 and abs(pixels[40, 40] - [0, 0, 255]).max() < 5


def test_of_several_views_four_make_a_square_and_of_three_two_stand_side_by_side():
    views = np.repeat(np.arange(8, dtype=np.uint8), 16).reshape(8, 4, 4, 1)
    square = np.asarray(thumbnails.of_pixels(views))
    assert square[::4, ::4].tolist() == [[0, 2], [4, 6]]
    assert np.asarray(thumbnails.of_pixels(views[:3]))[0, ::4].tolist() == [0, 1]


def test_what_is_gone_or_damaged_is_missing_and_counted_once(catalogue, tmp_path):
    own = tmp_path / "own"
    (own / "0.jpg").unlink()
    (own / "1.jpg").write_bytes((own / "2.jpg").read_bytes()[:2000])
    (own / "2.npy").write_bytes(b"no array")
    (own / "3.off").write_text("OFF\n1 0 0\n0 0 0\n")
    items = open_items(catalogue, IDS)
    for _ in range(2):
        found = items.of(range(4))
    lost = [(row, p.modality) for row, ps in enumerate(found) for p in ps if p.kind == "missing"]
    assert lost == [(0, "image"), (1, "image"), (2, "points"), (3, "text"), (3, "mesh")]
    assert "there is no file" in found[0][0].note and "no face" in found[3][3].note
    (remark,) = items.remarks()
    assert remark.startswith("4 items could not be shown, the first: ") and "0.jpg" in remark


def test_only_files_of_the_rows_asked_for_are_opened(catalogue, monkeypatch):
    opened = []
    read = lambda path, **more: opened.append(path.name) or Image.new("L", (9, 9))
    monkeypatch.setattr(thumbnails, "open_picture", read)
    items = open_items(catalogue, IDS)
    assert not opened
    stream = items.stream([3, 1] * 1000)
    assert [part.kind for part in next(stream)] == ["picture", "missing", "picture", "picture"]
    stream.close()
    assert "3.jpg" in opened and set(opened) <= {"3.jpg", "1.jpg"} and len(opened) < 100


def test_an_address_and_a_huge_picture_are_not_read(catalogue, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcmr.data.formats.pictures.MAX_PIXELS", 1000)
    table = tmp_path / "own" / "table.csv"
    table.write_text(table.read_text().replace("0.jpg", "https://host.example/0.jpg"))
    (address, *_), (huge, *_) = open_items(catalogue, IDS).of([0, 1])
    assert "no file https://host.example/0.jpg" in address.note and "too many" in huge.note


def test_rows_that_the_manifest_does_not_have_any_more_are_missing(catalogue):
    items = open_items(catalogue, np.array(["r1", "gone"]))
    assert {part.kind for part in items.of([1])[0]} == {"missing"}
    assert items.remarks()[0].startswith("4 items could not be shown, the first: the row gone is")


def test_of_data_that_are_gone_all_items_are_missing_and_one_sentence_says_so(catalogue, tmp_path):
    (tmp_path / "own").rename(tmp_path / "moved")
    items = open_items(catalogue, IDS)
    assert {part.kind for row in items.of(range(4)) for part in row} == {"missing"}
    (remark,) = items.remarks()
    assert remark.startswith("no item can be shown: config.data.path is") and "table.csv" in remark


def test_a_manifest_that_was_edited_is_told(catalogue, tmp_path):
    files.write_json(catalogue / "result.json", {"data": {"sha256": "0" * 64}})
    (remark,) = open_items(catalogue, IDS).remarks()
    assert remark.endswith("has changed since the training; its rows are found by their ids")
    table = tmp_path / "own" / "table.csv"
    table.write_text(table.read_text().replace("id,label", "old_id,label"))
    (remark,) = open_items(catalogue, ["000000"]).remarks()
    assert remark.endswith("found by their numbers in the file, and may be others now")
    files.write_json(catalogue / "result.json", {"data": {"sha256": cache.sha256(table)}})
    assert not open_items(catalogue, ["000000"]).remarks()


def test_of_several_runs_the_first_with_data_shows_its_items(catalogue, run, tmp_path):
    gone = tmp_path / "gone"
    catalogue.rename(tmp_path / "kept")
    run(name="own", path="/nowhere/table.csv", modalities=("image", "text")).rename(gone)
    items = open_items([gone, tmp_path / "kept"], IDS)
    assert _pixels(items.of([0])[0][0]).shape == (160, 107, 3) and not items.remarks()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        open_items(tmp_path, IDS)


GREY = RNG.integers(0, 256, (6, 12, 12, 1))
ARRAYS = {
    "bytes": (GREY.astype(np.uint8), "picture"),
    "unit": (GREY / 255, "picture"),
    "sixteen": (GREY * 257, "picture"),
    "flat": (GREY[..., 0].astype(np.uint8), "picture"),
    "black_and_white": (GREY > 127, "picture"),
    "views": (RNG.integers(0, 256, (6, 2, 8, 8, 3)).astype(np.uint8), "picture"),
    "cloud": (RNG.normal(size=(6, 40, 3)).astype(np.float32), "picture"),
    "features": (RNG.normal(size=(6, 16)).astype(np.float32), "missing"),
}


def _save(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array.astype("S") if array.dtype.kind == "U" else array
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    return str(path)


@pytest.mark.parametrize("name", ["own.npz", "own.h5", "own"])
def test_arrays_of_every_kind_are_shown_by_their_ids(name, run, tmp_path):
    arrays = {modality: array for modality, (array, _) in ARRAYS.items()}
    arrays |= {"labels": np.arange(6) % 2, "ids": np.array([f"x{k}" for k in range(6)])}
    path = _save(tmp_path / name, arrays | {"present_unit": np.arange(6) != 2})
    items = open_items(run(name="own", path=path, modalities=tuple(ARRAYS)), arrays["ids"])
    second, third = items.of([1, 2])
    assert [part.kind for part in second] == [kind for _, kind in ARRAYS.values()]
    expected = np.kron(GREY[1, :, :, 0], np.ones((13, 13), int))
    for part in second[:4]:  # of any type and scale
        np.testing.assert_allclose(_pixels(part)[..., 0], expected, atol=1)
    assert set(np.unique(_pixels(second[4]))) == {0, 255}
    assert second[-1].note == "features only" and third[1].note == "missing"
    assert not items.remarks()


def test_of_a_large_file_only_labels_and_rows_are_read(run, tmp_path, monkeypatch):
    image = np.zeros((6, 8, 8, 1), np.uint8)
    path = _save(tmp_path / "own.npz", {"image": image, "text": np.eye(6), "labels": np.arange(6)})
    monkeypatch.setattr(
        numpyfiles, "check_room", lambda size: pytest.fail(str(size)) if size > 99 else 0
    )
    items = open_items(run(name="own", path=path, modalities=("image", "text")), ["000004"])
    assert [part.kind for part in items.of([0])[0]] == ["picture", "missing"]


def test_arrays_of_splits_show_the_rows_of_all_of_them(run, tmp_path):
    arrays = {}
    for shade, split in enumerate(("train", "validation", "test"), 1):
        arrays[f"{split}_image"] = np.full((3, 4, 4), 60 * shade, np.uint8)
        arrays[f"{split}_text"] = RNG.normal(size=(3, 5))
        arrays[f"{split}_labels"] = np.arange(3)
    path = _save(tmp_path / "own.npz", arrays)
    ids = np.array(["train/000002", "validation/000000", "test/000000"])
    items = open_items(run(name="own", path=path, modalities=("image", "text")), ids)
    train, validation, test = items.of(range(3))
    assert [_pixels(part).mean() for part, _ in (train, validation, test)] == [60, 120, 180]


def test_a_named_set_shows_the_items_it_was_trained_on(run):
    fields = {"name": "digits", "train_size": 49, "test_size": 10, "points": 64}
    config = default().data
    config.update(fields)
    splits = data.load(config, workers=1)
    train, test = splits.train, splits.test
    items = open_items(run(dict(train.provenance), **fields), [train.ids[7], test.ids[3]])
    (image, cloud), (other, _) = items.of([0, 1])
    np.testing.assert_array_equal(_pixels(image)[::5, ::5, 0], train.inputs["image"][7, ..., 0])
    np.testing.assert_array_equal(_pixels(other)[::5, ::5, 0], test.inputs["image"][3, ..., 0])
    assert (_pixels(cloud) < 240).mean() > 0.05


def test_the_meshes_of_a_named_set_are_rendered(run):
    fields = {"name": "procedural10", "train_size": 10, "test_size": 10, "points": 32}
    fields |= {"views": 4, "image_size": 32, "faces": 96}
    fields["modalities"] = ("image", "points", "mesh")
    config = default().data
    config.update(fields)
    train = data.load(config, workers=1).train
    items = open_items(run(dict(train.provenance), **fields), train.ids)
    views, cloud, mesh = items.of([2])[0]
    assert _pixels(views).shape == (128, 128, 3)
    assert all(0.03 < (_pixels(part) < 240).mean() < 0.9 for part in (views, cloud, mesh))


def test_another_set_in_the_place_of_the_one_trained_on_is_not_shown(run):
    fields = {"name": "digits", "train_size": 49, "test_size": 10, "points": 64}
    items = open_items(run({"source": "files", "name": "mnist3d"}, **fields), ["train/00000"])
    assert items.remarks() == [
        "no item can be shown: the run had mnist3d, but digits is in its place now"
    ]


def test_a_named_set_that_is_gone_is_neither_downloaded_nor_replaced(run, monkeypatch):
    monkeypatch.delenv("JAXCMR_OFFLINE", raising=False)
    connect = lambda *_: pytest.fail("a download begins")
    monkeypatch.setattr("jaxcmr.data.sources.download._check_connection", connect)
    fields = {"name": "mnist3d", "fallback": "digits", "train_size": 49, "test_size": 10}
    items = open_items(run({"source": "files", "name": "mnist3d"}, **fields), ["train/00000"])
    (remark,) = items.remarks()
    assert remark.startswith("no item can be shown: no MNIST files")
    assert "JAXCMR_OFFLINE" not in os.environ


def test_prepared_pictures_that_are_gone_are_not_made_again(run):
    provenance = {"source": "files", "name": "modelnet10", "prepared": "/nowhere/prepared/abc"}
    items = open_items(run(provenance, name="modelnet10"), ["chair_0001"])
    assert items.remarks() == [
        "no item can be shown: /nowhere/prepared/abc is gone; the run's command prepares it again"
    ]


def test_a_bug_in_drawing_one_item_does_not_lose_the_others(catalogue, monkeypatch):
    def fail(cell):
        raise ZeroDivisionError("one")

    monkeypatch.setattr(thumbnails, "load_mesh", fail)
    items = open_items(catalogue, IDS)
    assert [part.kind for part in items.of([0])[0]] == ["picture", "text", "picture", "missing"]
    assert items.remarks() == ["1 item could not be shown: one"]
