"""The table at the end of a run: scores in percent, and the best member beside the ensemble."""

import pytest

from jaxcmr.report.table import result_table


def _result(members: int):
    names = ("mAP", "mAP@10", "precision@10", "recall@10")
    found = lambda value, alone: {**dict.fromkeys(names, value), "members": alone}
    scores = {"a->b": found(0.5, [0.4, 0.45, 0.3]), "b->a": found(0.25, [0.2, 0.1, 0.35])}
    return {
        "method": "mmcd",
        "data": {"name": "digits", "source": "stand-in"},
        "noise": {"actual_rate": 0.4, "kind": "symmetric"},
        "labels": "given",
        "members": members,
        "best_epoch": 3,
        "epochs": 9,
        "scores": {"best": scores, "last": scores, "untrained": scores, "chance": 0.1},
    }


def test_the_best_member_has_the_highest_mean_over_directions():
    said = result_table(_result(3))
    assert "best member alone, mAP: 30.00 / 35.00 (number 2)" in said
    assert "** stand-in data **" in said and "40 % wrong labels (symmetric)" in said


@pytest.mark.parametrize("direction, cells", [("a->b", "50.00"), ("b->a", "25.00")])
def test_scores_are_in_percent(direction, cells):
    lines = [line for line in result_table(_result(1)).splitlines() if line.startswith(direction)]
    assert len(lines) == 1 and cells in lines[0] and "10.00" in lines[0]
    assert "best member" not in result_table(_result(1))
