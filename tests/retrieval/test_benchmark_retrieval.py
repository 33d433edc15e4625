"""The benchmarks run, memory stays bounded, and the sort on the device and the chunks pay."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "benchmark" / "main.py"


def run(*words):
    command = [sys.executable, SCRIPT, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_gallery_of_a_hundred_thousand_needs_less_than_two_gigabytes():
    report = run("retrieval", "--queries=200", "--items=100000", "--ours_only")
    peak = float(re.search(r"peak memory of the process ([\d.]+) GiB", report)[1])
    assert peak < 1.8


@pytest.mark.slow
def test_it_is_faster_than_numpy_and_much_faster_than_the_published_way():
    report = run("retrieval", "--queries=2000", "--items=5000")
    found = re.findall(r"(\w+) +([\d.]+) s wall .* mAP ([\d.]+)", report)
    wall = {name: float(seconds) for name, seconds, _ in found}
    assert wall["ours"] < wall["numpy_way"]
    assert wall["ours"] < wall["released_way"] / 3
    values = [float(mean) for _, _, mean in found]
    assert max(values) - min(values) < 1e-6


@pytest.mark.slow
def test_a_search_finds_what_faiss_finds_and_is_faster_beside_little_memory():
    pytest.importorskip("faiss")
    report = run("search", "--gallery=100000", "--repeats=3")
    assert float(re.search(r"the same items in ([\d.]+)%", report)[1]) > 99.9
    assert float(re.search(r"at most ([\d.]+) GiB beside the rows", report)[1]) < 0.4
    of_256 = dict(re.findall(r"256 at a time +(\w+) +best +([\d.]+) ms", report))
    assert float(of_256["jaxcmr"]) < float(of_256["faiss"]) / 1.5
