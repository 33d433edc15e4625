"""`audit.csv`: its rows, its order, and cells that no spreadsheet takes for a formula."""

import csv

import numpy as np
import pytest
from label_tables import by_hand, drawn

from jaxcmr.errors import UsageError
from jaxcmr.report.audit import tables
from jaxcmr.storage import spreadsheet
from jaxcmr.workdir import labels

P = [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.0, 0.3, 0.7], [0.0, 1.0, 0.0]]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_most_suspect_row_is_first_and_rows_without_a_label_last(tmp_path):
    table = by_hand([0, 1, 1, -1], P, true=np.array([0, 0, 1, -1]))
    tables.write_audit(table, ["a", "b", "c", "d, e"], tmp_path / "audit.csv")
    found = rows_of(tmp_path / "audit.csv")
    assert [row["id"] for row in found] == ["row 1", "row 2", "row 0", "row 3"]
    assert found[0] == {
        "id": "row 1", "split": "train", "given": "sofa", "probability_given": "0.2000",
        "suggested": "chair", "probability_suggested": "0.8000", "agreement": "1.0000",
        "none_of_these": "0.0000", "out_of_fold": "yes", "true": "chair", "why": "b",
    }  # fmt: skip
    last = found[3]
    assert (last["given"], last["probability_given"], last["true"], last["why"]) == (
        "", "", labels.NONE_OF_THESE, "d, e",
    )  # fmt: skip


def test_the_columns_are_those_of_the_run_and_why(tmp_path):
    table = drawn(50)
    labels.save(table, tmp_path)
    tables.write_audit(table, ["because"] * 50, tmp_path / "audit.csv")
    by_id = {row["id"]: row for row in rows_of(tmp_path / labels.CSV)}
    for row in rows_of(tmp_path / "audit.csv"):
        assert row == by_id[row["id"]] | {"why": "because"}


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@a", "'=a", "\ta", 'a "b", c\nd', "ä ,;"])
def test_texts_of_users_come_back_as_they_were(tmp_path, text):
    table = by_hand([0], [[0.9, 0.1, 0]], ids=np.array([text]), class_names=(text, "b", "c"))
    tables.write_audit(table, [text], tmp_path / "audit.csv")
    (row,) = rows_of(tmp_path / "audit.csv")
    for name in ("id", "given", "suggested", "why"):
        assert spreadsheet.unsafe(row[name]) == text
        assert not row[name].startswith(("=", "+", "-", "@", "\t"))


def test_blocks_of_rows_follow_each_other(tmp_path, monkeypatch):
    table, why = drawn(50), [str(row) for row in range(50)]
    tables.write_audit(table, why, tmp_path / "once.csv")
    monkeypatch.setattr(spreadsheet, "BLOCK", 7)
    tables.write_audit(table, why, tmp_path / "blocks.csv")
    assert (tmp_path / "once.csv").read_bytes() == (tmp_path / "blocks.csv").read_bytes()


def test_a_table_of_ours_may_be_written_again_and_no_other_file(tmp_path):
    path = tmp_path / "audit.csv"
    tables.check_free(path)
    tables.write_audit(by_hand([0], [[1, 0, 0]]), ["a"], path)
    tables.check_free(path)
    path.write_text(path.read_text().replace("why", "why,checked", 1))
    with pytest.raises(UsageError, match="was changed, or is no audit"):
        tables.check_free(path)
    with pytest.raises(UsageError, match="is a folder"):
        tables.check_free(tmp_path)
