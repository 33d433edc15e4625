"""What a run reports of its labels: no more than is known."""

import dataclasses

import numpy as np
import paired
import pytest
from absl import logging

from jaxcmr.data import introduce, prepare
from jaxcmr.train import evaluate
from jaxcmr.types import Splits


def _logged(caplog, *, name="own", rate=0.0, truth=True, test_truth=True, labels="given", epochs=2):
    """Returns what a run says, and what it records, of 40 rows of which 10 are wrong as given."""
    source, test = paired.dataset(rows=40), paired.dataset(rows=8)
    source = source if truth else dataclasses.replace(source, true_labels=None)
    test = test if test_truth else dataclasses.replace(test, true_labels=None)
    config = paired.config()
    config.data.name, config.noise.rate, config.labels = name, rate, labels
    config.train.epochs, config.train.batch_size = epochs, 4
    record, train, validation, _ = prepare.prepare(Splits(source, test), config)
    known = introduce.what_is_known(config, record, source, train, validation, test)
    logging.set_verbosity(logging.INFO)
    caplog.clear()
    with caplog.at_level("INFO", logger="absl"):
        introduce.introduce(config, train, validation, test, record, known, {})
    return [entry.getMessage() for entry in caplog.records], known


def test_own_labels_are_not_called_right(caplog):
    logged, known = _logged(caplog, truth=False, test_truth=False)
    assert "labels as given" in logged
    assert "test scores are by the given test labels, which may be wrong" in logged
    assert not any("0 of" in line or "noise" in line for line in logged)
    assert known["wrong_labels"] == dict.fromkeys(("truth", "train", "validation", "test"))
    assert known["scored_by"] == "given labels"


def test_few_steps_on_own_data_are_said_with_the_epochs_that_are_enough(caplog):
    few = "27 steps in all are few; with config.train.epochs=23 there are 207"
    assert few in _logged(caplog, epochs=3)[0]  # 36 rows in batches of 4: 9 steps an epoch
    for enough in ({"epochs": 23}, {"epochs": 3, "name": "mnist3d"}):
        assert not any("are few" in line for line in _logged(caplog, **enough)[0])


def test_a_column_of_true_labels_is_counted_against_in_every_set(caplog):
    logged, known = _logged(caplog)
    wrong = known["wrong_labels"]
    assert wrong["truth"] == "true labels"
    assert wrong["train"]["wrong"] + wrong["validation"]["wrong"] == 10  # a quarter of 40
    assert wrong["train"]["labels"] + wrong["validation"]["labels"] == 40
    assert wrong["test"] == {"labels": 8, "wrong": 2, "rate": 0.25}
    (line,) = [line for line in logged if line.startswith("given labels that differ")]
    train, validation = wrong["train"], wrong["validation"]
    assert f"{train['wrong']} of 36 to train on, {validation['wrong']} of 4 to valid" in line
    assert line.endswith("2 of 8 to test")
    assert "test scores are by the true labels" in logged


def test_noise_that_is_put_in_is_distinguished_from_that_of_the_given_labels(caplog):
    logged, known = _logged(caplog, rate=0.5)
    assert "symmetric noise of rate 0.50 is put in: 20 of 40 labels are changed" in logged
    assert "labels as given" not in logged
    advice = "to train on your labels as they are, set config.noise.rate to 0"
    assert advice in logged and advice not in _logged(caplog, name="mnist3d", rate=0.5)[0]
    both = known["wrong_labels"]["train"]["wrong"] + known["wrong_labels"]["validation"]["wrong"]
    assert 10 <= both <= 30 and both != 20  # by the truth, not by the labels before the noise
    before = _logged(caplog, rate=0.5, truth=False)[1]["wrong_labels"]
    assert before["truth"] == "labels before the noise"
    assert before["train"]["wrong"] + before["validation"]["wrong"] == 20


def test_a_known_data_set_says_its_noise_alone(caplog):
    logged, known = _logged(caplog, name="mnist3d", rate=0.5, test_truth=False)
    assert not any("scores are by" in line or "differ" in line for line in logged)
    assert known["scored_by"] == "labels of the data set"


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_without_labels_nothing_is_said_of_wrong_ones(caplog, rate):
    logged, known = _logged(caplog, rate=rate, labels="absent")
    assert "no label is used in training" in logged
    assert known["wrong_labels"]["train"] is None
    compared = "found classes are compared with the given labels, which may be wrong"
    assert compared not in logged
    assert compared in _logged(caplog, rate=rate, truth=False, labels="absent")[0]


def test_labels_of_each_modality_are_counted_each():
    both = np.array([[0, 0], [1, 2], [2, 3], [3, 3]], np.int32)
    counted = introduce.wrong_labels(paired.dataset(rows=4).with_labels(both))  # truth: 0 1 2 3
    assert counted == {"labels": 8, "wrong": 2, "rate": 0.25}


def test_labels_of_a_file_are_named_as_such(tmp_path, caplog):
    source, config = paired.dataset(rows=40), paired.config()
    np.save(tmp_path / "noisy.npy", source.labels)
    source = dataclasses.replace(source, labels=source.true_labels, true_labels=None)
    config.data.name, config.noise.kind = "own", "file"
    config.noise.file = str(tmp_path / "noisy.npy")
    record, train, validation, _ = prepare.prepare(Splits(source, source), config)
    known = introduce.what_is_known(config, record, source, train, validation, source)
    with caplog.at_level("INFO", logger="absl"):
        missing = evaluate.levels(config, source)["not_measured"]
        introduce.introduce(config, train, validation, source, record, known, missing)
    assert f"labels of {config.noise.file}: 10 of 40 labels are changed" in caplog.text
    assert "config.noise.rate" not in caplog.text
