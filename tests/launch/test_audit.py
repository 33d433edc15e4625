"""`launch/audit.py` as a person meets it: its files, what it prints, and mistakes."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcmr.workdir import labels

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "report"))
from label_tables import drawn  # noqa: E402


def audit(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "launch" / "audit.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    labels.save(drawn(300), folder)
    return folder


def test_a_finished_run_is_audited_in_its_folder(run):
    done = audit(f"--workdir={run}")
    assert done.returncode == 0, done.stderr
    table = labels.read(run)
    assert done.stdout.startswith(f"{table.looks_wrong.sum()} of 300 labels look wrong; ")
    assert str(run / "audit.csv") in done.stdout and "suggested" in done.stdout
    with open(run / "audit.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == table.ids[table.order].tolist()
    numbers = json.loads((run / "audit.json").read_text())
    assert numbers["look_wrong"] == int(table.looks_wrong.sum())
    assert numbers["against_true_labels"]["roc_auc"] > 0.9
    assert str(run / "audit.html") in done.stdout
    assert "item 1" in (run / "audit.html").read_text(encoding="utf-8")
    assert "no item can be shown" in done.stderr  # for no config says where the data are


def test_several_runs_are_averaged_into_another_folder(run, tmp_path):
    labels.save(dataclasses.replace(drawn(300), predictions=drawn(300).predictions[::-1]), tmp_path)
    for number, flags in enumerate(
        ([f"--workdir={run},{tmp_path}"], [f"--workdir={run}", f"--workdir={tmp_path}"])
    ):
        output = tmp_path / f"new/{number}"
        done = audit(*flags, f"--output={output}")
        assert done.returncode == 0, done.stderr
        assert len(json.loads((output / "audit.json").read_text())["about"]["runs"]) == 2
    assert not (tmp_path / "audit.csv").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "no run is named; add --workdir="),
        (["--workdir=none"], "none holds no run"),
        (["--workdir=none", "--output="], "--output is empty"),
        (["--workdir=none", "surplus"], "'surplus' is no flag"),
    ],
)
def test_mistakes_are_one_sentence(flags, words):
    done = audit(*flags)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr and done.stdout == ""


def test_help_describes_the_command():
    done = audit("--help")
    assert done.returncode == 0 and done.stdout.startswith("Says which labels of finished runs")
    assert "--workdir=" in done.stdout and "--output=" in done.stdout
