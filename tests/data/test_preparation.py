"""Raw items become the rows that the source delivers, by what a run's folder keeps."""

import dataclasses
import json
import threading
import time
import warnings

import numpy as np
import pytest
import trimesh
from ml_collections import ConfigDict
from PIL import Image

from jaxcmr import data
from jaxcmr.data import preparation
from jaxcmr.data.formats import pictures
from jaxcmr.data.items.standardize import Standard
from jaxcmr.data.items.texts import Tfidf, learn, tokens
from jaxcmr.data.preparation.pictures import Picture
from jaxcmr.data.preparation.shapes import Cloud, Surface
from jaxcmr.data.preparation.store import to_json
from jaxcmr.data.preparation.vectors import Given, Text
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits

RNG = np.random.default_rng(0)
# That of the manifest below, without reading it.
PLAIN = preparation.Preparation(
    ("0", "1"),
    {
        "image": Picture(shape=(16, 16, 3), dtype=np.dtype(np.uint8)),
        "points": Cloud(points=16, seed=0),
        "mesh": Surface(points=16, seed=0),
        "text": Text(tfidf=learn(["a red pot", "a blue pan"])),
    },
)


def read_back(splits, folder):
    """The preparation as another process finds it."""
    preparation.write(folder, splits.preparation)
    return preparation.read(folder)


