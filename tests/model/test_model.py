"""A model embeds and classifies items of one modality, in batches of any size."""

import hashlib
import json
from collections import deque
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from untrained import CLASSES, RECIPES, SIZE, model, photos

from jaxcmr.errors import UsageError
from jaxcmr.model.loading import _fingerprint, _members, _warn_of_changes
from jaxcmr.model.model import BUCKETS


@pytest.fixture(scope="module")
def two():
    return model(members=2)


def of_member(two, number, modality, rows):
    """What the method itself computes of rows, one member and all modalities at once."""
    zeros = {name: np.zeros((len(rows), *r.shape), r.dtype) for name, r in RECIPES.items()}
    variables = jax.tree.map(lambda leaf: leaf[number], two._variables)
    apply, numbers = two._apply.args[0].apply, two._apply.args[1]
    outputs, _ = apply(variables, zeros | {modality: rows}, numbers, key=None, train=False)
    place = sorted(RECIPES).index(modality)
    return np.asarray(outputs.embeddings[place]), np.asarray(outputs.logits[place])


def test_members_lie_side_by_side_so_that_a_product_is_the_mean_of_their_cosines(two):
    found = two.embed(image=photos(5))
    assert repr(two) == "<model of image, text in nowhere: members 2, size 8>"
    assert found.shape == (5, two.size) == (5, 2 * SIZE) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    each = [of_member(two, member, "image", np.stack(photos(5)))[0] for member in range(2)]
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in each]
    np.testing.assert_allclose(found @ found.T, sum(u @ u.T for u in units) / 2, atol=1e-5)


def test_classes_are_the_mean_of_the_members_probabilities(two):
    found = two.classify(text=["red cup", "blue lamp lamp"])
    rows = RECIPES["text"].tfidf.rows(["red cup", "blue lamp lamp"])
    each = [jax.nn.softmax(of_member(two, member, "text", rows)[1]) for member in range(2)]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)
    assert found.shape == (2, len(CLASSES)) and two.class_names == CLASSES


@pytest.mark.parametrize("count", [1, 3, 17, BUCKETS[-1] + 5])
def test_an_items_embedding_does_not_depend_on_its_batch(two, count):
    rows = np.stack(photos(count))
    found = two.embed_rows("image", rows)
    alone = two.embed_rows("image", rows[-1:])
    np.testing.assert_allclose(found[-1:], alone, atol=1e-6)
    assert len(found) == count


def test_a_text_without_a_known_word_is_similar_to_nothing(two, caplog):
    found = two.embed(text=["red", "zebra", ""])
    assert found[0].any() and not found[1:].any()


def test_of_a_text_without_a_known_word_all_classes_are_equally_likely(two):
    found = two.classify(text=["red", "zebra"])
    assert np.ptp(found[0]) > 1e-4
    np.testing.assert_allclose(found[1], 1 / len(CLASSES), rtol=1e-6)


def test_classes_of_a_run_without_labels_are_clusters():
    clusters = model(members=1, labels="absent", classes=5)
    assert clusters.class_names == tuple(f"cluster {k}" for k in range(1, 6))
    np.testing.assert_allclose(clusters.classify(text=["zebra"]), np.full((1, 5), 0.2), rtol=1e-6)
    assert not model(members=1, name="pairs", labels="absent").class_names


def test_a_method_in_an_own_file_counts_by_its_content(two, tmp_path, caplog):
    def fingerprint(name, content):
        (tmp_path / name).write_text(content)
        config = ConfigDict(two.config.to_dict())
        config.method.name = str(tmp_path / name)
        return _fingerprint(config, two.preparation, {})

    trained = fingerprint("a.py", "METHOD = 1")
    record = {"classes": "", "sets": {}, "split": {}}
    record["files"] = {"method.name": hashlib.sha256(b"METHOD = 1").hexdigest()}
    (tmp_path / "trained_on.json").write_text(json.dumps(record))
    _warn_of_changes(str(tmp_path / "a.py"), tmp_path)
    assert not caplog.records
    assert fingerprint("moved.py", "METHOD = 1") == trained != fingerprint("a.py", "METHOD = 2")
    _warn_of_changes(str(tmp_path / "a.py"), tmp_path)
    assert "has changed since it trained the run" in caplog.text


