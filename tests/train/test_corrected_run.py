"""Train, correct labels, train again: what the second run is made of and what it says of itself."""

import json

import numpy as np
import pytest
from absl import logging

from jaxcmr.data import cache
from jaxcmr.errors import UsageError
from jaxcmr.noise import NoiseRecord
from jaxcmr.train.run import train_and_evaluate

pytestmark = pytest.mark.slow
NAMES = ("=lamp", "chair")


@pytest.fixture(scope="module")
def run(tmp_path_factory, real_config):
    """Starts a run of an epoch on 24 rows, of which the last four are the test set."""
    folder = tmp_path_factory.mktemp("corrected")
    rng = np.random.default_rng(0)
    arrays = {"image": rng.normal(size=(24, 6)), "text": rng.normal(size=(24, 5))}
    arrays["label"] = np.array(NAMES)[np.arange(24) % 2]
    arrays["split"] = np.array(["train"] * 20 + ["test"] * 4)
    np.savez(folder / "own.npz", **arrays)

    def run(name, corrections="", **fields):
        config = real_config("rono_custom")
        config.data.path, config.data.corrections = str(folder / "own.npz"), str(corrections)
        config.train.epochs, config.method.warmup_epochs = 1, 1
        config.noise.rate, config.encoders.embedding_size = 0.2, 8
        config.update_from_flattened_dict(fields)
        return train_and_evaluate(config, str(folder / name))

    logging.set_verbosity(logging.INFO)
    run.folder = folder
    return run


def test_a_run_with_corrections_keeps_noise_and_split_and_says_what_was_corrected(run):
    run("first")
    noise = NoiseRecord.load(run.folder / "first" / "noise.npz")
    split = np.load(run.folder / "first" / "split.npz")
    # All wrong labels put right, in a spreadsheet that took the zeros from the ids.
    answers = {int(row): NAMES[noise.true_labels[row]] for row in noise.rows}
    right = [row for row in split["train"] if row not in answers]
    kept = NAMES[right[1] % 2]
    answers |= {int(right[0]): "drop", int(right[1]): kept, 22: "chair", 23: ""}
    path = run.folder / "corrections.csv"
    lines = [f"{row};{answer}" for row, answer in answers.items()]
    path.write_text("id;label\n" + "\n".join(lines) + "\n", encoding="utf-16")

    second = run.folder / "second"
    outcome = run("second", path)
    assert outcome.test.labels.tolist() == [0, 1, 1, 1]
    found = json.loads((second / "result.json").read_text())
    digest = cache.sha256(path)
    assert found["data"]["corrections"] == {
        "files": {str(path): digest},
        "relabelled": 5, "confirmed": 1, "dropped": 1, "unanswered": 1,
    }  # fmt: skip
    assert found["sizes"] == {"train": 17, "validation": 2, "test": 4}
    assert found["noise"]["rows_changed"] == 4 and found["wrong_labels"]["train"]["wrong"] == 0
    assert found["wrong_labels"]["validation"]["wrong"] == 0
    assert found["trained_on"]["files"] == {"data.corrections": digest}
    again = np.load(second / "split.npz")
    assert set(split["train"]) - set(again["train"]) == {right[0]}
    np.testing.assert_array_equal(again["validation"], split["validation"])
    assert (second / "noise.npz").read_bytes() == (run.folder / "first/noise.npz").read_bytes()
    line = "5 labels are corrected, 1 confirmed, 1 rows dropped, 1 without an answer"
    assert line in (second / "log.txt").read_text()

    moved = path.rename(run.folder / "moved.csv")
    run("second", moved)  # the same content elsewhere: the finished run
    moved.write_text(moved.read_text(encoding="utf-16").replace("drop", ""))
    before = (second / "result.json").read_bytes()
    for corrections in ("", moved):
        with pytest.raises(UsageError, match=r"changed since: the file config.data.corrections"):
            run("second", corrections)
    assert (second / "result.json").read_bytes() == before


def test_a_mistake_in_corrections_leaves_no_folder(run):
    path = run.folder / "wrong.csv"
    path.write_text("id,label\n000003,sofa\n")
    with pytest.raises(UsageError, match=r"line 2: the label 'sofa' .*'=lamp', 'chair'"):
        run("third", path)
    assert not (run.folder / "third").exists()
