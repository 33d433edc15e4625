"""What is searched with, and what is found: hand-made galleries of colors."""

import numpy as np
import pytest
from color_model import Colors, Recipe, paint

from jaxcmr.errors import UsageError
from jaxcmr.galleries import answers, queries
from jaxcmr.galleries.find import conditions, find, targets
from jaxcmr.galleries.queries import Query
from jaxcmr.index import Index

RED, GREEN, BLUE = np.eye(3, dtype=np.float32)


@pytest.fixture
def gallery():
    """Photos and texts of rows a (red), b (green), c (blue); a text d of red and a bit of blue."""
    index = Index(3, "c0ffee")
    fields = {"label": ["mug", "mug", None], "price": [1, 2, 3], "sold": [True, False, False]}
    index.add(np.eye(3), modality="image", ids=["a", "b", "c"], metadata=fields)
    fields = {"label": ["mug", "mug", "cup", "cup"], "price": [1, 2, 3, None]}
    rows = [RED, GREEN, BLUE, 0.8 * RED + 0.6 * BLUE]
    words = ["red", "green", "blue", "red and\nblue"]
    index.add(
        np.array(rows), modality="text", ids=["a", "b", "c", "d"], metadata=fields, sources=words
    )
    return index


def red(modality="image"):
    return Query("red.png", modality, "red.png", RED)


def found(hits):
    return list(zip(hits.ids[0], hits.modalities[0]))


def test_hits_are_of_any_modality_that_no_query_has(gallery):
    hits = find(gallery, [red()], 2)
    assert found(hits) == [("a", "text"), ("d", "text")]
    np.testing.assert_allclose(hits.scores, [[1, 0.8]], rtol=1e-6)
    assert targets(gallery, [red(), red("text")]) == ["image", "text"]
    assert targets(gallery, [red("points")]) == ["image", "text"]
    assert found(find(gallery, [red()], 1, to="image")) == [("a", "image")]


def test_all_of_a_gallery_of_one_modality_are_hits():
    index = Index(3)
    index.add([RED, BLUE], modality="image", ids=["a", "b"])
    assert found(find(index, [red()], 5)) == [("a", "image"), ("b", "image")]


def test_a_row_that_is_searched_with_is_no_hit_but_its_other_items_are(gallery):
    query = queries.of_row(gallery, "a", "image")
    assert (query.row, query.source) == (0, None)
    assert found(find(gallery, [query], 1)) == [("a", "text")]
    hits = find(gallery, [query], 2, to="image")
    assert found(hits) == [("b", "image"), ("c", "image")]
    assert hits.rows.tolist() == [[1, 2]] and hits.scores.shape == (1, 2)


def test_several_queries_are_averaged_as_unit_rows(gallery):
    np.testing.assert_allclose(queries.mean([RED, RED]), RED)
    both = [red(), queries.of_row(gallery, "c", "text")]
    np.testing.assert_allclose(
        queries.mean([one.embedding for one in both]), [0.5**0.5, 0, 0.5**0.5], rtol=1e-6
    )
    hits = find(gallery, both, 9, to="text")
    # c is a query itself; d is (0.8 + 0.6) / sqrt 2.
    assert hits.ids == [["d", "a", "b"]]
    np.testing.assert_allclose(hits.scores, [[1.4 / 2**0.5, 0.5**0.5, 0]], atol=1e-6)
    with pytest.raises(UsageError, match="opposites of each other"):
        queries.mean([RED, -RED])


def test_conditions_are_of_the_kind_of_their_field(gallery):
    assert conditions(gallery, ["label=mug", "label=cup", "price=3", "sold=True", "id=a"]) == {
        "label": ["mug", "cup"], "price": [3], "sold": [True], "id": ["a"],
    }  # fmt: skip
    assert conditions(gallery, ["label=", "modality=text"]) == {
        "label": [None],
        "modality": ["text"],
    }
    assert find(gallery, [red()], 9, where=["label=cup"]).ids == [["d", "c"]]
    assert find(gallery, [red()], 9, where=["label=cup", "price=3"]).ids == [["c"]]
    assert find(gallery, [red()], 9, where=["label=cup", "price="]).ids == [["d"]]
    assert found(find(gallery, [red()], 9, where=["modality=image", "sold=no"])) == [
        ("b", "image"),
        ("c", "image"),
    ]


@pytest.mark.parametrize(
    "where, words",
    [
        ("label", "takes field=value, not 'label'"),
        ("lable=mug", "no field 'lable', only id, modality, label, price, sold; did you mean 'lab"),
        ("price=cheap", "'price' holds whole numbers, which 'cheap' is not"),
        ("sold=maybe", "'sold' holds true or false, which 'maybe' is not"),
    ],
)
def test_conditions_that_cannot_be(gallery, where, words):
    with pytest.raises(UsageError) as error:
        conditions(gallery, [where])
    assert words in str(error.value)