def check_equal(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.fixture
def catalogue(tmp_path, config):
    """A manifest of six objects of four kinds of items, and its config."""
    lines = ["id,label,image,points,mesh,text,split"]
    for k in range(6):
        pixels = RNG.integers(0, 256, (20 + k, 31, 4), np.uint8)  # with transparency
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
        np.save(tmp_path / f"{k}.npy", RNG.normal(size=(9 + 3 * k, 3)))
        trimesh.creation.box((1, 2, 3 + k)).export(tmp_path / f"{k}{'.off' if k % 2 else '.stl'}")
        mesh = f"{k}{'.off' if k % 2 else '.stl'}"
        words = f"a {'red pot' if k % 2 else 'blue blue pan'} of size {k}"
        split = "test" if k > 3 else "train"
        lines.append(f"i{k},{k % 2},{k}.png,{k}.npy,{mesh},{words},{split}")
    (tmp_path / "items.csv").write_text("\n".join(lines))
    fields = config.to_dict() | {"name": "manifest", "path": str(tmp_path / "items.csv")}
    fields |= {"modalities": ("image", "points", "mesh", "text"), "standardize": ("text",)}
    return tmp_path, ConfigDict(fields | {"channels": 3})


def raw_items(folder, k):
    mesh = folder / f"{k}{'.off' if k % 2 else '.stl'}"
    words = f"a {'red pot' if k % 2 else 'blue blue pan'} of size {k}"
    return {
        "image": folder / f"{k}.png",
        "points": str(folder / f"{k}.npy"),
        "mesh": mesh,
        "text": words,
    }


def test_files_of_a_manifest_become_its_rows(catalogue):
    folder, config = catalogue
    splits = data.load(config)
    found = read_back(splits, folder)
    assert found.class_names == splits.train.class_names
    kinds = {name: recipe.kind for name, recipe in found.recipes.items()}
    assert kinds == {"image": "image", "points": "cloud", "mesh": "cloud", "text": "text"}
    for modality, expected in splits.test.inputs.items():
        rows = found.rows(modality, [raw_items(folder, k)[modality] for k in (4, 5)])
        check_equal(rows.items, expected)
        assert rows.known.all()
        assert found.recipes[modality].shape == expected.shape[1:]
        assert found.recipes[modality].dtype == expected.dtype
    alone = found.only(("text",))
    assert set(alone.recipes) == {"text"}


def test_the_same_item_in_other_forms_becomes_the_same_row(catalogue):
    folder, config = catalogue
    found = data.load(config).preparation
    pixels = np.asarray(Image.open(folder / "4.png"))
    forms = [folder / "4.png", Image.open(folder / "4.png"), Image.fromarray(pixels), pixels]
    rows = found.rows("image", forms).items
    np.testing.assert_array_equal(rows[1:], rows[:1].repeat(3, 0))
    cloud = np.load(folder / "4.npy")
    rows = found.rows("points", [folder / "4.npy", cloud, cloud.astype(">f8")]).items
    np.testing.assert_array_equal(rows[1:], rows[:1].repeat(2, 0))
    (folder / "words.txt").write_text("a red pot\n")
    rows = found.rows("text", [folder / "words.txt", "a red pot"]).items
    np.testing.assert_array_equal(rows[0], rows[1])
    # A grey picture that is turned as its EXIF data say.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels[..., 0]).save(folder / "turned.png", exif=exif)
    rows = found.rows("image", [folder / "turned.png", Image.open(folder / "turned.png")]).items
    np.testing.assert_array_equal(rows[0], rows[1])
    upright = found.rows("image", [np.rot90(pixels[..., 0], -1)]).items
    np.testing.assert_array_equal(rows[:1], upright)


def test_a_text_without_a_known_word_is_not_known_and_zeros(catalogue):
    found = data.load(catalogue[1]).preparation
    rows = found.rows("text", ["pot", "violoncello", ""])
    assert rows.known.tolist() == [True, False, False]
    assert rows.items[0].any() and not rows.items[1:].any()


def own_arrays(folder, images, **more):
    arrays = {"labels": np.arange(8) % 2, "split": np.array(["train"] * 5 + ["test"] * 3)}
    arrays |= {"image": images, "text": RNG.normal(3, 2, (8, 5)), **more}
    np.savez(folder / "own.npz", **arrays)
    return arrays


def own_config(folder, config, **more):
    fields = config.to_dict() | {"name": "arrays", "path": str(folder / "own.npz")}
    return ConfigDict(fields | {"modalities": ("image", "text")} | more)


@pytest.mark.parametrize(
    "images",
    [
        RNG.integers(0, 256, (8, 6, 9, 3), np.uint8),
        RNG.integers(0, 256, (8, 6, 9), np.uint8),
        RNG.integers(0, 65536, (8, 6, 9, 1)).astype(">u2"),
        RNG.random((8, 6, 9, 1)),
        RNG.random((8, 6, 9, 3)).astype(np.float32) * 255,
        RNG.random((8, 6, 9)) > 0.5,
        RNG.integers(0, 2, (8, 6, 9), np.uint8),
        RNG.integers(0, 256, (8, 2, 6, 9, 3), np.uint8),
    ],
)
def test_arrays_become_the_rows_of_own_arrays(tmp_path, config, images):
    arrays = own_arrays(tmp_path, images)
    splits = data.load(own_config(tmp_path, config, standardize=("text",)))
    found = read_back(splits, tmp_path)
    for modality in ("image", "text"):
        check_equal(found.rows(modality, arrays[modality][5:]).items, splits.test.inputs[modality])
        np.save(tmp_path / "one.npy", arrays[modality][6])
        rows = found.rows(modality, [tmp_path / "one.npy"]).items
        np.testing.assert_array_equal(rows, splits.test.inputs[modality][1:2])
    assert found.recipes["text"].kind == "vector"
    assert np.abs(splits.train.inputs["text"].mean(0)).max() < 1e-6  # they are standardised


def test_a_photograph_has_the_scale_of_own_arrays(tmp_path, config):
    own_arrays(tmp_path, RNG.random((8, 6, 9, 1)))
    found = data.load(own_config(tmp_path, config)).preparation
    pixels = RNG.integers(0, 256, (6, 9), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    rows = found.rows("image", [tmp_path / "x.png", pixels]).items
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0, ..., 0], np.float32(pixels) / 255)
    np.testing.assert_array_equal(rows[1], rows[0])
    # Fitted in and centered: 6 x 6 in 6 x 9, a white column at the left and two at the right.
    rows = found.rows("image", [np.zeros((12, 12), np.uint8)]).items[0, ..., 0]
    np.testing.assert_array_equal(rows, np.tile([1.0, *[0.0] * 6, 1, 1], (6, 1)))


