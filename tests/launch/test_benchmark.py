"""Every benchmark runs to its end and prints its table."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "benchmark" / "main.py"
NUMBER = r"\s+[\d.]+"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("encoders", "--only=mnist_cnn", "--members=1"), rf"mnist_cnn\s+1\s+128{NUMBER}"),
        (("encoders", "--only=mnist_cnn", "--memory"), rf"mnist_cnn\s+128{NUMBER}"),
        (("epoch",), rf"ours{NUMBER} s an epoch,{NUMBER}% of the ceiling"),
        (("model", "--members=1"), rf"first answer{NUMBER} s .*\n.*file{NUMBER}, embed{NUMBER}"),
        (("members",), rf"8{NUMBER}{NUMBER} \([\d.]+\)"),
    ],
)
def test_it_prints_its_table(flags, line):
    command = [sys.executable, SCRIPT, *flags, "--repeats=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(line, done.stdout), done.stdout


@pytest.mark.slow
def test_an_unknown_encoder_is_one_sentence():
    command = [sys.executable, SCRIPT, "encoders", "--only=mlp"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "there is no encoder 'mlp'; choose from" in done.stderr
