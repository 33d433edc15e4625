"""The form that steps take on accelerators, over eight devices: it lowers, and sends what it must.

Partitioned by the compiler of CPUs, as those of accelerators are not at hand.
"""

import eight_devices
import pytest

pytestmark = pytest.mark.slow  # a minute: deep networks

# Convolutions, products and top-k of a step, as each device runs it.
RUN = {
    "paper float32": {"conv": 59, "dot": 36, "top_k": 2},
    "paper bfloat16": {"conv": 59, "dot": 36, "top_k": 2},
    "paper remat": {"conv": 79, "dot": 46, "top_k": 4},
    "members float32": {"conv": 22, "dot": 15, "top_k": 0},
    "members bfloat16": {"conv": 22, "dot": 15, "top_k": 0},
}

# What a step sends. Beside what test_meshes counts, all-reduces for the moments of each layer (two
# forward, two backward; the forward ones again where towers are computed again) and for the
# gradient of each kernel. Two all-gathers are the distances of the neighbor graphs: the compiler of
# CPUs does not divide a top-k by clouds; those of an H100 and a TPU v5e do.
SENT = {
    "paper float32": {"all-gather data": 11, "all-reduce data": 100, "all-to-all data": 3},
    "paper bfloat16": {"all-gather data": 11, "all-reduce data": 100, "all-to-all data": 3},
    "paper remat": {"all-gather data": 13, "all-reduce data": 146, "all-to-all data": 3},
    "members float32": {
        "all-gather data": 25,
        "all-gather member": 1,
        "all-reduce data": 44,
        "all-reduce member": 2,
        "all-to-all data": 2,
    },
    "members bfloat16": {
        "all-gather data": 25,
        "all-gather member": 1,
        "all-reduce data": 44,
        "all-reduce member": 2,
        "all-to-all data": 2,
    },
}


@pytest.fixture(scope="module")
def report():
    """What on_accelerator_meshes.py saw on eight virtual devices."""
    return eight_devices.report_of("on_accelerator_meshes.py")


@pytest.mark.parametrize("run", RUN)
def test_a_device_runs_its_members_alone_on_every_platform(report, run):
    lowered = report[run]["lowered"]
    step = {kind: lowered["step (cuda, tpu)"].get(kind, 0) for kind in ("conv", "dot", "top_k")}
    assert step == RUN[run]
    assert {name.split(" ")[0] for name in lowered} == {"start", "step", "predict"}


@pytest.mark.parametrize("run", SENT)
def test_a_step_sends_what_is_expected_and_no_more(report, run):
    assert report[run]["collectives"] == SENT[run]