def test_views_are_arrays_lists_of_pictures_or_one_picture(tmp_path, config):
    images = RNG.integers(0, 256, (8, 2, 6, 9, 3), np.uint8)
    own_arrays(tmp_path, images)
    found = data.load(own_config(tmp_path, config)).preparation
    first, second = images[0]
    Image.fromarray(first).save(tmp_path / "first.png")
    raw = [[tmp_path / "first.png", second], tmp_path / "first.png"]
    rows = found.rows("image", raw).items
    np.testing.assert_array_equal(rows, [images[0], [first, first]])
    with pytest.raises(UsageError, match=r"image\[0\] is a list of 3, but the model takes 2 views"):
        found.rows("image", [[first] * 3])


def test_words_of_tf_idf_weigh_as_in_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = [f"w{k}" for k in range(300)]
    texts = [" ".join(RNG.choice(words, RNG.integers(1, 90))) for _ in range(60)]
    model = TfidfVectorizer(analyzer=tokens, max_features=2000, sublinear_tf=True).fit(texts[:40])
    expected = model.transform([*texts, "", "new"]).toarray().astype(np.float32)
    np.testing.assert_array_equal(learn(texts[:40]).rows([*texts, "", "new"]), expected)


def test_what_is_kept_is_plain_json_and_reads_back_the_same(catalogue, tmp_path):
    splits = data.load(catalogue[1])
    found = read_back(splits, tmp_path)
    content = to_json(splits.preparation)
    assert to_json(found) == content == json.loads(json.dumps(content))
    assert preparation.digest(found) == preparation.digest(splits.preparation)
    fewer = dataclasses.replace(found, class_names=("0",))
    assert preparation.digest(fewer) != preparation.digest(found)


def test_a_large_vocabulary_is_read_in_milliseconds(tmp_path, config):
    words = tuple(f"word{k}" for k in range(2000))
    standard = Standard(RNG.random(2000), 0.3)
    text = Text(tfidf=Tfidf(words, RNG.random(2000)), standard=standard)
    preparation.write(tmp_path, preparation.Preparation(("a", "b"), {"text": text}))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = preparation.read(tmp_path)
        times.append(time.perf_counter() - start)
    assert found.recipes["text"].tfidf.words == words
    assert min(times) < 0.05  # 3 ms where nothing else runs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "is damaged .*JSONDecodeError"),
        (lambda text: "[]", "is damaged"),
        (lambda text: text.replace('"version":1', '"version":9'), "its version is 9, not 1"),
        (lambda text: text.replace('"Picture"', '"Painting"'), "is damaged .*Painting"),
        (lambda text: text.replace('"points":16', '"points":"x"'), "is damaged"),
        (lambda text: text.replace('"idf":[', '"idf":[NaN,'), "is damaged"),
        (lambda text: text.replace('"seed":0', '"sed":0'), "is damaged .*sed"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, words):
    preparation.write(tmp_path, PLAIN)
    path = tmp_path / preparation.FILE
    damaged = change(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(UsageError, match=r"preparation\.json is damaged.*start the") as info:
        preparation.read(tmp_path)
    assert info.match(words)


def test_a_folder_without_the_file_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"there is no .*preparation\.json: .*start the command"):
        preparation.read(tmp_path)


