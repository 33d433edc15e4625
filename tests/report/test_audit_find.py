"""Wrong labels from Python: of your own predictions, of a run, of data."""

import dataclasses

import numpy as np
import pytest
from label_tables import by_hand, drawn

import jaxcmr
from jaxcmr.beliefs import label_errors
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
        (([[0.9, 0.2]], [0]), "no distributions"),
        (([[0.9, 0.1]], [2]), "beyond 1"),
        (([[0.9, 0.1]], [0, 1]), "shape"),
        (([0.9, 0.1], [0, 1]), "predictions have shape"),
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


def test_rows_of_a_table_take_their_neighbours_with_them():
    near = np.full((3, 10), -1, np.int32)
    near[0, :2], near[2, 0] = [1, 2], 0
    table = by_hand([0, 1, 2], np.eye(3), neighbors=near, true=np.array([0, 1, -1]))
    found = table.rows(np.array([2, 0]))
    assert found.ids.tolist() == ["row 2", "row 0"] and found.true.tolist() == [-1, 0]
    assert found.neighbors[:, :2].tolist() == [[1, -1], [-1, 0]]
    assert repr(found) == "LabelTable(2 rows, 3 classes, 0 of 2 labels look wrong)"
    assert dataclasses.replace(found, true=None).rows(np.array([1])).true is None
