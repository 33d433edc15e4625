"""The variants of configs/rono_mnist3d.py; the smoke run itself through the main command."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcmr import config as configuration
from jaxcmr import data, methods
from jaxcmr.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def get_config(real_config):
    return functools.partial(real_config, "rono_mnist3d")


@pytest.mark.parametrize("variant", ["", "quick", "features"])
def test_the_variants_pass_the_checks_and_build_the_method(get_config, variant):
    config = get_config(variant)
    configuration.check(config)
    assert methods.build(config).init is not None
    assert config.method.to_dict() == {
        "name": "rono",
        "tau1": 0.05,
        "tau2": 0.05,
        "margin": 0.3,
        "warmup_epochs": 6 if variant == "quick" else 25,
        "crc_scale": 5.0,
        "crc_weight": 1.0,
        "rdc_weight": 1.0,
        "pair_weight": 1.0,
        "pair_temperature": 0.22,
    }
    assert config.optimizer.groups.centers.weight_decay == 0


def test_the_released_protocol_on_given_features(get_config):
    config = get_config("features")
    assert config.data.modalities == ("image", "features") and config.data.fallback == "none"
    assert config.optimizer.name == "adam" and config.optimizer.schedule == "constant"
    assert config.optimizer.learning_rate == 1e-4
    assert config.optimizer.groups.image.learning_rate == 5e-5
    assert config.optimizer.weight_decay == 1e-5


def test_another_variant_is_a_mistake(get_config):
    with pytest.raises(UsageError, match="no variant 'slow'; use quick, features or none"):
        get_config("slow")


def test_given_features_without_a_file_are_one_sentence(get_config, shared):
    config = get_config("features").data
    config.root = str(shared / "data" / "mnist")
    with pytest.raises(UsageError, match=r"no point features at .*mnist3d_features.npz"):
        data.load(config)


@pytest.mark.slow
def test_the_smoke_run_and_a_file_of_noisy_labels(tmp_path):
    from sklearn.datasets import load_digits

    order = np.random.default_rng(0).permutation(1797)[:200]  # the stand-in's rows, seed 0
    labels = load_digits().target[order][:160]
    labels[:40] = (labels[:40] + 1) % 10
    np.savez(tmp_path / "noisy.npz", train_25=labels)
    command = [
        sys.executable, "launch/main.py", "--config=configs/rono_mnist3d.py:quick",
        "--config.data.train_size=160", "--config.data.test_size=40", "--config.train.epochs=2",
        "--config.noise.kind=file", f"--config.noise.file={tmp_path / 'noisy.npz'}",
        "--config.noise.key=train_25", f"--workdir={tmp_path / 'run'}",
    ]  # fmt: skip
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["data"]["source"] == "stand-in" and result["data"]["name"] == "digits"
    assert result["noise"]["rows_changed"] == 40
    assert result["scores"]["last"]["image->points"]["mAP"] > 0
