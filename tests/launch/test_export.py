"""`launch/export.py` as a person meets it: its files, what it prints, and mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxcmr
from jaxcmr.config import default, encoder, method

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of three members on features of photos and of texts."""
    folder, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = {name: rng.normal(size=(90, 8)) + 2 * np.eye(3, 8)[labels] for name in "ab"}
    np.savez(folder / "data.npz", labels=labels, **features)
    config = default()
    config.data.name, config.data.modalities, config.data.standardize = "own", ("a", "b"), ("a",)
    config.data.path = str(folder / "data.npz")
    config.encoders.embedding_size = 4
    config.encoders.a = config.encoders.b = encoder("fc", hidden=(16,))
    config.method, config.ensemble.members = method("mmcd"), 3
    config.train.batch_size, config.train.epochs = 16, 2
    jaxcmr.train_and_evaluate(config, folder / "run")
    return folder / "run"


def export(*arguments):
    command = [sys.executable, str(ROOT / "launch/export.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))


def test_a_member_of_one_modality_is_exported(run, tmp_path):
    done = export(f"--workdir={run}", f"--output={tmp_path / 'out'}", "--only=a", "--member=2")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out' / 'a.stablehlo'}  0.0 MB" in done.stdout
    described = json.loads((tmp_path / "out/model.json").read_text())
    model = jaxcmr.load(run, member=2)
    assert described["fingerprint"] == model.fingerprint and described["member"] == 2
    assert "Subtract `standard.mean`" in described["towers"]["a"]["preparation"]["steps"][-1]
    rows = np.random.default_rng(1).normal(size=(5, 8))
    standard = described["towers"]["a"]["preparation"]["recipe"]["standard"]
    prepared = ((rows - standard["mean"]) / standard["scale"]).astype(np.float32)
    program = jax.export.deserialize(bytearray((tmp_path / "out/a.stablehlo").read_bytes()))
    found = program.call(prepared)["embeddings"]
    np.testing.assert_allclose(found, model.embed(a=list(rows)), atol=1e-5)


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ([], "no folder is named; add --output=FOLDER"),
        (["--output={run}"], "which is not of an export, and nothing there is overwritten"),
        (["--output={new}", "--only=c"], "has no modality 'c', only a, b"),
        (["--output={new}", "--member=3"], "there is no member 3 in"),
        (["--output={new}", "--checkpoint=first"], "value should be one of <best|last>"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(run, tmp_path, flags, sentence):
    flags = [flag.format(run=run, new=tmp_path / "new") for flag in flags]
    done = export(f"--workdir={run}", *flags)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
