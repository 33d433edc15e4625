"""SIGTERM and Ctrl-C to the main command, and a disk that is full."""

import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from test_main import ROOT, SMALL, assert_mistake, launch

LONG = (*SMALL, "--config.train.epochs=4")


def _start(cache, *arguments, **more):
    command = [sys.executable, str(ROOT / "launch" / "main.py"), *arguments]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, **more,
    )  # fmt: skip


CODES = {signal.SIGTERM: 0, signal.SIGINT: 130}


def _interrupted(run, moment: str, number: int, presses: int = 1) -> str:
    """Sends a signal to the run and its children, as a terminal does, when it prints `moment`."""
    for line in run.stderr:
        if moment in line:
            break
    for _ in range(presses):
        os.killpg(run.pid, number)
        time.sleep(0.2)
    errors = run.stderr.read()
    assert run.wait() == CODES[number], errors
    assert f"stopped by {signal.Signals(number).name}" in errors and "Traceback" not in errors
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("number", list(CODES))
@pytest.mark.parametrize("moment", ["rows to train on", "epoch 1/4"])
def test_a_signal_ends_the_run_and_the_same_command_goes_on(tmp_path, moment, number):
    workdir = tmp_path / "run"
    run = _start(tmp_path, *LONG, f"--workdir={workdir}", start_new_session=True)
    _interrupted(run, moment, number)
    assert not (workdir / "result.json").exists()
    again = launch(*LONG, f"--workdir={workdir}", cache=tmp_path)
    assert again.returncode == 0, again.stderr
    assert ("going on after epoch" in again.stderr) == moment.startswith("epoch")
    assert (workdir / "result.json").exists()


@pytest.mark.slow
def test_ctrl_c_while_items_are_prepared_ends_the_workers_without_a_word(tmp_path):
    sizes = ("--config.data.train_size=400", f"--workdir={tmp_path / 'run'}")
    run = _start(tmp_path, *LONG, *sizes, start_new_session=True)
    errors = _interrupted(run, "STAND-IN DATA", signal.SIGINT)
    assert "error" not in errors.lower()


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_the_steps_under_way(tmp_path):
    workdir = tmp_path / "run"
    run = _start(tmp_path, *LONG, f"--workdir={workdir}", start_new_session=True)
    _interrupted(run, "epoch 1/4", signal.SIGINT, presses=2)
    assert launch(*LONG, f"--workdir={workdir}", cache=tmp_path).returncode == 0


@pytest.mark.slow
def test_a_full_disk_is_one_sentence(tmp_path):
    done = launch(*LONG, f"--workdir={tmp_path / 'warm'}", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    run = _start(tmp_path, *LONG, f"--workdir={tmp_path / 'run'}", preexec_fn=limit)
    _, errors = run.communicate()
    last = errors.strip().splitlines()[-1]
    assert run.returncode == 2 and last.startswith("error: ") and "make room there" in last
    assert "Traceback" not in errors and "RuntimeError" not in errors


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--num_processes=2",), "belong together"),
        (("--config.mesh.data=3",), "config.mesh.data is 3"),
        (("--config.mesh.member=0",), "config.mesh.member is 0"),
        (("--config.train.remat=all",), "config.train.remat is 'all'"),
    ],
)
def test_devices_that_do_not_fit_are_one_sentence(arguments, words, tmp_path):
    run = launch(*SMALL, *arguments, f"--workdir={tmp_path / 'run'}", cache=tmp_path)
    assert_mistake(run, words)
    assert not (tmp_path / "run").exists()
