"""A run that is killed in the middle, and started again, ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 6


def _start(workdir: Path, cache: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        str(ROOT / "launch" / "main.py"),
        "--config=configs/rono_modelnet.py:quick",
        "--config.data.train_size=120",
        "--config.data.test_size=40",
        "--config.data.points=64",
        "--config.train.batch_size=32",
        f"--config.train.epochs={EPOCHS}",
        f"--workdir={workdir}",
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip


def _finish(workdir: Path, cache: Path) -> None:
    run = _start(workdir, cache)
    _, errors = run.communicate()
    assert run.returncode == 0, errors


def _content(workdir: Path) -> tuple[list, dict, dict]:
    """Everything that a clock does not change."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("steps_per_second")
    result = json.loads((workdir / "result.json").read_text())
    embeddings = {
        path.name: np.load(path)["embeddings"].tobytes()
        for path in (workdir / "embeddings").iterdir()
    }
    return lines, {"scores": result["scores"], "best": result["best_epoch"]}, embeddings


@pytest.mark.slow
def test_a_killed_run_started_again_equals_the_uninterrupted_one(tmp_path):
    whole, broken, cache = tmp_path / "whole", tmp_path / "broken", tmp_path / "cache"
    _finish(whole, cache)
    for stop_after in (2, 4):  # killed twice: while or after an epoch's checkpoint is written
        run = _start(broken, cache)
        for line in run.stderr:
            if f"epoch {stop_after}/{EPOCHS}" in line:
                os.kill(run.pid, signal.SIGKILL)
                break
        run.wait()
        run.stderr.close()
        assert run.returncode == -signal.SIGKILL
    _finish(broken, cache)
    assert _content(whole) == _content(broken)
