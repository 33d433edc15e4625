"""The diagnosis of found labels, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxcmr.beliefs import diagnosis
from jaxcmr.types import UNKNOWN, Dataset


def _dataset(truth, known: bool = True, present=None) -> Dataset:
    """Rows without content, labelled rightly."""
    truth = np.asarray(truth, np.int32)
    inputs = {name: np.zeros((len(truth), 1), np.float32) for name in ("image", "text")}
    ids = np.array([f"row{i}" for i in range(len(truth))])
    return Dataset(inputs, truth, truth if known else None, ids, ("a", "b"), {}, present or {})


def _found(classes) -> SimpleNamespace:
    """Beliefs that hold classes alone."""
    return SimpleNamespace(classes=classes)


def _average(value) -> SimpleNamespace:
    """A memory with these averages."""
    return SimpleNamespace(value=np.array(value))


def _with(beliefs: SimpleNamespace, **fields) -> SimpleNamespace:
    return SimpleNamespace(**vars(beliefs) | fields)


def test_diagnosis_by_hand():
    truth = _dataset([0, 0, 1, 1])
    classes = np.array([[[1, 1, 0, 0], [1, 1, 0, 1]]])
    found = diagnosis.pseudo_labels(_found(classes), truth, 2)
    assert found["accuracy"] == 1.0 and found["NMI"] == pytest.approx(1.0)
    assert found["agreement"] == 0.75 and found["warning"].startswith("cluster 0 holds 50%")
    collapsed = diagnosis.pseudo_labels(_found(np.zeros((1, 2, 4), int)), truth, 3)
    assert "2 of 3 clusters are empty" in collapsed["warning"]
    assert diagnosis.pseudo_labels(_found(np.full((1, 2, 4), -1)), truth, 2) == {}


def test_diagnosis_without_the_truth_says_what_it_can():
    unknown = _dataset([0, 0, 1, 1], known=False)
    found = diagnosis.pseudo_labels(_found(np.array([[[1, 1, 0, 0]] * 2])), unknown, 2)
    assert "accuracy" not in found and found["agreement"] == 1.0


def test_predictions_of_missing_items_do_not_count():
    missing = {"text": np.array([True, True, False, False])}
    truth = _dataset([0, 0, 1, 1], present=missing)
    classes = np.array([[[0, 0, 1, 1], [0, 1, 0, 0]]])  # texts of rows 2 and 3: of nothing
    found = diagnosis.pseudo_labels(_found(classes), truth, 2)
    assert found["agreement"] == 1 / 2 and found["accuracy"] == 1.0
    empty = _dataset([0, 0, 1, 1], present={"text": np.zeros(4, bool)})
    assert "agreement" not in diagnosis.pseudo_labels(_found(classes), empty, 2)


def test_a_likelihood_is_that_of_members_that_counted_any_row():
    assert diagnosis._likelihood(np.array([[-4.0, -2.0], [0, 0]]), np.array([4.0, 0])) == {
        "likelihood": -0.5
    }
    assert diagnosis._likelihood(np.zeros((1, 2)), np.zeros(1)) == {}


def test_a_share_of_nothing_is_no_number():
    train = _dataset([0, 1]).with_labels(np.array([1, 0]))  # no clean label, and none is taken
    found = diagnosis._kept(np.array([[-1, -1]]), np.array([[0.5, 0.5]]), train)
    assert not {"precision", "recall", "clarified accuracy"} & set(found)
    assert found["accepted"] == found["clarified"] == 0.0


def test_believed_labels_by_hand():
    train = _dataset([0, 0, 1, 1]).with_labels(np.array([0, 1, 1, 0]))
    beliefs = SimpleNamespace(
        labels=np.array([[0, 0, -1, 0]]),
        classes=np.zeros((1, 2, 4), int),
        thresholds=_average([[0.5, 0.7]]),
        ballots=_average([[1.0, 0.0, 0.95, 0.35]]),
    )
    found = diagnosis.believed_labels(beliefs, train)
    assert found["accepted"] == 0.5 and found["clarified"] == 0.25
    assert found["precision"] == 0.5 and found["recall"] == 0.5
    assert found["clarified accuracy"] == 1.0 and found["threshold"] == pytest.approx(0.6)
    assert found["votes clean"] == [0.0] * 9 + [1.0]  # rows 0 and 2
    assert found["votes wrong"] == [0.5, 0, 0, 0.5, 0, 0, 0, 0, 0, 0]  # rows 1 and 3


def test_posterior_labels_by_hand():
    train = _dataset([0, 1, 0]).with_labels(np.array([0, 1, 1]))
    beliefs = SimpleNamespace(
        labels=np.array([[0, 0, 0]]),
        self_confidence=np.array([[0.5, 0.25, 0.75]]),
        classes=np.array([[[0, 1, 1], [0, 1, 0]]]),
        likelihoods=np.array([[-4.0, -2.0]]),
        counted=np.array([4.0]),
    )
    found = diagnosis.posterior_labels(beliefs, train)
    assert found.pop("votes clean") == [0, 0, 0.5, 0, 0, 0.5, 0, 0, 0, 0]  # rows 1 and 0
    assert found.pop("votes wrong") == [0, 0, 0, 0, 0, 0, 0, 1.0, 0, 0]  # row 2
    expected = {"right": 0.5, "likelihood": -0.5, "agreement": 1.0, "accuracy": 2 / 3}
    expected |= {"accepted": 1 / 3, "clarified": 2 / 3}
    expected |= {"precision": 1.0, "recall": 0.5, "clarified accuracy": 0.5}
    assert found == pytest.approx(expected)
    nothing = _with(beliefs, labels=np.full((1, 3), -1))
    assert diagnosis.posterior_labels(nothing, train) == {}


def test_rows_without_a_label_do_not_count_and_an_item_of_no_class_is_never_right():
    """Row 3 has no label, row 4 is of none of the classes: its label is wrong; row 5 is unknown."""
    train = _dataset([0, 1, 0, 1, -1, UNKNOWN]).with_labels(np.array([0, 1, 1, -1, 1, 0]))
    beliefs = SimpleNamespace(
        labels=np.array([[0, 0, 0, 1, 0, 0]]),
        self_confidence=np.array([[0.5, 0.25, 0.75, 0.0, 0.5, 1.0]]),
        classes=np.zeros((1, 2, 6), int),
        likelihoods=np.array([[-4.0, -2.0]]),
        counted=np.array([4.0]),
        thresholds=_average([[0.5, 0.5]]),
        ballots=_average([[0.5, 0.25, 0.75, 0.0, 0.5, 1.0]]),
    )
    found = diagnosis.posterior_labels(beliefs, train)
    assert found["right"] == 3 / 5 and found["accuracy"] == 2 / 4  # rows 0 and 2 of 0, 1, 2, 4
    assert (found["accepted"], found["clarified"]) == (2 / 5, 3 / 5)
    assert (found["precision"], found["recall"]) == (1.0, 1 / 2)
    assert found["clarified accuracy"] == 1 / 3
    assert found["votes wrong"] == [0, 0, 0, 0, 0, 0.5, 0, 0.5, 0, 0]  # rows 4 and 2
    believed = diagnosis.believed_labels(beliefs, train)
    assert {name: believed[name] for name in believed if name in found} == {
        name: found[name] for name in found if name in believed
    }


def test_found_classes_are_compared_on_the_rows_of_a_class():
    classes = np.array([[[1, 1, 0, 0, 1]] * 2])
    found = diagnosis.pseudo_labels(_found(classes), _dataset([0, 0, 1, 1, -1]), 2)
    assert found["accuracy"] == 1.0 and found["ARI"] == 1.0
    assert "accuracy" not in diagnosis.pseudo_labels(_found(classes), _dataset([-1] * 5), 2)


def test_the_share_below_the_clip_is_that_of_the_labels():
    train = _dataset([0, 0, 1, 1]).with_labels(np.array([0, -1, 1, -1]))
    notes = _with(_found(np.zeros((1, 2, 4), int)), below_clip=np.array([[[1, 0, 0, 0]] * 2], bool))
    assert diagnosis.pseudo_labels(notes, train, 2)["below clip"] == 1 / 2


def test_reports_of_two_members_are_means_over_both():
    """Member 0 takes rows 0 and 1 as given; member 1 row 0, and replaces 1 rightly, 2 wrongly."""
    train = _dataset([0, 0, 1, 1]).with_labels(np.array([0, 1, 1, 0]))
    beliefs = SimpleNamespace(
        labels=np.array([[0, 1, -1, -1], [0, 0, 0, -1]]),
        classes=np.array([[[0, 0, 1, 1], [0, 1, 1, 1]], [[0, 1, 1, 1], [0, 1, 1, 0]]]),
        thresholds=_average([[0.5, 0.7], [0.1, 0.3]]),
        ballots=_average([[1.0, 0.5, 0.2, 0.2], [1.0, 0.0, 0.2, 0.2]]),
    )
    found = diagnosis.believed_labels(beliefs, train)
    assert found.pop("votes clean") == [0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0.5]  # rows 0 and 2, twice
    assert found.pop("votes wrong") == [0.25, 0, 0.5, 0, 0, 0.25, 0, 0, 0, 0]  # rows 1 and 3
    expected = {"accepted": 3 / 8, "clarified": 2 / 8, "precision": 2 / 3, "recall": 2 / 4}
    expected |= {"clarified accuracy": 1 / 2, "threshold": 0.4, "agreement": 6 / 8}
    assert found == pytest.approx(expected)


def test_of_accepted_labels_only_what_needs_no_truth_is_said_without_it():
    """And nothing before labels are chosen."""
    unknown = _dataset([0, 1], known=False)
    beliefs = SimpleNamespace(
        labels=np.array([[0, 0]]),
        classes=np.zeros((1, 2, 2), int),
        thresholds=_average([[0.5, 0.5]]),
        ballots=_average([[1.0, 1.0]]),
    )
    found = diagnosis.believed_labels(beliefs, unknown)
    assert found == {"threshold": 0.5, "agreement": 1.0, "accepted": 0.5, "clarified": 0.5}
    assert diagnosis.believed_labels(_with(beliefs, labels=np.full((1, 2), -1)), unknown) == {}
