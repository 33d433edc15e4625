"""NRCL's peers and co-teaching, two settings of `label_vote`, trained by the common loop."""

from pathlib import Path

import paired
import pytest
from ml_collections import ConfigDict

from jaxcmr.config import encoder
from jaxcmr.train import log


def _shrunk(config: ConfigDict) -> ConfigDict:
    """The config of Wikipedia with layers that fit the tiny vectors, and few epochs."""
    for modality in config.data.modalities:
        config.encoders[modality] = encoder("fc", hidden=(32,), normalize=False)
    config.train.epochs, config.train.batch_size = 12, 40
    config.method.warmup_epochs = 3
    config.optimizer.learning_rate = 1e-2
    return config


def _train(config: ConfigDict, folder: Path):
    """Trains the config where two labels of five are wrong; returns its metrics by epoch."""
    clean = paired.dataset(80, seed=2, noise=0.0)
    paired.trainer(config, folder, paired.dataset(320, noise=0.4), clean).fit()
    return log.read(folder / "metrics.jsonl")


def _assert_wrong_labels_are_found(lines):
    """In the warm-up nothing is chosen; at the end taken labels are cleaner than given ones."""
    assert all("labels precision" not in line for line in lines[:3])
    last = lines[-1]
    assert last["labels precision"] > 0.75 and last["labels recall"] > 0.65
    assert last["labels votes clean"][-1] > 2 * last["labels votes wrong"][-1]
    assert last["label"] < lines[0]["label"]


def test_peers_filter_and_clarify_as_in_nrcl(real_config, tmp_path):
    lines = _train(_shrunk(real_config("mmcd_wikipedia", "nrcl")), tmp_path)
    _assert_wrong_labels_are_found(lines)
    assert lines[-1]["labels clarified"] > 0.1 and lines[-1]["labels clarified accuracy"] > 0.8
    assert lines[-1]["prior"] > 0 and lines[-1]["dcl"] < lines[3]["dcl"]


@pytest.mark.slow
def test_peers_pass_on_low_losses_as_in_co_teaching(real_config, tmp_path):
    lines = _train(_shrunk(real_config("mmcd_wikipedia", "co_teaching")), tmp_path)
    _assert_wrong_labels_are_found(lines)
    assert all(line["dcl"] == line["prior"] == 0 for line in lines)
    assert all(line["labels clarified"] == 0 for line in lines[3:])
