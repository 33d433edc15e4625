"""A folder of towers is written whole or not at all, and says all that another program needs."""

import json
import re
import unicodedata
from itertools import pairwise

import jax
import numpy as np
import pytest
from untrained_towers import CLASSES, SIZE, STANDARD, TOWERS, model, rows

from jaxcmr.data.preparation.digits import DigitPoints
from jaxcmr.data.preparation.objects import ObjectPoints, ObjectViews
from jaxcmr.data.preparation.shapes import FramePoints, Surface
from jaxcmr.data.preparation.store import WAYS
from jaxcmr.data.preparation.vectors import GivenMesh
from jaxcmr.errors import UsageError
from jaxcmr.exporting import write
from jaxcmr.exporting.artifact import Artifact, make
from jaxcmr.exporting.describe import describe
from jaxcmr.exporting.words import steps

OTHERS = [
    DigitPoints(points=8, seed=0),
    FramePoints(points=8, seed=0),
    GivenMesh(shape={"mask": (4,)}, dtype={"mask": np.dtype(bool)}),
    ObjectPoints(points=8, seed=0),
    ObjectViews(views=2, image_size=8, elevation=30.0, channels=3, rendered=True),
    Surface(points=8, seed=0),
]


@pytest.fixture(scope="module")
def words():
    return model("image", "text", members=1)


@pytest.fixture
def exported(words, monkeypatch, tmp_path):
    """Exports into `tmp_path / "towers"`; the towers are not traced, which the tests below do."""
    made = []

    def fake(of, modality):
        made.append(modality)
        return Artifact(b"of " + modality.encode(), [], [], 0, 0.0)

    monkeypatch.setattr(write, "load", lambda workdir, checkpoint, member: words)
    monkeypatch.setattr(write, "make", fake)
    return lambda **options: (write.export("run", tmp_path / "towers", **options), made)


def test_a_tower_takes_batches_of_any_size_and_holds_its_own_parameters_alone(words):
    artifact = make(words, "text")
    call = jax.export.deserialize(bytearray(artifact.data)).call
    for count in (1, 3, 17):
        found = call(rows("text", count))
        for name, wanted in zip(
            ("embeddings", "probabilities"), words._computed("text", rows("text", count))
        ):
            np.testing.assert_allclose(found[name], wanted, atol=1e-6)
    own = [words._variables["params"][part] for part in ("text", "head")]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(own))
    assert artifact.parameter_bytes == size
    assert (
        size
        < len(artifact.data)
        < size + 15_000
        < sum(leaf.nbytes for leaf in jax.tree.leaves(words._variables))
    )
    assert artifact.inputs == [{"name": "text", "shape": ["batch", 8], "dtype": "float32"}]
    assert [one["shape"] for one in artifact.outputs] == [["batch", SIZE], ["batch", len(CLASSES)]]
    assert b".py" not in artifact.data  # no place of this machine


def test_a_program_that_computes_something_else_is_refused(words, monkeypatch):
    monkeypatch.setattr(type(words), "embed_rows", lambda self, name, rows: np.zeros((3, SIZE)))
    with pytest.raises(UsageError, match=r"'text' gives embeddings that differ by 0\.\d+"):
        make(words, "text")


def test_a_folder_holds_the_towers_and_one_description(exported, tmp_path):
    described, _ = exported()
    folder = tmp_path / "towers"
    assert {path.name for path in tmp_path.iterdir()} == {"towers"}
    assert {path.name for path in folder.iterdir()} == {
        "model.json", "image.stablehlo", "text.stablehlo",
    }  # fmt: skip
    assert json.loads((folder / "model.json").read_text()) == described
    assert (folder / "text.stablehlo").read_bytes() == b"of text"
    assert described["class_names"] == list(CLASSES) and described["embedding_size"] == SIZE


def test_an_earlier_export_is_replaced_and_nothing_else(exported, tmp_path):
    exported()
    described, made = exported(only=["text"])
    folder = tmp_path / "towers"
    assert {path.name for path in folder.iterdir()} == {"model.json", "text.stablehlo"}
    assert list(described["towers"]) == ["text"] and made == ["image", "text", "text"]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"towers holds 'notes\.txt', which is not of an export"):
        exported()
    (folder / "model.json").write_text('{"format": "another"}')
    (folder / "notes.txt").unlink()
    with pytest.raises(UsageError, match=r"holds 'model\.json', which is not of an export"):
        exported()


def test_a_failure_leaves_the_earlier_export(exported, monkeypatch, tmp_path):
    exported()

    def fail(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.files, "write_json", fail)
    with pytest.raises(UsageError, match="towers cannot be written: No space left on device"):
        exported(only=["text"])
    assert {path.name for path in tmp_path.iterdir()} == {"towers"}
    assert (tmp_path / "towers/image.stablehlo").exists()


def test_a_mistake_is_found_before_the_work(exported, tmp_path):
    with pytest.raises(UsageError, match="has no modality 'sound', only image, text"):
        exported(only=["sound"])
    (tmp_path / "towers").write_text("")
    with pytest.raises(UsageError, match="towers is no folder"):
        exported()


def test_every_way_of_an_item_has_words():
    known = [recipe for _, recipe in TOWERS.values()] + OTHERS
    assert {type(recipe).__name__ for recipe in known} == set(WAYS)
    for recipe in known:
        assert steps(recipe) and all(one.endswith(".") for one in steps(recipe))


def row_of_text(text, preparation):
    """What the words in `model.json` say, without this library."""
    recipe = preparation["recipe"]
    gone = [chr(int(code, 16)) for code in re.findall(r"U\+(\w+)", preparation["steps"][0])]
    text = "".join(letter for letter in text if letter not in gone)
    text, found = unicodedata.normalize("NFKC", text).casefold(), []
    for match in re.finditer(preparation["token_pattern"], text):
        if match.lastgroup == "unspaced":
            found += [*match[0], *("".join(pair) for pair in pairwise(match[0]))]
        elif match[0].strip("_"):
            found.append(match[0])
    row = np.zeros(len(recipe["tfidf"]["words"]))
    for place, (word, idf) in enumerate(zip(recipe["tfidf"]["words"], recipe["tfidf"]["idf"])):
        row[place] = (1 + np.log(found.count(word))) * idf if word in found else 0
    row = row / np.linalg.norm(row)
    return (row - recipe["standard"]["mean"]) / recipe["standard"]["scale"]


def test_the_words_on_texts_give_the_rows_of_the_model(words):
    towers = {"text": ("text.stablehlo", Artifact(b"", [], [], 0, 0.0))}
    described = json.loads(json.dumps(describe(words, "best", None, towers)))
    preparation = described["towers"]["text"]["preparation"]
    texts = ["Red, red CUP; a blue lamp\u00ad", "杯子 chair", "ＬＡＭＰ _lamps_"]
    wanted, known = words.preparation.rows("text", texts)
    assert known.all() and STANDARD.scale == preparation["recipe"]["standard"]["scale"]
    found = [row_of_text(text, preparation) for text in texts]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
