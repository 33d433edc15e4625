"""Files that appear whole or not at all."""

import errno
import json
import os
import stat

import numpy as np
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.storage import files


def test_what_is_interrupted_leaves_what_was_there(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("before")

    def stop(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, stop)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize(
    "name", ["[v1].json", "*", "a\\b", "a\nb", " ", "ünï 日本", "x" * 255, "~"]
)
def test_any_name_will_do(tmp_path, name):
    files.write_json(tmp_path / name / name, {"a": [1, 2]})
    assert json.loads((tmp_path / name / name).read_text()) == {"a": [1, 2]}
    assert os.listdir(tmp_path / name) == [name]


def test_arrays_are_read_back(tmp_path):
    files.write_npz(tmp_path / "a.npz", {"rows": np.arange(3)})
    assert np.load(tmp_path / "a.npz")["rows"].tolist() == [0, 1, 2]


def test_a_new_file_has_the_rights_that_the_user_has_chosen(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "code, advice",
    [(errno.ENOSPC, "No space left on device; make room there"), (errno.EACCES, "another place")],
)
def test_a_disk_that_refuses_is_one_sentence(tmp_path, code, advice):
    def refuse(file):
        raise OSError(code, os.strerror(code))

    with pytest.raises(UsageError, match=f"a.json cannot be written: .*{advice}"):
        files.write_atomically(tmp_path / "a.json", refuse)
    assert not os.listdir(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"cannot be written: (Not a directory|File exists)"):
        files.write_text(tmp_path / "file" / "a", "text")
    assert (tmp_path / "file").read_text() == "mine"


def test_what_killed_processes_have_left_is_removed_and_what_is_written_is_not(tmp_path):
    dead, young = (tmp_path / f".{name}{files.UNFINISHED}" for name in ("dead", "young"))
    dead.touch(), young.touch()
    with files.replacing(tmp_path / "index") as file:
        file.write(b"rows")
        for path in (dead, file.name):  # a write that takes long
            os.utime(path, (0, 0))
        files.remove_abandoned(tmp_path)
    assert (tmp_path / "index").read_bytes() == b"rows"
    assert sorted(os.listdir(tmp_path)) == [young.name, "index"]
