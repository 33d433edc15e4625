"""The configs of RoMo and MMCD: they build, refuse what they do not know, and run through."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcmr import config as configuration
from jaxcmr import methods
from jaxcmr.config import section
from jaxcmr.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ("ce", "pairs", "mrl", "rono", "clean")
VARIANTS = [
    "mmcd_wikipedia",
    *(f"mmcd_wikipedia:{variant}" for variant in (*BASELINES, "nrcl", "co_teaching")),
    "mmcd_mnist3d",
    *(f"mmcd_mnist3d:{variant}" for variant in (*BASELINES, "one", "quick")),
    "mmcd_modelnet",
    *(f"mmcd_modelnet:{variant}" for variant in (*BASELINES, "quick", "three", "three_quick")),
    "romo_mnist3d",
    "romo_mnist3d:described",
    "romo_mnist3d:quick",
    "romo_modelnet",
    "romo_modelnet:quick",
    "romo_wikipedia",
    "romo_wikipedia:described",
]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_config_passes_the_checks_and_builds_its_methods(real_config, name):
    file, _, variant = name.partition(":")
    config = real_config(file, variant)
    configuration.check(config)
    for stage in config.stages:
        whole = section(config, stage)
        assert methods.build(whole).init is not None
        assert whole.train.epochs == config.stage.get(stage, config).train.epochs


@pytest.mark.parametrize(
    "file",
    [
        "mmcd_wikipedia",
        "mmcd_mnist3d",
        "mmcd_modelnet",
        "romo_mnist3d",
        "romo_modelnet",
        "romo_wikipedia",
    ],
)
def test_another_variant_is_a_mistake(real_config, file):
    with pytest.raises(UsageError, match="no variant 'slow'"):
        real_config(file, "slow")


def _run(tmp_path, config: str, *options: str):
    """Runs the main command on the stand-in; returns its result and what it printed."""
    command = [
        sys.executable,
        str(ROOT / "launch" / "main.py"),
        f"--config={ROOT}/configs/{config}",
        f"--workdir={tmp_path}/run",
        *options,
    ]
    environment = os.environ | {"JAXCMR_OFFLINE": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "run" / "curves.png").exists()
    return json.loads((tmp_path / "run" / "result.json").read_text()), ran.stdout


@pytest.mark.slow
def test_romo_runs_through_the_main_command(tmp_path):
    sizes = "--config.data.train_size=120", "--config.data.test_size=40"
    result, printed = _run(tmp_path, "romo_mnist3d.py:quick", *sizes)
    assert result["labels"] == "absent" and result["sizes"]["validation"] == 0
    assert set(result["scores"]["stages"]) == {"pairs", "match"}
    assert result["data"]["source"] == "stand-in" and "no labels" in printed


@pytest.mark.slow
def test_one_member_is_trained_on_the_pseudo_labels_of_five(tmp_path):
    """The variant `one` shrunk: five members vote in a stage, the last stage has one."""
    shrunk = [f"--config.{part}train.epochs=2" for part in ("", "stage.pairs.", "stage.vote.")]
    shrunk += ["--config.data.train_size=150", "--config.data.test_size=40"]
    shrunk += ["--config.data.name=digits", "--config.data.points=64"]
    shrunk += ["--config.train.batch_size=50", "--config.stage.vote.method.warmup_epochs=1"]
    result, _ = _run(tmp_path, "mmcd_mnist3d.py:one", *shrunk)
    assert result["members"] == 1 and set(result["scores"]["stages"]) == {"pairs", "vote"}
    votes = result["scores"]["stages"]["vote"]["image->points"]
    assert len(votes["members"]) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "method"), [("romo_mnist3d.py:quick", "mrl"), ("mmcd_modelnet.py:quick", "romo")]
)
def test_another_method_runs_through_on_a_config_of_stages(tmp_path, config, method):
    sizes = "--config.data.train_size=120", "--config.data.test_size=40"
    sizes += ("--config.ensemble.members=1",)
    result, _ = _run(tmp_path, config, f"--config.method.name={method}", *sizes)
    assert set(result["scores"]["stages"]) == set(
        json.loads((tmp_path / "run" / "config.json").read_text())["stages"][:-1]
    )


METHOD_FILE = """
from my_losses import powered
from jaxcmr.config.ranges import POSITIVE, Field
from jaxcmr.methods import Method, Recipe, ce
def build(config):
    network = ce.METHOD.build(config)
    def objective(outputs, batch, targets, progress, hp):
        return powered(ce.objective(outputs, batch, targets, progress, hp), hp["alpha"])
    return network._replace(losses=objective)
METHOD = Recipe(build, {"alpha": Field(1.0, POSITIVE, "exponent of the loss")}, {})
"""


@pytest.mark.slow
def test_a_method_in_a_file_of_ones_own_runs_through(tmp_path):
    (tmp_path / "my_losses.py").write_text(
        "def powered(terms, alpha):\n    return {'powered': terms['ce'] ** alpha}\n"
    )
    (tmp_path / "my_method.py").write_text(METHOD_FILE)
    sizes = "--config.data.train_size=120", "--config.data.test_size=40"
    method = f"--config.method.name={tmp_path}/my_method.py", "--config.method.alpha=.5"
    _run(tmp_path, "rono_modelnet.py:quick", *sizes, *method, "--config.train.epochs=1")
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert line["powered"] > 0


@pytest.mark.slow
def test_mmcd_takes_three_modalities(tmp_path):
    result, _ = _run(tmp_path, "mmcd_modelnet.py:three_quick")
    assert len(result["scores"]["best"]) == 6  # every ordered pair of image, points, mesh
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    votes = json.loads(lines[-1])["labels votes clean"]
    assert len(votes) == 10 and abs(sum(votes) - 1) < 1e-2
