"""The main command as a user meets it: a real config shrunk, its files, and mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--config=configs/rono_modelnet.py:quick",
    "--config.data.train_size=120",
    "--config.data.test_size=40",
    "--config.data.points=64",
    "--config.train.batch_size=32",
    "--config.train.epochs=2",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder of its own, so that neither data nor results of the user are touched."""
    return tmp_path_factory.mktemp("cache")


def launch(*arguments: str, cache: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    environment.pop("JAXCMR_DATA", None)
    command = [sys.executable, str(ROOT / "launch" / "main.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, launch(*SMALL, f"--workdir={workdir}", cache=cache)


def test_the_real_config_shrunk_runs_and_leaves_its_results(finished):
    workdir, run = finished
    assert run.returncode == 0, run.stderr
    for name in ("config.json", "noise.npz", "split.npz", "curves.png", "contact_sheet.png"):
        assert (workdir / name).stat().st_size > 0
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"step", "epoch", "loss", "rdc", "pair", "crc", "val_mAP"} <= set(lines[0])
    assert {"best", "last"} == {path.name for path in (workdir / "checkpoints").iterdir()}


def test_the_result_says_what_was_run_on_what(finished):
    result = json.loads((finished[0] / "result.json").read_text())
    assert result["data"]["source"] == "stand-in"
    assert result["noise"]["rate"] == 0.4
    assert result["noise"]["actual_rate"] == pytest.approx(0.4)
    assert result["noise"]["rows_changed"] == 48
    assert 0 < result["scores"]["chance"] < 1
    assert 0 < result["scores"]["best"]["image->points"]["mAP"] <= 1
    assert {"best", "last", "untrained", "chance", "stages"} <= set(result["scores"])
    assert len(result["scores"]["best"]["points->image"]["per_class"]) == 10
    assert result["members"] == 1 and result["seed"] == 0 and result["classes"] == 10


def test_the_run_says_loudly_that_the_data_is_a_stand_in(finished):
    assert "STAND-IN DATA" in finished[1].stderr
    assert "stand-in data" in finished[1].stdout
    assert "untrained chance" in finished[1].stdout


def test_the_progress_has_a_line_an_epoch_without_a_terminal(finished):
    lines = [
        line for line in finished[1].stderr.splitlines() if "epoch " in line and "left" in line
    ]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("loss", "rdc", "val mAP", "steps/s"))


def test_noise_and_embeddings_belong_to_the_rows_they_name(finished):
    workdir = finished[0]
    noise, split = np.load(workdir / "noise.npz"), np.load(workdir / "split.npz")
    assert len(noise["labels"]) == len(split["ids"]) == 120
    np.testing.assert_array_equal(
        np.flatnonzero(noise["labels"] != noise["true_labels"]), noise["rows"]
    )
    rows = np.concatenate([split["train"], split["validation"]])
    np.testing.assert_array_equal(np.sort(rows), np.arange(120))
    for modality in ("image", "points"):
        saved = np.load(workdir / "embeddings" / f"{modality}.npz")
        assert saved["embeddings"].shape == (160, 256)
        assert saved["split"].tolist() == ["train"] * 108 + ["validation"] * 12 + ["test"] * 40
        np.testing.assert_allclose(np.linalg.norm(saved["embeddings"], axis=1), 1, rtol=1e-5)


def test_the_same_command_again_reads_the_result_back(finished, cache):
    workdir, first = finished
    again = launch(*SMALL, f"--workdir={workdir}", cache=cache)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout


def test_another_config_in_the_same_folder_is_refused(finished, cache):
    run = launch(*SMALL, "--config.noise.rate=0.2", f"--workdir={finished[0]}", cache=cache)
    assert_mistake(run, "config.noise.rate was 0.4 and is 0.2")


def assert_mistake(run: subprocess.CompletedProcess, words: str) -> None:
    """One sentence on the last line, no traceback, exit code 2."""
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and words in last, run.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "no config is given"),
        (("--config=configs/none.py",), "there is no config file configs/none.py"),
        (("--config=configs/rono_modelnet.py:slow",), "no variant 'slow'"),
        ((SMALL[0], "--config.noise.rte=0.4"), "no field --config.noise.rte"),
        ((SMALL[0], "--config.train.epochs=many"), "--config.train.epochs=many"),
        ((SMALL[0], "--nonsense=1"), "nonsense"),
        ((SMALL[0], "stray"), "'stray' is no flag"),
        ((SMALL[0], "--workdir="), "--workdir is empty"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(arguments, words, cache):
    assert_mistake(launch(*arguments, cache=cache), words)


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--config.noise.rate=1.0", "noise.rate is 1.0"),
        ("--config.noise.kind=odd", "unknown kind of noise 'odd'"),
        ("--config.train.batch_size=500", "batch_size is 500, but the training set has 108 rows"),
        ("--config.method.name=none", "there is no method 'none'"),
        ("--config.encoders.image.name=none", "there is no encoder 'none'"),
        ("--config.encoders.image.views=9", "is to see 9 views, but there are 2"),
    ],
)
def test_a_config_that_cannot_work_is_one_sentence(argument, words, cache, tmp_path):
    assert_mistake(launch(*SMALL, argument, f"--workdir={tmp_path}", cache=cache), words)
    assert not list(tmp_path.iterdir()), "the mended command could not use the folder"