@pytest.mark.parametrize(
    ("modality", "raw", "words"),
    [
        ("image", "photo.png", "the items of 'image' are one str; give a list"),
        ("image", Image.new("L", (2, 2)), "the items of 'image' are one Image; give a list"),
        ("image", 7, "the items of 'image' are one int; give a list"),
        ("image", [], "the list of items of 'image' is empty"),
        ("img", ["x.png"], "there is no modality 'img', only image, points, mesh, text; "),
        ("image", ["gone.png"], "there is no file gone.png"),
        ("image", ["x.gif"], "x.gif ends in '.gif', but the model takes pictures: .png"),
        ("image", ["a\0.png"], "there is no file a"),
        ("image", ["name"], "name has no ending, but the model takes pictures"),
        ("image", [3.5], r"image\[0\] is of the type float, but the model takes pictures"),
        ("image", [b"\x89PNG"], r"image\[0\] is of the type bytes"),
        ("image", [np.zeros((4, 4, 2), np.uint8)], r"image\[0\] is an array \[4, 4, 2\] of uint8"),
        ("image", [np.zeros((4, 4, 3))], r"image\[0\] is an array \[4, 4, 3\] of float64"),
        ("image", [np.zeros((16, 16, 3))], r"image\[0\] has pixels of the type float64, whose "),
        ("image", [np.zeros((0, 4), np.uint8)], r"image\[0\] has no pixel"),
        ("image", [Image.new("F", (2, 2))], r"image\[0\] has Pillow's mode 'F'"),
        ("image", [Image.new("L", (20_000, 6_000))], r"image\[0\] has 20000 x 6000 pixels, too"),
        ("points", [np.full((9, 3), np.nan)], r"points\[0\] has coordinates that are not finite"),
        ("points", [np.zeros((9, 2))], r"points\[0\] holds float64 \[9, 2\], not numbers"),
        ("points", [np.zeros((9, 3))], r"points\[0\] has no extent"),
        ("points", ["x.stl"], "x.stl ends in '.stl', but the model takes clouds: .npy"),
        ("points", [Image.new("L", (2, 2))], r"points\[0\] is a picture, but the model takes cl"),
        ("mesh", ["x.pcd"], "x.pcd ends in '.pcd', but the model takes meshes"),
        ("text", [np.zeros(5)], r"text\[0\] is of the type ndarray, but the model takes texts"),
        ("text", "a red pot", "the items of 'text' are one str; give a list"),
    ],
)  # fmt: skip
def test_what_is_no_item_is_named(tmp_path, monkeypatch, modality, raw, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        PLAIN.rows(modality, raw)


def test_broken_files_are_named(catalogue):
    folder, _ = catalogue
    whole = (folder / "4.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    (folder / "words.txt").write_bytes(b"caf\xe9")
    (folder / "bomb.npy").write_bytes((folder / "0.npy").read_bytes()[:128])
    (folder / "empty.off").touch()
    (folder / "folder.png").mkdir()
    wrong = {
        "cut.png": "image", "empty.jpg": "image", "words.txt": "text", "bomb.npy": "points",
        "empty.off": "mesh", "folder.png": "image",
    }  # fmt: skip
    for name, modality in wrong.items():
        sound = raw_items(folder, 0)[modality]
        with pytest.raises(UsageError, match=name):
            PLAIN.rows(modality, [sound, folder / name, sound])
    lazy = Image.open(folder / "cut.png")
    with pytest.raises(UsageError, match=r"image\[1\] cannot be read"):
        PLAIN.rows("image", [folder / "4.png", lazy])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (np.full((6, 9, 1), 2.0), "has pixels from 2 to 2, but in the training pictures of"),
        (np.full((6, 9, 1), np.nan), "has pixels from nan to nan"),
        (np.full((6, 9, 1), "x"), "holds <U1, but the model takes pictures"),
    ],
)
def test_pixels_off_the_scale_are_refused(tmp_path, config, raw, words):
    own_arrays(tmp_path, RNG.random((8, 6, 9, 1)))
    found = data.load(own_config(tmp_path, config)).preparation
    with pytest.raises(UsageError, match=words):
        found.rows("image", [raw])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("photo.png", "photo.png ends in '.png', but the model takes features as arrays"),
        (np.zeros(4), r"text\[0\] is an array \[4\] of float64, but the model takes features as "),
        (np.ma.masked_less(np.arange(5), 2), r"text\[0\] has masked entries"),
        (np.full(5, np.inf), r"text\[0\] has a value that is not finite"),
        (np.full(5, 1e300), r"text\[0\] holds 1e\+300, more than"),
        (np.array(list("abcde")), r"text\[0\] is an array \[5\] of <U1"),
    ],
)
def test_features_are_arrays_alone(tmp_path, config, raw, words):
    own_arrays(tmp_path, RNG.random((8, 6, 9, 1)))
    found = data.load(own_config(tmp_path, config)).preparation
    with pytest.raises(UsageError, match=words):
        found.rows("text", [raw])


