"""The numbers of an audit: counts by hand, scores by hand, and what is ready for JSON."""

import dataclasses
import json

import numpy as np
import pytest
from label_tables import by_hand, drawn

from jaxcmr.beliefs import label_errors
from jaxcmr.report.audit.summary import against_true_labels, mixed_up, summarize
from jaxcmr.types import UNKNOWN

CHAIR, SOFA, TABLE = range(3)
P = [
    [0.9, 0.1, 0.0],  # chair, right
    [0.8, 0.2, 0.0],  # sofa, wrong and found
    [0.3, 0.7, 0.0],  # sofa, right
    [0.6, 0.0, 0.4],  # table, right but suspected
    [0.0, 0.1, 0.9],  # no label
    [0.1, 0.2, 0.7],  # table, of no class
]
GIVEN = [CHAIR, SOFA, SOFA, TABLE, -1, TABLE]
TRUE = np.array([CHAIR, CHAIR, SOFA, TABLE, TABLE, -1])


def six(**fields):
    return by_hand(GIVEN, P, **fields)


def test_counts():
    found = summarize(six(none_of_these=np.array([0, 0, 0, 0, 0, 0.8])))
    counts = {name: found[name] for name in ("rows", "labelled", "without_label", "look_wrong")}
    assert counts == {"rows": 6, "labelled": 5, "without_label": 1, "look_wrong": 2}
    assert found["none_of_these"] == 1 and found["out_of_fold"] == 6
    assert found["in_sample"] == 0 and found["note"] == ""


def test_the_noise_rate_is_the_mean_probability_that_a_label_is_wrong():
    found = summarize(six())
    wrong = np.array([0.1, 0.8, 0.3, 0.6, 0.3])
    assert found["noise_rate"]["rate"] == pytest.approx(wrong.mean(), abs=1e-5)
    half = 1.96 * np.sqrt((wrong * (1 - wrong)).sum()) / 5
    assert found["noise_rate"]["low"] == pytest.approx(max(wrong.mean() - half, 0), abs=1e-5)
    sofa = found["classes"][SOFA]
    assert sofa["noise_rate"]["rate"] == pytest.approx((0.8 + 0.3) / 2, abs=1e-5)
    assert (sofa["labelled"], sofa["look_wrong"], sofa["suggested"]) == (2, 1, 1)


def test_pairs_of_classes_are_counted_the_most_frequent_first():
    table = by_hand([SOFA, SOFA, TABLE, CHAIR, -1], [[1, 0, 0]] * 5)
    assert mixed_up(table) == [
        {"given": "sofa", "suggested": "chair", "rows": 2},
        {"given": "table", "suggested": "chair", "rows": 1},
    ]


def test_the_audit_is_scored_by_true_labels():
    found = against_true_labels(six(true=TRUE))
    # Suspicion: chair .1, sofa .8 (wrong), sofa .3, table .6, table .3 (wrong).
    assert (found["labels"], found["wrong"]) == (5, 2)
    assert found["noise_rate"] == 2 / 5
    assert found["noise_rate_error"] == pytest.approx(2.1 / 5 - 2 / 5)
    assert found["roc_auc"] == pytest.approx((3 + 1.5) / 6)
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 4) / 2)
    assert found["precision_at_wrong"] == 1 / 2
    assert (found["precision"], found["recall"]) == (1 / 2, 1 / 2)
    assert (found["suggestions_right"], found["wrong_labels_corrected"]) == (1 / 2, 1 / 2)
    assert found["suggestions_right_without_label"] == 1
    assert "precision_of_first_20" not in found


def test_rows_whose_true_label_nobody_knows_are_not_scored():
    """The labels of rows 3 and 4 are not known to be right or wrong."""
    true = np.where(np.arange(6) % 5 < 3, TRUE, UNKNOWN)
    found = against_true_labels(
        six(true=true, none_of_these=np.array([0.1, 0.2, 0.3, 0.9, 0.9, 0.5]))
    )
    assert (found["labels"], found["wrong"], found["none_of_these_roc_auc"]) == (4, 2, 1)
    assert found["noise_rate_error"] == pytest.approx(1.5 / 4 - 2 / 4)
    assert np.isnan(found["suggestions_right_without_label"])
    names = six(true=true).to_dict()["true"].tolist()
    assert names == ["chair", "chair", "sofa", None, None, "(none of these)"]


def test_none_of_these_is_scored_where_some_items_are_of_no_class():
    score = np.array([0.1, 0.2, 0.3, 0.6, 0.1, 0.5])
    found = against_true_labels(six(true=TRUE, none_of_these=score))
    assert found["none_of_these_roc_auc"] == 4 / 5
    found = against_true_labels(six(true=np.maximum(TRUE, 0)))
    assert np.isnan(found["none_of_these_roc_auc"])


def test_the_first_rows_and_calibration_of_a_drawn_table():
    table = drawn(3000)
    found = summarize(table)["against_true_labels"]
    wrong = table.given != table.true
    assert found["precision_of_first_100"] == pytest.approx(wrong[table.order[:100]].mean())
    assert found["roc_auc"] > 0.9 and abs(found["noise_rate_error"]) < 0.1
    assert sum(bin["rows"] for bin in found["reliability"]) == 3000
    errors = [
        abs(b["mean_probability"] - b["share_right"]) * b["rows"] for b in found["reliability"]
    ]
    assert found["calibration_error"] == pytest.approx(sum(errors) / 3000, abs=1e-5)


@pytest.mark.parametrize(
    "table",
    [
        by_hand(np.zeros(0), np.zeros((0, 3))),
        by_hand([-1, -1], [[1, 0, 0]] * 2, true=np.array([0, -1])),
        six(true=TRUE),
    ],
)
def test_it_is_json_without_nan(table):
    text = json.dumps(summarize(table), allow_nan=False)
    assert json.loads(text)["rows"] == len(table)


def test_an_in_sample_audit_says_so():
    table = six(out_of_fold=np.array([True, False, False, True, False, True]))
    found = summarize(table)
    assert found["in_sample"] == 2 and "the model was taught 2 of 5 labels" in found["note"]


def test_an_audit_of_corrected_labels_says_so():
    table = six(about={"data": {"corrections": {"relabelled": 4}}})
    assert summarize(table)["note"].startswith("4 labels are corrected already")


def test_what_is_scored_does_not_depend_on_the_order_of_rows():
    table, order = drawn(300), np.random.default_rng(0).permutation(300)
    names = ("given", "true", "probabilities", "none_of_these")
    mixed = dataclasses.replace(table, **{name: getattr(table, name)[order] for name in names})
    scores = [against_true_labels(each) for each in (table, mixed)]
    numbers = [{k: v for k, v in found.items() if k != "reliability"} for found in scores]
    assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)
    rate = label_errors.noise_rate(mixed.probabilities, mixed.given)
    assert rate == pytest.approx(label_errors.noise_rate(table.probabilities, table.given))
