"""The table at the end of a run: scores in percent, and the best member beside the ensemble."""

import copy

import pytest

from jaxcmr.report.table import labels_line, result_table

NAMES = ("mAP", "mAP@10", "precision@10", "recall@10")


def _result(members: int = 1):
    found = lambda value, alone: {**dict.fromkeys(NAMES, value), "members": alone}
    scores = {"a->b": found(0.5, [0.4, 0.45, 0.3]), "b->a": found(0.25, [0.2, 0.1, 0.35])}
    return {
        "method": "mmcd",
        "data": {"name": "digits", "source": "stand-in"},
        "noise": {"kind": "symmetric", "rate": 0.4, "actual_rate": 0.4},
        "labels": "given",
        "wrong_labels": _wrong("labels before the noise"),
        "scored_by": "true labels",
        "members": members,
        "best_epoch": 3,
        "epochs": 9,
        "scores": {
            "best": scores,
            "last": copy.deepcopy(scores),
            "untrained": copy.deepcopy(scores),
            "chance": 0.11,
            "chance_by_direction": {"a->b": 0.1, "b->a": 0.12},
            "not_measured": {},
        },
    }


def _wrong(truth, train=(90, 38), validation=(10, 2)):
    """Counts of labels and of wrong ones: 40 of 100 in all."""
    sets = {"train": train, "validation": validation}
    counts = {name: s and {"labels": s[0], "wrong": s[1]} for name, s in sets.items()}
    return {"truth": truth, **counts, "test": None}


def test_the_best_member_has_the_highest_mean_over_directions():
    table = result_table(_result(3))
    assert "best member alone, mAP: 30.00 / 35.00 (number 2)" in table
    assert "** stand-in data **" in table and "40 % wrong labels (symmetric)" in table


@pytest.mark.parametrize("direction, cells", [("a->b", "50.00"), ("b->a", "25.00")])
def test_scores_are_in_percent(direction, cells):
    lines = [line for line in result_table(_result(1)).splitlines() if line.startswith(direction)]
    assert len(lines) == 1 and cells in lines[0]
    assert lines[0].endswith("10.00" if direction == "a->b" else "12.00")
    assert "best member" not in result_table(_result(1))


def _unmeasured():
    result = _result(3)
    scores = result["scores"]
    for kind in ("best", "last", "untrained"):
        scores[kind]["a->b"] = {**dict.fromkeys(NAMES), "members": [None] * 3}
    scores["chance_by_direction"]["a->b"] = None
    scores["not_measured"] = {"a->b": "no row has 'b'"}
    return result


def test_a_direction_that_is_not_measured_has_no_number_and_a_reason():
    lines = result_table(_unmeasured()).splitlines()
    (cells,) = [line.split() for line in lines if line.startswith("a->b  ")]
    assert cells == ["a->b"] + ["-"] * 7
    assert "a->b: not measured, no row has 'b' in the test set" in lines
    assert "best member alone, mAP: 35.00 (number 2)" in lines  # of the other direction


def test_a_table_without_any_number_is_a_table():
    result = _unmeasured()
    for kind in ("best", "last", "untrained"):
        result["scores"][kind] = {"a->b": {"mAP": None, "members": [None] * 3}}
    (cells,) = [x.split() for x in result_table(result).splitlines() if x.startswith("a->b  ")]
    assert cells == ["a->b"] + ["-"] * 4 and "best member" not in result_table(result)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, "40 % wrong labels (symmetric)"),
        ({"labels": "absent"}, "no labels"),
        ({"noise": {"kind": "symmetric", "rate": 0.0}, "wrong_labels": _wrong(None, None, None)},
         "labels as given"),
        ({"noise": {"kind": "symmetric", "rate": 0.0}, "wrong_labels": _wrong("true labels")},
         "40 % wrong labels (as given)"),
        ({"noise": {"kind": "file", "rate": 0.2, "actual_rate": 0.2},
          "wrong_labels": _wrong("true labels")}, "40 % wrong labels (as given, and file noise)"),
        ({"noise": {"kind": "file", "rate": 0.4, "actual_rate": 0.4}}, "40 % wrong labels (file)"),
    ],
)  # fmt: skip
def test_no_more_is_said_of_the_labels_than_is_known(changes, words):
    assert labels_line(_result() | changes) == words


def test_scores_by_labels_that_may_be_wrong_say_so():
    note = "scores are by the given test labels, which may be wrong"
    assert note in result_table(_result() | {"scored_by": "given labels"})
    assert note not in result_table(_result())


def test_names_keep_the_columns_of_the_table():
    result = _result()
    for kind in ("best", "last", "untrained", "chance_by_direction"):
        found = result["scores"][kind]
        result["scores"][kind] = {"手\n$x$->" + "y" * 300: found["a->b"], "b->a": found["b->a"]}
    lines = result_table(result).splitlines()
    (long,) = [line for line in lines if line.startswith(r"手\n$x$->yyy")]
    (short,) = [line for line in lines if line.startswith("b->a")]
    assert "…" in long and long.index("50.00") + 1 == short.index("25.00")  # 手 is two columns wide
    assert len(long) < 150
