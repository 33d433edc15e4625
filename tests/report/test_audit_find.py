"""Wrong labels from Python: of your own predictions, of a run, of data."""

import dataclasses

import numpy as np
import pytest
from label_tables import by_hand, drawn

import jaxcmr
from jaxcmr import config as jaxcmr_config
from jaxcmr import presets
from jaxcmr.beliefs import error_scores, label_errors
from jaxcmr.errors import UsageError
from jaxcmr.report.audit.why import reasons
from jaxcmr.workdir import labels


def test_predictions_of_your_own_are_ranked():
    table = drawn(200)
    found = jaxcmr.rank_label_errors(table.predictions.tolist(), table.given.tolist())
    judged = label_errors.judge(table.predictions, table.given)
    np.testing.assert_allclose(found.probabilities, judged.probabilities, atol=1e-6)
    wrong = table.given != table.true
    assert wrong[found.order[:20]].all()
    assert (found.suggested == table.true).mean() > 0.9
    assert found.ids[:2].tolist() == ["0", "1"] and found.class_names[1] == "1"


def test_they_may_have_names_and_rows_without_a_label():
    p = [[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10
    given = [0] * 9 + [1] + [1] * 9 + [-1]
    names = {"ids": [f"i{row}" for row in range(20)], "class_names": ["a", "b"]}
    found = jaxcmr.rank_label_errors(p, given, **names)
    assert found.order[0] == 9 and found.order[-1] == 19
    columns = found.to_dict()
    assert (columns["id"][9], columns["given"][9], columns["suggested"][9]) == ("i9", "b", "a")
    assert columns["given"][19] == "" and columns["suggested"][19] == "b"
    assert np.isnan(columns["probability_given"][19]) and columns["true"][19] is None
    assert reasons(found)[9] == "the model says a"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([[0.9, 0.2]], [0]), "sums to 1.1"),
        (([[0.9, 0.1]], [2]), "beyond 1"),
        (([[0.9, 0.1]], [0, 1]), "shape"),
        (([0.9, 0.1], [0, 1]), "predictions have shape"),
        (([[0.9, 0.1], [1.0]], [0, 1]), "no numbers"),
        (([["cup", "plate"]], [0]), "no numbers"),
    ],
)
def test_what_is_no_prediction_is_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        jaxcmr.rank_label_errors(*arguments)


def test_names_must_be_as_many_as_there_are_classes_and_rows():
    for names in ({"ids": ["a", "b"]}, {"class_names": ["a"]}):
        with pytest.raises(UsageError, match="give one a class and one a row"):
            jaxcmr.rank_label_errors([[0.9, 0.1]], [0], **names)


def test_the_table_of_a_finished_run_is_read(tmp_path):
    table = drawn(30)
    labels.save(table, tmp_path)
    found = jaxcmr.find_label_errors(str(tmp_path))
    np.testing.assert_array_equal(found.probabilities, table.probabilities)
    for more in ({"workdir": tmp_path}, {"config": object()}):
        with pytest.raises(UsageError, match="leave config and workdir out"):
            jaxcmr.find_label_errors(tmp_path, **more)
    with pytest.raises(UsageError, match="labels are given beside"):
        jaxcmr.find_label_errors(tmp_path, table.given)


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="is not finished"):
        jaxcmr.find_label_errors(tmp_path)


@pytest.mark.parametrize("source", [None, np.ones((4, 3))])
def test_what_is_neither_arrays_by_name_nor_a_path_is_refused(source):
    with pytest.raises(UsageError, match="is no source; give arrays by name"):
        jaxcmr.find_label_errors(source, [0] * 4)


def test_rows_of_a_table_take_their_neighbours_with_them():
    near = np.full((3, 10), -1, np.int32)
    near[0, :2], near[2, 0] = [1, 2], 0
    table = by_hand([0, 1, 2], np.eye(3), neighbors=near, true=np.array([0, 1, -1]))
    found = table.rows(np.array([2, 0]))
    assert found.ids.tolist() == ["row 2", "row 0"] and found.true.tolist() == [-1, 0]
    assert found.neighbors[:, :2].tolist() == [[1, -1], [-1, 0]]
    assert repr(found) == "LabelTable(2 rows, 3 classes, 0 of 2 labels look wrong)"
    assert dataclasses.replace(found, true=None).rows(np.array([1])).true is None


def problem(rows: int, classes: int = 3):
    """Draws two modalities whose classes lie apart, and labels of which a quarter is wrong."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, classes, rows)
    items = 3 * np.eye(classes)[true] + rng.normal(size=(rows, classes)) / 2
    views = {name: np.float32(items @ rng.normal(size=(classes, 8))) for name in ("image", "text")}
    flips = rng.random(rows) < 0.25
    given = np.where(flips, (true + rng.integers(1, classes, rows)) % classes, true)
    return views, np.array(["chair", "sofa", "table"])[given], flips


def small(epochs: int):
    """Returns a config of seconds: cross-entropy with labels hidden in turn from two members."""
    config = presets.own_audit()
    config.method, config.audit.folds = jaxcmr_config.method("ce"), 2
    config.ensemble.members, config.train.epochs = 2, epochs
    config.encoders.embedding_size = 8
    for name in ("image", "text"):
        config.encoders[name] = jaxcmr_config.encoder("fc", hidden=(16,))
    return config


def test_every_row_of_arrays_is_judged_in_their_order(tmp_path):
    views, names, flips = problem(120)
    ids = np.array([f"product {row}" for row in range(120)])
    given = [None, *names[1:].tolist()]
    table = jaxcmr.find_label_errors(
        views | {"ids": ids}, given, config=small(12), workdir=tmp_path
    )
    np.testing.assert_array_equal(table.ids, ids)
    assert table.to_dict()["given"].tolist() == ["", *given[1:]]
    assert table.order[-1] == 0 and reasons(table)[0].startswith("has no label; ")
    assert set(table.split.tolist()) == {"train", "test"} and table.out_of_fold.all()
    assert flips[table.order[:10]].mean() > 0.8
    saved = labels.read(tmp_path)
    for row in range(0, 120, 17):
        at = np.flatnonzero(saved.ids == ids[row])[0]
        np.testing.assert_array_equal(saved.probabilities[at], table.probabilities[row])
        near = [saved.ids[place] for place in saved.neighbors[at]]
        assert near == [table.ids[place] for place in table.neighbors[row]]


def test_arrays_that_cannot_be_used_are_refused():
    views, names, _ = problem(20)
    for arrays, given, words in (
        (views, None, "has no array 'labels'"),
        (views | {"labels": names}, names, "given twice"),
        (views | {"ids": ["same"] * 20}, names, "two rows have the same id"),
        ({"image": [[1.0], [1.0, 2.0]]}, ["a", "b"], "different shapes"),
        ({"image": views["image"]}, names, "needs two"),
    ):
        with pytest.raises(UsageError, match=words):
            jaxcmr.find_label_errors(arrays, given)


@pytest.mark.slow
def test_the_default_config_finds_wrong_labels_of_a_manifest(tmp_path):
    views, names, flips = problem(300)
    np.savez(tmp_path / "items.npz", labels=names, **views)
    table = jaxcmr.find_label_errors(tmp_path / "items.npz")
    assert len(table) == 300 and table.out_of_fold.all()
    rows = np.array([int(name) for name in table.ids])
    assert error_scores.roc_auc(1 - table.probability_given, flips[rows]) > 0.95