def test_modalities_that_the_gallery_lacks(gallery):
    with pytest.raises(UsageError, match=r"no 'txt', only image, text; did you mean 'text'"):
        targets(gallery, [red()], "txt")
    with pytest.raises(UsageError, match=r"--to and --where=modality both say"):
        find(gallery, [red()], 1, "text", ["modality=image"])


def test_files_are_queries(tmp_path):
    model = Colors()
    file = paint(tmp_path / "a.png", "blue")
    query = queries.of_file(model, file)
    assert query[:3] == (str(file), "image", str(file)) and query.embedding.tolist() == [0, 0, 1]
    (tmp_path / "a.txt").write_text("a red mug")
    query = queries.of_file(model, tmp_path / "a.txt")
    assert query[:3] == (str(tmp_path / "a.txt"), "text", "a red mug")
    assert query.embedding.tolist() == [1, 0, 0]
    with pytest.raises(UsageError, match="there is no file"):
        queries.of_file(model, tmp_path / "none.png")
    with pytest.raises(UsageError, match=r"a\.gif must end in one of \.png"):
        queries.of_file(model, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="no modality 'points', only image, text"):
        queries.of_file(model, file, "points")


def test_texts_are_queries():
    model = Colors()
    assert queries.of_text(model, "red mug").embedding.tolist() == [1, 0, 0]
    assert queries.of_text(model, "red mug", "image").modality == "text"  # of a photo beside it
    with pytest.raises(
        UsageError, match=r"'a mug' has no word that the model knows .* nothing can"
    ):
        queries.of_text(model, "a mug")
    model.preparation.recipes["title"] = Recipe("text", ())
    with pytest.raises(UsageError, match="may be text or title; say which, with --from=text"):
        queries.of_text(model, "red mug")
    assert queries.of_text(model, "red mug", "title").modality == "title"
    model.preparation.recipes = {"image": Recipe("image", (".png",))}
    with pytest.raises(UsageError, match=r"'red mug' cannot be searched for: .* only image"):
        queries.of_text(model, "red mug")


def test_rows_are_asked_for_by_their_ids(gallery):
    assert queries.of_row(gallery, "d").modality == "text"  # its only item
    assert queries.of_row(gallery, "c", "text")[:3] == ("c", "text", "blue")
    with pytest.raises(UsageError, match=r"'a' has items of image, text; .* --from=image"):
        queries.of_row(gallery, "a")
    with pytest.raises(UsageError, match="'d' has no item of 'image', only of text"):
        queries.of_row(gallery, "d", "image")
    with pytest.raises(UsageError, match="no row with the id 'zzz'; its ids are 'a', 'b', 'c'"):
        queries.of_row(gallery, "zzz")
    gallery.add([RED], modality="image", ids=["photos/mug-0017.png"])
    for close in ("mug-0017", "photo/mug-0017.png"):
        with pytest.raises(UsageError, match=r"did you mean 'photos/mug-0017\.png'"):
            queries.of_row(gallery, close)


def test_answers_are_a_table_or_a_document(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(answers.sources, "of_rows", lambda workdir, rows: [None] * len(rows))
    hits = find(gallery, [red()], 2)
    best = answers.records(gallery, hits, tmp_path)
    fields = {"label": "mug", "price": 1, "sold": None}
    assert best[0] == {
        "rank": 1, "score": 1.0, "id": "a", "modality": "text", "metadata": fields, "source": "red",
    }  # fmt: skip
    assert answers.document([red()], best) == {
        "queries": [{"name": "red.png", "modality": "image"}],
        "hits": best,
    }
    assert answers.table([red()], best).splitlines() == [
        "hits of image red.png",
        "",
        "rank  score  id  modality  label  file or words",
        "1     1.000  a   text      mug    red",
        "2     0.800  d   text      cup    red and blue",
    ]
    nothing = find(gallery, [red()], 2, where=["label=mug", "price=3"])
    assert answers.table([red()], answers.records(gallery, nothing, tmp_path)) == (
        "image red.png: nothing in the gallery fits"
    )


def test_a_table_without_labels_shows_other_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(answers.sources, "of_rows", lambda workdir, rows: [None] * len(rows))
    index = Index(3)
    index.add([RED, BLUE], modality="image", ids=["a", "b"], metadata={"price": [1, None]})
    best = answers.records(index, find(index, [red("text")], 2), tmp_path)
    assert answers.table([red("text")], best).splitlines()[2:] == [
        "rank  score  id  modality  metadata",
        "1     1.000  a   image     price: 1",
        "2     0.000  b   image",
    ]


def test_a_query_of_which_nothing_is_known_is_not_called_an_opposite():
    with pytest.raises(UsageError, match="nothing is known of what is searched with"):
        queries.mean([np.zeros(3, np.float32)])
