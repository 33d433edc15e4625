"""Meshes: every one trains alike, sends what it must and no more, holds its part of the state."""

from itertools import product

import eight_devices
import numpy as np
import pytest

# What a compiled step sends, beside metrics after its end. On the data axis: batch norm (its
# moments, and theirs backwards), the embeddings of the whole batch, the gradients, the means of
# the losses; where members vote also the rows of the beliefs, and which votes are most confident.
# On the member axis: the votes, and who is alive. With statistics of each device batch norm sends
# nothing; its running moments travel with the gradients. A different compiler may find other ways:
# measure them, and correct the table in launch/DEVICES.md too.
SENT = {
    "rono 4x1": {},
    "rono 1x8": {"all-gather data": 8, "all-reduce data": 11},
    "rono 1x8 device": {"all-gather data": 8, "all-reduce data": 7},
    "rono 2x4": {"all-gather data": 8, "all-reduce data": 11},
    "label_vote 4x1": {"all-gather member": 1, "all-reduce member": 2},
    "label_vote 1x8": {"all-gather data": 33, "all-reduce data": 16},
    "label_vote 2x4": {
        "all-gather data": 33,
        "all-gather member": 1,
        "all-reduce data": 16,
        "all-reduce member": 2,
    },
    "mmcd 2x4": {
        "all-gather data": 25,
        "all-gather member": 1,
        "all-reduce data": 17,
        "all-reduce member": 2,
        "all-to-all data": 2,
    },
}

pytestmark = pytest.mark.slow
MESHES = ("1x8", "4x1", "2x4")


@pytest.fixture(scope="module")
def report():
    """What on_meshes.py saw on eight virtual devices."""
    return eight_devices.report_of("on_meshes.py")


def assert_same_losses(found, expected):
    """To 1e-5 of losses near one."""
    assert np.shape(found) == (50, 4) and np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "method, mesh",
    [*product(("rono", "label_vote"), MESHES), ("mmcd", "2x4")],
)
def test_eight_devices_have_the_losses_of_one_over_fifty_steps(report, method, mesh):
    """One mesh of each method is fed by streams: its batches reach their devices."""
    one, other = report[f"{method} 1x1"], report[f"{method} {mesh}"]
    assert_same_losses(other["losses"], one["losses"])
    assert other["score"] == pytest.approx(one["score"], abs=0.02)


@pytest.mark.parametrize("run", SENT)
def test_a_step_sends_what_is_expected_and_no_more(report, run):
    assert report[run]["collectives"] == SENT[run]


def test_statistics_of_each_device_are_those_of_its_part_of_the_batch(report):
    found, by_hand = report["rono 1x8 device"], report["rono in eight parts"]
    np.testing.assert_allclose(found["losses"], by_hand["losses"], rtol=1e-5, atol=1e-5)
    for one, other in zip(found["moments"], by_hand["moments"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    whole = report["rono 1x8"]["losses"][:10]
    assert np.abs(np.subtract(found["losses"], whole)).max() > 1e-2


def test_a_count_in_the_state_stays_one_with_statistics_of_each_device(report):
    assert report["count"] == ["int32", [3, 3, 3, 3]]


def test_members_on_devices_of_their_own_may_call_the_host(report):
    assert report["called back"] == [0, 1, 4, 9]


def test_members_without_votes_meet_in_the_metrics_alone(report):
    assert {axis for _, axis, _ in report["rono 4x1"]["outside"]} == {"member"}
    assert all(size <= 10 * 4 * 4 for *_, size in report["rono 4x1"]["outside"])  # [10, 4] numbers
    votes = 4 * 16 * (2 * 4 + 1)  # [B, K] shares twice, ballots
    voters = 4 * 16  # how many there are, [B]
    assert votes + voters <= report["label_vote 4x1"]["sent"] <= votes + voters + 24


@pytest.mark.parametrize("method", ["rono", "label_vote"])
def test_memory_of_a_device_falls_as_members_spread(report, method):
    one, two, four = (report[f"{method} {mesh}"] for mesh in ("1x1", "2x4", "4x1"))
    assert two["state_bytes"] == one["state_bytes"] / 2
    assert four["state_bytes"] == one["state_bytes"] / 4
    assert four["temporary_bytes"] < 0.5 * one["temporary_bytes"]


def test_vote_memory_is_spread_by_rows_and_members(report):
    whole = report["label_vote 1x1"]["belief_bytes"]
    for mesh in MESHES:
        member, data = map(int, mesh.split("x"))
        assert report[f"label_vote {mesh}"]["belief_bytes"] < 1.2 * whole / (member * data)


@pytest.mark.parametrize("change", ["2x4 to 1x1", "1x1 to 4x2"])
def test_a_checkpoint_is_read_on_any_mesh_bit_for_bit(report, change):
    assert report["checkpoints"][change] == "equal"
