"""Two processes over loopback with four virtual devices each: one run, like that of one process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from on_meshes import config_of, train

from jaxcmr import distributed
from jaxcmr.errors import UsageError

HERE = Path(__file__).resolve().parent


def _start(processes: int, devices: int, folder: Path, task: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
    }
    return [
        subprocess.Popen(
            [sys.executable, str(HERE / "process.py"), address, str(processes), str(number),
             str(folder), task],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(processes)
    ]  # fmt: skip


def _found(started: list[subprocess.Popen]) -> dict:
    """Returns what process 0 found, when all have ended well."""
    outputs = [process.communicate(timeout=900) for process in started]
    assert all(process.returncode == 0 for process in started), outputs
    # The transport logs lines of its own; of ours, process 0 prints one line, the others none.
    ours = [[line for line in out.splitlines() if line.startswith("{")] for out, _ in outputs]
    assert [len(lines) for lines in ours] == [1] + [0] * (len(started) - 1)
    return json.loads(ours[0][0])


def _run(processes: int, devices: int, folder: Path, task: str) -> dict:
    """Runs the task in so many processes; returns what process 0 found."""
    return _found(_start(processes, devices, folder, task))


@pytest.mark.slow
def test_two_processes_of_four_devices_have_the_losses_of_one_device(tmp_path):
    found = _run(2, 4, tmp_path, "losses")
    assert found.pop("devices") == 8 and found.pop("processes") == 2
    for method in ("rono", "label_vote"):
        expected, score, _ = train(config_of(method, 1, 1))
        for mesh in ("1x8", "4x2"):
            losses, found_score = found[f"{method} {mesh}"]
            np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)
            assert found_score == pytest.approx(score, abs=0.02)


@pytest.mark.slow
def test_checkpoints_of_both_kinds_are_written_beside_steps(tmp_path):
    """Thirty of each: where they get in each other's way, the processes wait forever."""
    found = _run(2, 4, tmp_path, "saves")
    assert found["saved"] == ["best/58", "best/60", "last/58", "last/60"]


@pytest.mark.slow
def test_a_mistake_that_the_first_process_finds_is_raised_in_all(tmp_path):
    assert _run(2, 1, tmp_path, "refusal")["refused"] == ["a folder in use: [ü] ?"] * 2


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    """Two processes write two epochs, one reads them and goes on, two read what that one wrote."""
    begun = _run(2, 4, tmp_path, "2")
    read = _run(1, 1, tmp_path, "2")
    assert read["marks"] == begun["marks"] and read["processes"] == 1
    _run(1, 1, tmp_path, "4")
    alone = _run(1, 1, tmp_path, "4")
    assert _run(2, 4, tmp_path, "4")["marks"] == alone["marks"]
    assert alone["step"] == 40


@pytest.mark.slow
def test_a_sigterm_to_one_process_stops_all_after_the_same_step(tmp_path):
    started = _start(2, 4, tmp_path, "2000")
    last = tmp_path / "checkpoints" / "last"
    while not (last.exists() and any(path.name.isdigit() and path.name != "0"
                                     for path in last.iterdir())):  # fmt: skip
        assert all(process.poll() is None for process in started)
        time.sleep(0.05)
    started[1].send_signal(signal.SIGTERM)
    stopped = int(re.search(r"after step (\d+) \(epoch", _found(started)["stopped"])[1])
    assert (last / str(stopped)).is_dir()


SLURM = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}


@pytest.mark.parametrize(
    "environment, joined",
    [
        ({}, False),
        (SLURM, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_ID": "7"}, False),  # a batch script, not its step
        ({"OMPI_COMM_WORLD_SIZE": "4"}, True),
        ({"JAX_COORDINATOR_ADDRESS": "host:1234"}, True),
        ({"TPU_WORKER_HOSTNAMES": "one,two"}, False),  # without a chip
    ],
)
def test_a_cluster_is_found_by_its_environment(monkeypatch, environment, joined):
    calls = _record(monkeypatch)
    for name in (*SLURM, "OMPI_COMM_WORLD_SIZE", "JAX_COORDINATOR_ADDRESS", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    distributed.start()
    assert calls == [(None, None, None)] * joined


@pytest.mark.parametrize(
    "environment, joined",
    [
        ({}, True),  # a machine of the cloud: its metadata name the pod
        ({"TPU_SKIP_MDS_QUERY": "1"}, False),
        ({"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "one,two"}, True),  # Kubernetes
    ],
)
def test_a_tpu_pod_is_found(monkeypatch, environment, joined):
    calls = _record(monkeypatch)
    monkeypatch.setattr(distributed, "_has_tpu", lambda: True)
    for name in ("TPU_SKIP_MDS_QUERY", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    distributed.start()
    assert calls == [(None, None, None)] * joined


def test_explicit_values_win(monkeypatch):
    calls = _record(monkeypatch)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    distributed.start("host:99", 3, 0)
    assert calls == [("host:99", 3, 0)]


def _record(monkeypatch) -> list:
    calls = []
    monkeypatch.setattr("jax.distributed.initialize", lambda *given: calls.append(given))
    return calls


@pytest.mark.parametrize(
    "values, words",
    [
        (("host:99", 0, -1), "belong together"),
        (("", 2, 0), "belong together"),
        (("host:99", 2, 2), "--process_id is 2, .* at most 1"),
    ],
)
def test_values_that_do_not_fit_are_a_sentence(values, words):
    with pytest.raises(UsageError, match=words):
        distributed.start(*values)
