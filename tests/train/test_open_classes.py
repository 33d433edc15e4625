"""Open-set noise in a run: classes that are taken out of every set, and what is said of them."""

import dataclasses

import numpy as np
import paired
import pytest
from absl import logging

from jaxcmr.data import introduce, open_classes, prepare
from jaxcmr.errors import UsageError
from jaxcmr.noise import NoiseRecord
from jaxcmr.train.run import train_and_evaluate
from jaxcmr.types import Splits


def _config(**fields):
    config = paired.config()
    config.noise.kind, config.noise.rate = "open_set", 0.5
    config.noise.update(fields)
    return config


def _splits(truth=False, **more):
    train, test = paired.dataset(rows=200, noise=0.0), paired.dataset(rows=40, seed=2, noise=0.0)
    if not truth:
        train, test = (dataclasses.replace(part, true_labels=None) for part in (train, test))
    return Splits(train, test, **more)


def _prepared(splits, config):
    splits, drawn = open_classes.take_out(splits, config.noise)
    return splits, *prepare.prepare(splits, config, drawn)


@pytest.mark.parametrize("truth", [False, True])
def test_a_class_leaves_every_set_but_for_the_rows_that_keep_a_label_of_others(truth):
    given = _splits(truth)
    splits, record, train, validation, rows = _prepared(given, _config())
    note = splits.train.provenance["open_set"]
    (name,) = note["classes"]
    assert splits.train.class_names == tuple(n for n in "abcd" if n != name)
    assert (note["kept"], note["left"]) == (25, 25) and len(splits.train) == 175
    assert splits.test.provenance["open_set"] == {"classes": [name], "kept": 0, "left": 10}
    assert len(splits.test) == 30 and splits.test.class_names == splits.train.class_names
    names = lambda part, labels: np.array([*part.class_names, None], object)[labels]
    before = dict(zip(given.train.ids, names(given.train, given.train.labels)))
    for part, numbers in ((train, rows["train"]), (validation, rows["validation"])):
        np.testing.assert_array_equal(part.ids, splits.train.ids[numbers])
        np.testing.assert_array_equal(part.labels, record.labels[numbers])
        assert part.labels.min() >= 0
        was = np.array([before[row] for row in part.ids], object)
        np.testing.assert_array_equal(part.true_labels == -1, was == name)
        own = part.true_labels >= 0
        np.testing.assert_array_equal(names(part, part.labels)[own], was[own])
    counted = introduce.wrong_labels(train), introduce.wrong_labels(validation)
    assert sum(each["wrong"] for each in counted) == 25
    np.testing.assert_array_equal(
        names(splits.test, splits.test.labels),
        [n for n in names(given.test, given.test.labels) if n != name],
    )
    if truth:
        np.testing.assert_array_equal(splits.test.true_labels, splits.test.labels)


def test_a_validation_set_of_the_source_has_no_such_rows():
    official = dataclasses.replace(paired.dataset(rows=60, seed=5, noise=0.0), true_labels=None)
    _, _, train, validation, _ = _prepared(_splits(validation=official), _config())
    assert len(train) == 175 and len(validation) == 45
    assert (train.true_labels == -1).sum() == 25 and validation.true_labels is None
    assert validation.class_names == train.class_names


def test_without_labels_the_truth_of_such_rows_is_none_of_the_classes():
    config = _config()
    config.labels = "absent"
    _, _, train, validation, _ = _prepared(_splits(), config)
    assert validation is None and (train.labels == -1).all()
    assert (train.true_labels == -1).sum() == 25 and (train.true_labels >= 0).sum() == 150


def test_another_kind_changes_nothing():
    splits = _splits()
    assert open_classes.take_out(splits, _config(kind="symmetric").noise) == (splits, None)


def test_rows_of_a_true_label_that_is_taken_out_are_of_none_of_the_classes():
    """Row 0 is given another class than its own, which leaves: it was open-set noise before."""
    splits = _splits(truth=True)
    taken = open_classes.take_out(splits, _config().noise)[0].train.provenance["open_set"]
    k = "abcd".index(taken["classes"][0])
    labels, test_labels = splits.train.labels.copy(), splits.test.labels.copy()
    first = np.flatnonzero(splits.train.true_labels == k)[0]
    labels[first] = test_labels[:] = (k + 1) % 4
    splits = Splits(splits.train.with_labels(labels), splits.test.with_labels(test_labels))
    found, *_ = open_classes.take_out(splits, _config().noise)
    (row,) = np.flatnonzero(found.train.ids == splits.train.ids[first])
    assert found.train.labels[row] >= 0 and found.train.true_labels[row] == -1
    assert len(found.test) == 30 and (found.test.true_labels >= 0).all()


def test_a_test_set_of_the_open_class_alone_is_refused():
    splits = _splits()
    (name,) = open_classes.take_out(splits, _config().noise)[0].test.provenance["open_set"][
        "classes"
    ]
    rows = np.flatnonzero(splits.test.labels == "abcd".index(name))
    with pytest.raises(
        UsageError, match=f"all 10 rows of the test set are of the .* \\('{name}'\\)"
    ):
        open_classes.take_out(Splits(splits.train, splits.test.rows(rows)), _config().noise)
    with pytest.raises(UsageError, match="of 4 classes 3 would be taken out"):
        open_classes.take_out(splits, _config(open_classes=3).noise)


@pytest.mark.slow
def test_a_run_trains_on_what_is_left_and_records_it(tmp_path, real_config):
    rng = np.random.default_rng(0)
    labels, split = np.arange(80) % 4, np.where(np.arange(80) < 60, "train", "test")
    items = {"x": rng.normal(size=(80, 6)), "y": rng.normal(size=(80, 5))}
    np.savez(tmp_path / "own.npz", labels=labels, split=split, **items)
    logging.set_verbosity(logging.INFO)
    config = real_config("rono_custom")
    config.data.path, config.train.epochs = str(tmp_path / "own.npz"), 1
    config.encoders.embedding_size, config.train.batch_size = 8, 16
    config.noise.update({"kind": "open_set", "rate": 0.4, "open_classes": 2})
    for _ in range(2):  # the second time it finds the run as it was
        outcome = train_and_evaluate(config, tmp_path / "run")
    result = outcome.result
    assert result["sizes"]["train"] + result["sizes"]["validation"] == 30 + 12
    assert result["sizes"]["test"] == len(outcome.test) == 10 and result["classes"] == 2
    assert result["data"]["open_set"]["kept"] == 12 and result["data"]["open_set"]["left"] == 18
    assert result["noise"]["kind"] == "open_set" and result["noise"]["rate"] == 0.4
    assert result["noise"]["actual_rate"] == pytest.approx(12 / 42)
    wrong = result["wrong_labels"]
    assert wrong["train"]["wrong"] + wrong["validation"]["wrong"] == 12
    assert wrong["truth"] == "labels before the noise"
    record = NoiseRecord.load(tmp_path / "run" / "noise.npz")
    assert (record.true_labels == -1).sum() == 12 and record.num_classes == 2
    text = (tmp_path / "run" / "log.txt").read_text()
    taken = ", ".join(repr(name) for name in result["data"]["open_set"]["classes"])
    assert "open_set noise of rate 0.40 is put in: 12 of 42 labels are changed" in text
    assert f"takes out {taken}: of 30 training rows 12 stay" in text
    assert "config.noise.rate to 0" not in text
    assert (outcome.labels.true == -1).sum() == 12
    assert outcome.labels.to_dict()["true"].tolist().count("(none of these)") == 12
