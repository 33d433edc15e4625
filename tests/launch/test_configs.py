"""The configs of RoMo and MMCD: they build and refuse what they do not know; RoMo runs through."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcmr import config as configuration
from jaxcmr import methods
from jaxcmr.errors import UsageError
from jaxcmr.train import stages

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = [
    "mmcd_wikipedia",
    "mmcd_wikipedia:ce",
    "mmcd_wikipedia:mc",
    "mmcd_wikipedia:mrl",
    "mmcd_wikipedia:rono",
    "romo_mnist3d",
    "romo_mnist3d:quick",
    "romo_modelnet",
    "romo_modelnet:quick",
    "romo_wikipedia",
]


def _load(name: str):
    path = ROOT / "configs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config


@pytest.mark.parametrize("name", VARIANTS)
def test_a_config_passes_the_checks_and_builds_its_methods(name):
    file, _, variant = name.partition(":")
    config = _load(file)(variant) if variant else _load(file)()
    configuration.check(config)
    assert methods.build(config, 10).init is not None
    for stage in config.stages:
        own = stages.section(config, stage)
        assert methods.build(own, 10).init is not None
        assert own.train.epochs == config.stage[stage].train.epochs


@pytest.mark.parametrize("file", ["mmcd_wikipedia", "romo_mnist3d", "romo_modelnet"])
def test_another_variant_is_a_mistake(file):
    with pytest.raises(UsageError, match="no variant 'slow'"):
        _load(file)("slow")


@pytest.mark.slow
def test_romo_runs_through_the_main_command(tmp_path):
    command = [
        sys.executable,
        str(ROOT / "launch" / "main.py"),
        f"--config={ROOT}/configs/romo_mnist3d.py:quick",
        "--config.data.train_size=120",
        "--config.data.test_size=40",
        f"--workdir={tmp_path}/run",
    ]
    environment = os.environ | {"JAXCMR_OFFLINE": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["labels"] == "absent" and result["sizes"]["validation"] == 0
    assert set(result["scores"]["stages"]) == {"contrast", "match"}
    assert result["data"]["source"] == "stand-in" and "no labels" in ran.stdout
    assert (tmp_path / "run" / "curves.png").exists()
