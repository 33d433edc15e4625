"""Rows without a label, from a person's file to the results of a run."""

import csv
import dataclasses
import json

import numpy as np
import paired
import pytest
from absl import logging
from PIL import Image

from jaxcmr.config import method
from jaxcmr.data import introduce, prepare
from jaxcmr.errors import UsageError
from jaxcmr.train.run import train_and_evaluate
from jaxcmr.types import UNKNOWN, Splits
from jaxcmr.workdir import embeddings


@pytest.fixture
def run(real_config, tmp_path, monkeypatch):
    """Trains two epochs on `tmp_path / name`; returns the result and the log."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    logging.set_verbosity(logging.INFO)

    def run(name, **fields):
        config = real_config("rono_custom")
        config.data.path, config.data.image_size = str(tmp_path / name), 8
        config.method = method(fields.pop("method", "rono"))
        config.train.epochs, config.encoders.embedding_size = 2, 8
        config.update_from_flattened_dict(fields)
        outcome = train_and_evaluate(config, tmp_path / "run")
        assert json.loads((tmp_path / "run" / "result.json").read_text()) == json.loads(
            json.dumps(outcome.result)
        )
        return outcome.result, (tmp_path / "run" / "log.txt").read_text()

    return run


def _losses(folder):
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_manifest_with_three_of_ten_labels_empty_trains(run, tmp_path):
    rng = np.random.default_rng(0)
    with open(tmp_path / "items.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label", "split"])
        for k in range(40):
            pixels = rng.integers(0, 100, (8, 8)) + 100 * (k % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{k}.png")
            label = "" if k % 10 < 3 else ("dark", "light")[k % 2]
            text = f"{('old', 'new')[k % 2]} thing {k}"
            writer.writerow([f"{k}.png", text, label, "test" if k >= 30 else "train"])
    result, log = run("items.csv", **{"data.validation": 0.2})
    assert result["sizes"]["train"] + result["sizes"]["validation"] == 30
    without = result["without_label"]
    assert without["train"] + without["validation"] == 9 and without["test"] == 3
    assert result["data"]["without_label"] == 9
    counted = ", ".join(
        f"{without[name]} of {result['sizes'][name]} {introduce.PURPOSES[name]}"
        for name in ("train", "validation", "test")
        if without[name]
    )
    assert f"rows without a label: {counted}" in log
    best = result["scores"]["best"]
    for name in ("image->text", "text->image"):
        assert (best[name]["queries"], best[name]["gallery"]) == (7, 7)
    assert all(np.isfinite(line["loss"]) for line in _losses(tmp_path))
    saved = embeddings.read(tmp_path / "run")["text"]
    assert len(saved) == 40 and (saved.split == "test").sum() == 10
    assert (saved.labels < 0).sum() == 12 and (saved.labels[saved.split == "test"] < 0).sum() == 3


def _arrays(path, labels, **more):
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(len(labels), 6)) for name in ("x", "y")}
    np.savez(path, labels=labels, **rows, **more)


@pytest.mark.slow
def test_arrays_with_minus_one_train_by_posteriors(run, tmp_path):
    labels = np.where(np.arange(60) % 10 < 3, -1, np.arange(60) % 3)
    split = np.where(np.arange(60) < 50, "train", "test")
    _arrays(tmp_path / "own.npz", labels, split=split)
    fields = {"method": "mmcd", "noise.rate": 0.4, "ensemble.members": 2}
    result, log = run("own.npz", **fields, **{"method.warmup_epochs": 1})
    assert result["without_label"]["train"] + result["without_label"]["validation"] == 15
    noise = result["noise"]
    assert (noise["num_rows"], noise["rows_changed"]) == (50, 14)  # of 35 labels
    assert noise["actual_rate"] == 14 / 35
    assert "symmetric noise of rate 0.40 is put in: 14 of 35 labels are changed" in log
    wrong = result["wrong_labels"]
    assert wrong["train"]["wrong"] + wrong["validation"]["wrong"] == 14
    assert wrong["train"]["labels"] + wrong["validation"]["labels"] == 35
    assert all(np.isfinite(line["loss"]) for line in _losses(tmp_path))


def test_without_any_training_label_the_way_out_is_named(run, tmp_path):
    split = np.where(np.arange(40) < 30, "train", "test")
    _arrays(tmp_path / "own.npz", np.where(split == "train", -1, np.arange(40) % 2), split=split)
    with pytest.raises(UsageError, match=r"no training row has a label; .* config\.labels=absent"):
        run("own.npz")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_test_labels_score_a_run_without_any_training_label(run, tmp_path):
    split = np.where(np.arange(40) < 30, "train", "test")
    _arrays(tmp_path / "own.npz", np.where(split == "train", -1, np.arange(40) % 2), split=split)
    result, _ = run("own.npz", method="pairs", labels="absent")
    assert result["scores"]["not_measured"] == {} and result["classes"] == 2


@pytest.mark.slow
def test_without_any_label_at_all_clusters_need_a_number(run, tmp_path):
    split = np.where(np.arange(40) < 30, "train", "test")
    _arrays(tmp_path / "own.npz", np.full(40, np.nan), split=split)
    with pytest.raises(UsageError, match=r"give the number of clusters with config\.classes"):
        run("own.npz", method="matching", labels="absent")
    result, _ = run("own.npz", method="matching", labels="absent", classes=3)
    assert set(result["scores"]["not_measured"].values()) == {"no row has a label"}
    assert result["scores"]["best"]["x->y"]["mAP"] is None


def test_noise_leaves_rows_without_a_label_alone():
    clean = paired.dataset(rows=200, noise=0.0)
    labels = np.where(np.arange(200) % 4 == 3, -1, clean.labels)
    source = dataclasses.replace(clean, labels=labels, true_labels=None)
    config = paired.config()
    config.noise.rate = 0.5
    record, train, validation, rows = prepare.prepare(Splits(source, clean), config)
    assert len(record.rows) == 75 and record.actual_rate == 0.5
    for part, numbers in ((train, rows["train"]), (validation, rows["validation"])):
        none = numbers % 4 == 3
        assert (part.labels[none] == -1).all() and (part.labels[~none] >= 0).all()
        np.testing.assert_array_equal(part.true_labels, np.where(none, UNKNOWN, labels[numbers]))
    counted = introduce.wrong_labels(train)
    assert (
        counted["labels"]
        == (rows["train"] % 4 < 3).sum()
        == len(train) - (introduce.without_label(train))
    )
