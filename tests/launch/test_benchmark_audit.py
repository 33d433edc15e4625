"""The benchmark of audits: what it measures, which rows it compares, and the tables it writes."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcmr.beliefs import label_errors
from jaxcmr.errors import UsageError
from jaxcmr.types import UNKNOWN
from jaxcmr.workdir import labels
from jaxcmr.workdir.labels import LabelTable

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[2] / "launch" / "benchmark"
ROWS, CLASSES = 120, 3


@pytest.fixture(autouse=True)
def _modules(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER.parent)
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def pair(tmp_path):
    """Folders of an audited run and of its baseline, whose rows lie in another order, and files."""
    rng = np.random.default_rng(0)
    true = np.arange(ROWS) % CLASSES
    given = np.where(np.arange(ROWS) % 5 == 0, (true + 1) % CLASSES, true)
    items = (4 * np.eye(CLASSES)[true] + rng.normal(size=(ROWS, CLASSES))).astype(np.float32)
    ids = np.array([f"row{row}" for row in range(ROWS)])
    arrays = {"labels": given, "true_labels": true, "ids": ids, "image": items, "text": items}
    whole = {
        f"{split}_{name}": array for split in ("train", "test") for name, array in arrays.items()
    }
    whole["test_ids"] = np.char.add("test", ids)
    np.savez(tmp_path / "items.npz", **whole)
    raw = np.exp(items) / np.exp(items).sum(1, keepdims=True)
    audited, baseline = tmp_path / "mmcd", tmp_path / "ce"
    labels.save(table(ids, given, true, raw), audited)
    order = rng.permutation(ROWS)
    labels.save(table(ids[order], given[order], true[order], raw[order]), baseline)
    data = {"name": "arrays", "path": str(tmp_path / "items.npz"), "modalities": ["image", "text"]}
    for folder in (audited, baseline):
        (folder / "config.json").write_text(json.dumps({"data": _defaults() | data}))
    return audited, baseline, raw


def _defaults():
    from jaxcmr.config import default

    return default().data.to_dict()


def table(ids, given, true, raw) -> LabelTable:
    """Returns what a run would believe whose members predict `raw`."""
    judged = label_errors.judge(raw, given)
    count, zeros = len(ids), np.zeros((len(ids), 1), np.int32)
    return LabelTable(
        ids=ids,
        split=np.full(count, "train"),
        class_names=("a", "b", "c"),
        modalities=("image", "text"),
        given=given.astype(np.int32),
        true=true.astype(np.int32),
        predictions=judged.predictions,
        out_of_fold=np.ones(count, bool),
        transition=judged.transition,
        probabilities=judged.probabilities,
        agreement=np.ones(count, np.float32),
        none_of_these=np.zeros(count, np.float32),
        member_classes=zeros,
        modality_classes=np.zeros((count, 2), np.int32),
        neighbors=np.full((count, 10), -1, np.int32),
        about={},
        raw_predictions=raw.astype(np.float32),
    )


def test_measures_of_four_rows_by_hand():
    from audit_methods import Answer
    from audit_scores import measures

    given, true = np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2])  # rows 1 and 2 are wrong
    answer = Answer(
        scores=np.array([0.1, 0.9, 0.3, 0.4]),
        flagged=np.array([False, True, False, True]),
        suggested=np.array([0, 1, 1, 0]),
        other=np.array([1, 1, 0, 0]),
        probability_suggested=np.array([0.9, 0.9, 0.7, 0.7]),
        probability_given=np.array([0.9, 0.1, 0.7, 0.3]),
        noise_rate=0.4,
    )
    found = measures(answer, given, true)
    assert found["AUROC"] == 3 / 4 and found["P@errors"] == 1 / 2
    assert found["AP"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found["P@20"] == 2 / 4  # of all rows: there are fewer than 20
    assert found["precision"] == 1 / 2 and found["recall"] == 1 / 2 and found["F1"] == 1 / 2
    assert found["named"] == 1 / 2 and found["right"] == 2 / 4
    assert found["noise rate error"] == pytest.approx(0.5 - 0.4)
    assert found["ECE"] == pytest.approx((2 * (1 - 0.9) + 2 * (0.7 - 0)) / 4)
    assert found["ECE given"] == pytest.approx((0.1 + 0.1 + 0.7 + 0.7) / 4)


def test_an_item_of_no_class_is_wrong_and_cannot_be_named():
    from audit_methods import by_posterior
    from audit_scores import measures

    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = measures(by_posterior(probabilities, np.array([0, 0, 1])), np.array([0, 0, 1]),
                     np.array([0, 1, -1]))  # fmt: skip
    assert found["named"] == 1 / 2 and found["right"] == 2 / 3 and found["AUROC"] == 1.0


def test_the_best_of_each_column_may_be_of_different_ways():
    from audit_scores import best

    rows = {"cleanlab on a, x": {"AUROC": 0.9, "ECE": 0.3, "noise rate": 0.5},
            "cleanlab on a, y": {"AUROC": 0.8, "ECE": 0.1, "noise rate": 0.1},
            "cleanlab on b, x": {"AUROC": 1.0, "ECE": 0.0, "noise rate": 0.2}}  # fmt: skip
    assert best(rows, "cleanlab on a") == {"AUROC": 0.9, "ECE": 0.1}


def test_rows_are_matched_by_their_ids(pair):
    import audit_compared

    audited, baseline, raw = pair
    compared = audit_compared.read(audited, baseline)
    np.testing.assert_allclose(compared.baseline, raw, rtol=1e-6)


def test_rows_without_a_given_or_a_true_label_take_no_part(pair):
    import audit_compared

    audited, baseline, _ = pair
    found = labels.read(audited)
    given = np.where(np.arange(ROWS) < 7, -1, found.given).astype(np.int32)
    true = np.where(np.arange(ROWS) == 9, UNKNOWN, found.true).astype(np.int32)
    labels.save(dataclasses.replace(found, given=given, true=true), audited)
    assert len(audit_compared.read(audited, baseline).given) == ROWS - 8


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: {"ids": np.char.add("x", t.ids)}, "has no row 'row0'"),
        (lambda t: {"given": (t.given + 1) % CLASSES}, "120 labels of"),
        (lambda t: {"class_names": ("a", "b", "d")}, "have different classes"),
        (lambda t: {"raw_predictions": None}, "no predictions from before calibration"),
        (lambda t: {"out_of_fold": np.arange(ROWS) > 0}, "was taught the labels that it judges"),
    ],
)
def test_a_baseline_that_cannot_be_compared_is_one_sentence(pair, change, sentence):
    import audit_compared

    audited, baseline, _ = pair
    found = labels.read(baseline)
    labels.save(dataclasses.replace(found, **change(found)), baseline)
    with pytest.raises(UsageError, match=sentence):
        audit_compared.read(audited, baseline)


def test_without_true_labels_nothing_is_scored(pair):
    import audit_compared

    audited, _, _ = pair
    labels.save(dataclasses.replace(labels.read(audited), true=None), audited)
    with pytest.raises(UsageError, match="are not known, so that nothing can be scored"):
        audit_compared.read(audited, None)


def test_logistic_regression_does_not_see_the_label_it_judges():
    import audit_methods

    rng = np.random.default_rng(0)
    given = rng.integers(0, 2, 60)
    noise = audit_methods.standardized(rng.normal(size=(60, 90)), np.ones(60, bool))
    predictions, _ = audit_methods.logistic_regression([noise], given, 3)
    assert predictions.shape == (60, 3) and not predictions[:, 2].any()
    np.testing.assert_allclose(predictions.sum(1), 1, atol=1e-6)
    # 90 numbers tell 60 rows apart, so that a model that was taught them all would be right.
    assert (predictions.argmax(1) == given).mean() < 0.7


def test_fewer_rows_than_folds_are_one_sentence():
    import audit_methods

    with pytest.raises(UsageError, match="no class has 5 rows"):
        audit_methods.logistic_regression([np.eye(4)], np.array([0, 1, 2, 2]), 3)


def test_features_are_centered_and_missing_rows_are_zeros():
    import audit_methods

    items = np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 99.0]])
    found = audit_methods.standardized(items, np.array([True, True, False]))
    root = np.sqrt((1 + 1 + 0 + 0) / 4)
    np.testing.assert_allclose(found, [[-1 / root, 0], [1 / root, 0], [0, 0]], rtol=1e-6)


def test_cleanlab_ranks_by_the_probability_of_the_given_label(pair):
    pytest.importorskip("cleanlab")
    import audit_methods

    audited, _, raw = pair
    found = labels.read(audited)
    answers = audit_methods.by_cleanlab(raw, found.given)
    of_given = raw[np.arange(ROWS), found.given]
    np.testing.assert_allclose(answers["self_confidence"].scores, -of_given, rtol=1e-6)
    filtered = answers["find_label_issues, predicted_neq_given"]
    np.testing.assert_array_equal(filtered.flagged, raw.argmax(1) != found.given)
    assert filtered.scores[filtered.flagged].min() > filtered.scores[~filtered.flagged].max()


def run(*flags) -> subprocess.CompletedProcess:
    command = [sys.executable, FOLDER / "audit.py", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_writes_tables_and_the_picture(pair, tmp_path):
    audited, baseline, _ = pair
    output = tmp_path / "out"
    done = run(f"--audited={audited}", f"--baseline={baseline}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    content = json.loads((output / "audit.json").read_text())
    rows = content["mmcd"]
    assert rows["audit"]["AUROC"] == pytest.approx(rows["our judge on the baseline"]["AUROC"])
    assert rows["audit"]["AUROC"] > 0.95 and rows["audit"]["noise rate error"] < 0.05
    assert rows["our judge on logistic regression"]["AUROC"] > 0.9
    assert content["summary"]["mmcd: audit"]["ECE"] == rows["audit"]["ECE"]
    page = (output / "audit.md").read_text()
    assert page.startswith("| summary | AUROC |") and "| audit | " in page
    assert (output / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_a_list_of_another_length_is_one_sentence(tmp_path):
    done = run("--audited=a,b", "--baseline=c", f"--output={tmp_path}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "--baseline has 1 entries and --audited 2; give one each" in done.stderr
