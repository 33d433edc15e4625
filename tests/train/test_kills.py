"""Twenty kills at random, half of them while a checkpoint is written: the run ends the same."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_processes import HERE, _run

EPOCHS, KILLS = 120, 20


def _start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, str(HERE / "process.py"), "", "1", "0", str(folder), str(EPOCHS)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _saved(folder: Path) -> set[str]:
    last = folder / "checkpoints" / "last"
    return {path.name for path in last.iterdir() if path.name.isdigit()} if last.exists() else set()


def _saving(folder: Path) -> bool:
    return any("orbax-checkpoint-tmp" in path.name for path in folder.glob("checkpoints/*/*"))


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path):
    whole, broken, draw = tmp_path / "whole", tmp_path / "broken", random.Random(0)
    whole.mkdir()
    broken.mkdir()
    in_a_save = 0
    for kill in range(KILLS):
        run, before = _start(broken), _saved(broken)
        try:
            while not _saved(broken) - before:  # it goes on from where the last one was killed
                assert run.poll() is None, "the run ended before it was killed"
                time.sleep(0.002)
            time.sleep(draw.uniform(0.0, 0.3))
            while kill % 2 and not _saving(broken):
                assert run.poll() is None, "the run ended before it was killed"
        finally:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        in_a_save += _saving(broken)
    assert in_a_save >= KILLS // 2 - 2  # one may have been finished in the instant of the kill
    expected, found = (_run(1, 1, folder, str(EPOCHS)) for folder in (whole, broken))
    assert found == expected and found["step"] == 10 * EPOCHS
