"""The benchmark runs, memory stays bounded, and the sort on the device pays."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "benchmark" / "main.py"


def run(*flags):
    return subprocess.run(
        [sys.executable, SCRIPT, "retrieval", *flags], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_a_gallery_of_a_hundred_thousand_needs_less_than_two_gigabytes():
    report = run("--queries=200", "--items=100000", "--ours_only")
    peak = float(re.search(r"peak memory of the process ([\d.]+) GiB", report)[1])
    assert peak < 1.8


@pytest.mark.slow
def test_it_is_faster_than_numpy_and_much_faster_than_the_published_way():
    report = run("--queries=2000", "--items=5000")
    found = re.findall(r"(\w+) +([\d.]+) s wall .* mAP ([\d.]+)", report)
    wall = {name: float(seconds) for name, seconds, _ in found}
    assert wall["ours"] < wall["numpy_way"]
    assert wall["ours"] < wall["released_way"] / 3
    values = [float(mean) for _, _, mean in found]
    assert max(values) - min(values) < 1e-6
