"""What is left of a finished run when a picture fails: all but the picture."""

import json

import numpy as np
import pytest

from jaxcmr import report
from jaxcmr.train.run import Outcome
from jaxcmr.types import Dataset


@pytest.fixture
def finished(tmp_path):
    """A run of one epoch on two modalities, of which no test row has the second."""
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "loss": 1.0}) + "\n")

    def outcome(not_measured):
        names = ("a->b", "b->a")
        scores = {name: {"mAP": None if name in not_measured else 0.5} for name in names}
        scores = {name: found | {"members": [found["mAP"]]} for name, found in scores.items()}
        result = {
            "method": "rono", "data": {"name": "mine"}, "labels": "absent", "members": 1,
            "best_epoch": 1, "epochs": 1, "scored_by": "true labels",
            "scores": {
                **dict.fromkeys(("best", "last", "untrained"), scores),
                "chance_by_direction": dict.fromkeys(names, 0.5),
                "not_measured": not_measured,
            },
        }  # fmt: skip
        inputs = {name: np.eye(4, 2, dtype=np.float32) for name in "ab"}
        ids = np.array(list("wxyz"))
        test = Dataset(inputs, np.arange(4) % 2, None, ids, ("p", "q"), {})
        return Outcome(result, test, inputs)

    return outcome, tmp_path


def test_a_picture_that_fails_is_one_line_and_no_end(finished, monkeypatch, caplog):
    outcome, folder = finished

    def fail(*_):
        raise ValueError("a fault\nof two lines")

    monkeypatch.setattr("jaxcmr.report.contact_sheet.draw_contact_sheet", fail)
    with caplog.at_level("WARNING", logger="absl"):
        table = report.write_report(outcome({}), folder)
    (line,) = [entry.getMessage() for entry in caplog.records]
    assert line.startswith(
        "contact_sheet.png could not be drawn (ValueError: a fault of two lines)"
    )
    assert "a->b" in table and "curves.png" in table and "contact_sheet.png" not in table
    monkeypatch.undo()
    assert "contact_sheet.png" in report.write_report(outcome({}), folder)
    assert {path.name for path in folder.glob("*.png")} == {"curves.png", "contact_sheet.png"}


def test_the_sheet_shows_a_direction_that_is_measured_or_none(finished, monkeypatch):
    outcome, folder = finished
    drawn = []
    monkeypatch.setattr(
        "jaxcmr.report.contact_sheet.draw_contact_sheet", lambda *args: drawn.append(args[2:4])
    )
    report.write_report(outcome({"a->b": "no row has 'b'"}), folder)
    assert drawn == [("b", "a")]
    table = report.write_report(outcome(dict.fromkeys(("a->b", "b->a"), "no row has 'b'")), folder)
    assert drawn == [("b", "a")] and "contact_sheet.png" not in table


def test_a_run_whose_metrics_are_lost_still_has_its_table(finished):
    outcome, folder = finished
    (folder / "metrics.jsonl").write_text("")
    assert "50.00" in report.write_report(outcome({}), folder)
