"""The rows of a run as a gallery, and the files and words behind them."""

import json
import types

import numpy as np
import pytest
from color_model import paint

from jaxcmr import galleries
from jaxcmr.data.cache import sha256
from jaxcmr.errors import UsageError
from jaxcmr.galleries import queries, sources
from jaxcmr.types import UNKNOWN, Dataset
from jaxcmr.workdir import embeddings


def finished(folder, path=""):
    """Writes what is read of a finished run, whose data are at `path`."""
    sections = {name: {} for name in ("train", "method", "encoders")}
    data = {"modalities": ["image", "text"], "path": str(path)}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"data": data, **sections}))
    provenance = {"sha256": sha256(path)} if path else {}
    (folder / "result.json").write_text(json.dumps({"data": provenance}))
    return folder


def rows(first, true_labels):
    """Two rows, of which the second has no text; the first one's label is wrong."""
    items = np.zeros((2, 3), np.float32)
    return Dataset(
        inputs={"image": items, "text": items},
        labels=np.array([1, -1]),
        true_labels=true_labels,
        ids=np.array([f"row{first}", f"row{first + 1}"]),
        class_names=("mug", "cup"),
        provenance={},
        present={"text": np.array([True, False])},
    )


@pytest.fixture
def model(tmp_path):
    """A model whose run has two training and two test rows."""
    sets = {"train": rows(0, np.array([0, -1])), "test": rows(2, None)}
    with embeddings.written(finished(tmp_path / "run"), sets) as add:
        add({"image": np.eye(3)[[0, 1, 2, 0]], "text": np.eye(3)[[0, 1, 1, 2]]})
    about = {"size": 3, "fingerprint": "c0ffee", "checkpoint": "best"}
    return types.SimpleNamespace(workdir=tmp_path / "run", **about)


def test_the_items_that_are_there_are_rows_of_the_gallery(model):
    index = galleries.of_run(model)
    assert list(zip(index.ids, index.modalities)) == [
        ("row0", "image"), ("row1", "image"), ("row2", "image"), ("row3", "image"),
        ("row0", "text"), ("row2", "text"),
    ]  # fmt: skip
    np.testing.assert_array_equal(index.embeddings, np.eye(3)[[0, 1, 2, 0, 0, 1]])
    assert index.fingerprint == "c0ffee" and index.source(0) is None
    assert index.metadata([0, 1, 5]) == [
        {"split": "train", "label": "cup", "true_label": "mug"},
        {"split": "train", "label": None, "true_label": "(none of these)"},
        {"split": "test", "label": "cup", "true_label": None},
    ]


def test_a_gallery_may_be_one_split(model):
    assert galleries.of_run(model, "test").ids == ["row2", "row3", "row2"]
    with pytest.raises(UsageError, match="has no rows for validation"):
        galleries.of_run(model, "validation")


@pytest.mark.parametrize("other", [{"checkpoint": "last"}, {"size": 1}])
def test_rows_are_no_gallery_of_another_epoch_or_of_one_member(model, other):
    vars(model).update(other)
    with pytest.raises(UsageError, match="by all members of its best epoch; search them without"):
        galleries.of_run(model)


def test_a_row_of_the_run_is_searched_with_where_the_gallery_lacks_it(model):
    test = galleries.of_run(model, "test")
    query = queries.of_known_row(model, test, "row0", "text")
    assert query[:3] == ("row0", "text", None) and query.row == -1
    np.testing.assert_array_equal(query.embedding, [1, 0, 0])
    assert queries.of_known_row(model, test, "row3", "image").row == 1
    with pytest.raises(UsageError, match="the gallery has no row with the id 'row9'; did you mean"):
        queries.of_known_row(model, test, "row9")
    with pytest.raises(UsageError, match="'row1' has no item of 'text', only of image"):
        queries.of_known_row(model, test, "row1", "text")
    model.checkpoint = "last"
    with pytest.raises(UsageError, match="the gallery has no row with the id 'row0'; did you mean"):
        queries.of_known_row(model, test, "row0", "text")


def test_true_labels_that_nobody_knows_are_no_field(tmp_path, model):
    sets = {"test": rows(0, np.array([UNKNOWN, UNKNOWN]))}
    with embeddings.written(model.workdir, sets) as add:
        add({"image": np.eye(3)[:2], "text": np.eye(3)[:2]})
    assert set(galleries.of_run(model).columns) == {"split", "label"}


def test_a_manifest_tells_the_files_and_words_behind_rows(tmp_path):
    manifest = tmp_path / "items.csv"
    manifest.write_text("id,image,text\na,a.png,red mug\nb,b.png,words.txt\nc,gone.png,\n")
    (tmp_path / "words.txt").write_text("blue plate")
    paint(tmp_path / "a.png", "red")
    run = finished(tmp_path / "run", manifest)
    asked = [("a", "image"), ("a", "text"), ("b", "text"), ("c", "image"), ("c", "text")]
    assert sources.of_rows(run, [*asked, ("d", "image")]) == [
        str(tmp_path / "a.png"), "red mug", "blue plate", None, None, None,
    ]  # fmt: skip
    manifest.write_text(manifest.read_text().replace("red", "green"))  # its rows may be others now
    assert sources.of_rows(run, asked) == [None] * 5
    manifest.unlink()
    assert sources.of_rows(run, asked) == [None] * 5
    assert sources.of_rows(finished(tmp_path / "arrays"), asked) == [None] * 5


@pytest.mark.parametrize(
    ("kind", "record", "fresh"),
    [
        ("best", {"best_epoch": 3, "epoch": 2}, True),
        ("best", {"best_epoch": 5, "epoch": 4}, False),
        ("last", {"best_epoch": 0, "epoch": 3}, True),
        ("last", {"best_epoch": 0, "epoch": 3, "terms": {"loss": 1.0}}, False),
    ],
)
def test_rows_from_before_a_run_went_on_are_refused(model, kind, record, fresh):
    result = json.loads((model.workdir / "result.json").read_text())
    (model.workdir / "result.json").write_text(json.dumps(result | {"best_epoch": 3}))
    place = model.workdir / "checkpoints" / kind / "40" / "record"
    place.mkdir(parents=True)
    (place / "metadata").write_text(json.dumps({"record": record}))
    if fresh:
        assert len(galleries.of_run(model)) == 6
    else:
        with pytest.raises(UsageError, match="trained further since it embedded its rows"):
            galleries.of_run(model)