def test_items_come_in_any_collection_that_has_an_order(two):
    found = two.embed(image=photos(5))
    for items in (deque(photos(5)), dict(enumerate(photos(5))).values(), np.stack(photos(5))):
        assert np.array_equal(two.embed(image=items), found)


def test_embeddings_have_32_bits_where_a_program_computes_with_64(two):
    wanted = two.embed(text=["red cup"]), two.classify(text=["red cup"])
    with jax.enable_x64(True):
        found = two.embed(text=["red cup"]), two.classify(text=["red cup"])
    assert [rows.dtype for rows in found] == [np.float32, np.float32]
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=1e-6), found, wanted
    )


def test_embeddings_that_are_not_finite_are_refused(two):
    rows = RECIPES["text"].tfidf.rows(["red", "lamp", "cup"])
    rows[1] = np.nan
    with pytest.raises(UsageError, match=r"of 1 of 3 items of 'text' are not finite .*: 1\)"):
        two.embed_rows("text", rows)


def test_a_tower_is_pure_and_takes_any_batch(two):
    function, variables = two.tower("text")
    rows = RECIPES["text"].tfidf.rows(["red chair", "lamp"])
    embeddings, probabilities = jax.jit(function)(variables, rows)
    np.testing.assert_allclose(embeddings, two.embed(text=["red chair", "lamp"]), atol=1e-6)
    np.testing.assert_allclose(probabilities, two.classify(text=["red chair", "lamp"]), atol=1e-6)


def test_a_method_without_classes_embeds_and_refuses_to_classify():
    pairs = model(members=1, name="pairs")
    assert pairs.embed(text=["red"]).shape == (1, SIZE)
    with pytest.raises(UsageError, match=r"'pairs' .* has no classes"):
        pairs.classify(text=["red"])


def test_items_become_an_index_in_which_other_modalities_search(two):
    texts = ["red cup", "blue lamp", "chair"]
    index = two.index(texts, "text", ids=["a", "b", "c"], metadata={"price": [1, 2, None]})
    hits = index.search(two.embed(image=photos(2)), k=3)
    scores = two.embed(image=photos(2)) @ two.embed(text=texts).T
    np.testing.assert_allclose(hits.scores, -np.sort(-scores), atol=1e-6)
    assert [[texts["abc".index(one)] for one in ids] for ids in hits.ids] == [
        [texts[place] for place in row] for row in np.argsort(-scores)
    ]
    assert index.fingerprint == two.fingerprint and index.source(1) == "blue lamp"


def test_the_sources_of_an_index_are_whole_paths_and_the_words_of_texts(two, tmp_path, monkeypatch):
    np.save(tmp_path / "one.npy", photos(1)[0])
    (tmp_path / "one.txt").write_text("red cup")
    monkeypatch.chdir(tmp_path)
    index = two.index(["one.npy", Path("one.npy"), photos(1)[0]], "image")
    whole = str(tmp_path / "one.npy")
    assert [index.source(row) for row in range(3)] == [whole, whole, None]
    index = two.index(["one.txt", Path("one.txt")], "text")  # words, though they look like a path
    assert [index.source(row) for row in range(2)] == ["one.txt", "red cup"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.embed(self=["a"]), "no modality 'self', only image, text"),
        (lambda m: m.embed(text={"red", "cup"}), "text is one set; give a list"),
        (lambda m: m.embed(text={"red": 1}), "text is one dict; give a list"),
        (lambda m: m.embed(image=np.array(3)), "image is one ndarray; give a list"),
        (lambda m: _members(np.array([True]), "0", m.workdir), "member is '0': give a whole"),
        (lambda m: _members(np.array([True]), 0.5, m.workdir), "member is 0.5: give a whole"),
        (lambda m: m.embed(), "items of 0 modalities are given"),
        (lambda m: m.embed(image=[], text=[]), "items of 2 modalities are given"),
        (lambda m: m.embed(sound=["a"]), "no modality 'sound', only image, text"),
        (lambda m: m.embed(text="red cup"), "text is one str; give a list"),
        (lambda m: m.embed(image=["nowhere.png"]), "there is no file"),
        (lambda m: m.embed(text=[]), "is empty; give at least one"),
        (lambda m: m.embed(image=[np.zeros((4, 4))]), r"\[4, 4\]"),
    ],
)
def test_mistakes_are_one_sentence(two, call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call(two)