def test_a_source_without_recipes_takes_arrays_like_its_rows(config, monkeypatch, tmp_path):
    def load(config, workers):
        def part(name, rows):
            labels = np.arange(rows, dtype=np.int32) % 2
            inputs = {
                "image": RNG.integers(0, 256, (rows, 4, 5, 1), np.uint8),
                "depth": RNG.random((rows, 4, 5)).astype(np.float32),
                "mesh": {"mask": np.ones((rows, 7), bool), "centers": np.float32(
                    RNG.random((rows, 7, 3)))},
            }  # fmt: skip
            ids = np.array([f"{name}{row}" for row in range(rows)])
            return Dataset(inputs, labels, labels, ids, ("a", "b"), {"source": "stand-in"})

        return Splits(part("a", 6), part("t", 4))

    monkeypatch.setitem(data.SOURCES, "mine", load)
    fields = config.to_dict() | {"name": "mine", "modalities": ("image", "depth", "mesh")}
    splits = data.load(ConfigDict(fields))
    found = read_back(splits, tmp_path)
    for modality in ("image", "depth"):
        rows = found.rows(modality, splits.test.inputs[modality]).items
        check_equal(rows, splits.test.inputs[modality])
    meshes = splits.test.inputs["mesh"]
    raw = [{part: array[row] for part, array in meshes.items()} for row in range(4)]
    for part, array in found.rows("mesh", raw).items.items():
        check_equal(array, meshes[part])
    assert found.recipes["mesh"].shape == {"mask": (7,), "centers": (7, 3)}
    with pytest.raises(UsageError, match=r"mesh\[0\] is of the type str, but the model takes mesh"):
        found.rows("mesh", ["x.off"])


def test_an_item_that_occurs_twice_is_read_once_and_threads_keep_the_order(catalogue, monkeypatch):
    folder, _ = catalogue
    opened = []
    read = pictures.open_picture
    monkeypatch.setattr(pictures, "open_picture", lambda path: opened.append(path) or read(path))
    paths = [folder / f"{k}.png" for k in range(6)]
    rows = PLAIN.rows("image", [*paths, paths[2], paths[0]]).items
    assert len(opened) == 6
    np.testing.assert_array_equal(rows[[6, 7]], rows[[2, 0]])
    alone = [PLAIN.rows("image", [path]).items[0] for path in paths]
    np.testing.assert_array_equal(rows[:6], alone)


class Overlapping:
    """A raw item whose reader ignores warnings, and ends when it is told."""

    def __init__(self, begun, ends):
        self.begun, self.ends = begun, ends

    def __array__(self, dtype=None, copy=None):
        with warnings.catch_warnings(action="ignore"):
            self.begun.set()
            assert self.ends.wait(10)
        return np.zeros(3, np.float32)


def test_readers_in_threads_that_overlap_leave_the_filters_of_warnings_as_they_were():
    features = preparation.Preparation((), {"features": Given(kind="vector", shape=(3,))})
    before = list(warnings.filters)
    items = [Overlapping(threading.Event(), threading.Event()) for _ in range(2)]
    threads = [threading.Thread(target=features.rows, args=("features", [one])) for one in items]
    for one, thread in zip(items, threads):
        thread.start()
        assert one.begun.wait(10)
    for one, thread in zip(items, threads):  # the first ends while the other is at work
        one.ends.set()
        thread.join()
    assert list(warnings.filters) == before
