"""A whole run on a small set of arrays, in a folder that some libraries take for a pattern."""

import json
import os

import numpy as np
import pytest
from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles
from jaxcmr.train.run import train_and_evaluate
from jaxcmr.workdir import embeddings


def _write(path, seed=0, **changed):
    """Twenty rows of two modalities, of which the last four are the test set."""
    rng = np.random.default_rng(seed)
    labels = np.arange(20) % 2
    rows = {"image": rng.normal(size=(20, 6)), "text": rng.normal(size=(20, 5))}
    split = np.array(["train"] * 16 + ["test"] * 4)
    np.savez(path, **({"labels": labels, "split": split, **rows} | changed))


@pytest.fixture(scope="module")
def start(tmp_path_factory, real_config):
    """Starts a run of an epoch on `own.npz` in a folder of a difficult name."""
    folder = tmp_path_factory.mktemp("run")

    def start(**fields):
        config = real_config("rono_custom")
        config.data.path = str(folder / "own.npz")
        config.train.epochs, config.method.warmup_epochs = 1, 1
        config.encoders.embedding_size = 8
        config.update_from_flattened_dict(fields)
        return train_and_evaluate(config, str(folder / "runs [v1] *" / "a\\b"))

    logging.set_verbosity(logging.INFO)
    _write(folder / "own.npz")
    start.folder, start.workdir = folder, folder / "runs [v1] *" / "a\\b"
    start.outcome = start()
    return start


def _content(workdir):
    files = [path for path in workdir.rglob("*") if path.is_file()]
    return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


def test_a_run_in_a_folder_of_any_name_leaves_all_its_files_and_no_other(start):
    assert set(os.listdir(start.workdir)) == {
        "checkpoints", "config.json", "embeddings", "labels.csv", "labels.npz", "metrics.jsonl",
        "noise.npz", "preparation.json", "result.json", "split.npz", "trained_on.json", "log.txt",
    }  # fmt: skip
    assert set(os.listdir(start.workdir / "checkpoints" / "last")) == {"0", "1"}
    result = json.loads((start.workdir / "result.json").read_text())
    assert result["trained_on"] == json.loads((start.workdir / "trained_on.json").read_text())
    assert "2 classes" in (start.workdir / "log.txt").read_text()


def test_the_saved_rows_of_the_test_set_are_those_of_the_outcome(start):
    found, splits = embeddings.read(start.workdir), numpyfiles.read_npz(start.workdir / "split.npz")
    assert sorted(found) == ["image", "text"]
    for name, saved in found.items():
        names = [splits["ids"][splits[part]] for part in ("train", "validation")]
        np.testing.assert_array_equal(saved.ids, np.concatenate([*names, start.outcome.test.ids]))
        rows = saved.embeddings[saved.split == "test"]
        np.testing.assert_array_equal(rows, start.outcome.embeddings[name])
        np.testing.assert_allclose(np.linalg.norm(saved.embeddings, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"labels": np.r_[1, 0, np.arange(2, 20) % 2]}, "the labels of 2 of its 16 rows"),
        ({"text": np.zeros((20, 5))}, "the items of the modality 'text' of the training set"),
        ({"labels": np.r_[np.arange(18) % 2, 1, 0]}, "the labels of the test set"),
    ],
)
def test_the_same_command_on_data_that_have_changed_is_refused(start, changed, words):
    before = _content(start.workdir)
    _write(start.folder / "own.npz", **changed)
    try:
        with pytest.raises(UsageError, match=words):
            start()
    finally:
        _write(start.folder / "own.npz")
    after = _content(start.workdir)
    assert after == before


@pytest.mark.slow
def test_a_finished_run_is_given_more_epochs_and_comes_again_as_it_is(start):
    again = start(**{"train.epochs": 3})
    assert again.result["epochs"] == 3
    lines = (start.workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    of_first_run = start.outcome.embeddings["text"]
    saved = embeddings.read(start.workdir)["text"]
    assert not np.array_equal(saved.embeddings[saved.split == "test"], of_first_run)
    os.remove(start.workdir / "embeddings" / "text.npz")
    assert start(**{"train.epochs": 3}).result["scores"] == again.result["scores"]
    anew = embeddings.read(start.workdir)["text"]
    np.testing.assert_array_equal(anew.embeddings, saved.embeddings)
    with pytest.raises(UsageError, match=r"a run of 3 epochs, but config.train.epochs is 2"):
        start(**{"train.epochs": 2})
