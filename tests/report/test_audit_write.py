"""An audit from folders to files: which folders are refused, and that nothing is lost."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from label_tables import drawn

from jaxcmr.errors import UsageError
from jaxcmr.report.audit.write import audit
from jaxcmr.workdir import labels


@pytest.fixture
def run(tmp_path):
    labels.save(drawn(60), tmp_path / "run")
    return tmp_path / "run"


def folder(place: Path, *names: str) -> Path:
    """Makes a folder with files of these names."""
    place.mkdir()
    for name in names:
        (place / name).write_text("{}")
    return place


def test_the_files_are_written_and_named(run, tmp_path):
    text = audit([run], tmp_path / "new" / "folder")
    for name in ("audit.csv", "audit.json"):
        path = tmp_path / "new" / "folder" / name
        assert str(path) in text and path.stat().st_size > 0
    assert audit([run], tmp_path / "new" / "folder") == text  # ours are written again


def test_several_runs_are_one_audit(run, tmp_path):
    labels.save(drawn(60), tmp_path / "copy")
    audit([run, tmp_path / "copy"], tmp_path)
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["rows"] == 60 and found["about"]["members"] == 10


def test_a_run_that_is_named_twice_is_refused(run):
    with pytest.raises(UsageError, match="named twice"):
        audit([run, run / ".." / "run"], run)


@pytest.mark.parametrize(
    "names, words",
    [
        ((), "holds no run; name the folder of one with --workdir"),
        (("config.json",), "is not finished"),
        (("config.json", "result.json"), "has no labels.npz"),
        (("labels.npz",), "labels.npz cannot be read"),
    ],
)
def test_a_folder_without_beliefs_is_refused(tmp_path, names, words):
    with pytest.raises(UsageError, match=words):
        audit([folder(tmp_path / "w", *names)], tmp_path / "w")
    assert not (tmp_path / "w" / "audit.csv").exists()


def test_a_run_without_labels_is_refused(tmp_path):
    labels.save(dataclasses.replace(drawn(10), about={"labels": "absent"}), tmp_path)
    with pytest.raises(UsageError, match="trained without labels"):
        audit([tmp_path], tmp_path)


def test_runs_that_do_not_belong_together_are_refused(run, tmp_path):
    other = dataclasses.replace(drawn(60), given=np.zeros(60, np.int32))
    labels.save(other, tmp_path / "other")
    with pytest.raises(UsageError, match="other given labels in"):
        audit([run, tmp_path / "other"], run)


def test_an_output_that_cannot_be_written_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        audit([run], tmp_path / "file")


def test_a_table_that_a_person_has_changed_is_not_overwritten(run):
    audit([run], run)
    changed = (run / "audit.csv").read_text().replace("why", "why,mine", 1)
    (run / "audit.csv").write_text(changed)
    with pytest.raises(UsageError, match="was changed"):
        audit([run], run)
    assert (run / "audit.csv").read_text() == changed
